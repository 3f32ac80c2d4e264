"""Measure size, latency, memory, and the errors of the layers of an int8 file."""
