"""The version of this package, from which its build takes it."""

VERSION = "0.1.0"

TOOL = f"tflite-sparse {VERSION}"
"""What reports name as the tool that made them. Reading the metadata of the installed package takes longer."""
