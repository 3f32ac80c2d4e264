"""What several tests share: small models, spoiled files, runs of the program, other versions of the runtime.

Benchmarks import from here as well; tests import nothing from benchmarks.
"""
