"""Compare weights and outputs of two files, in each runtime, and find the first tensor that differs."""
