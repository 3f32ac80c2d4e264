"""Fit a model into a budget: bytes and loss of each kernel's options, and the choice among them."""
