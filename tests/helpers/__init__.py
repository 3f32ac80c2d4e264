"""Provide small models, spoiled files, runs of the program and other versions of the runtime to tests.

Benchmarks import from here as well; tests import nothing from benchmarks.
"""
