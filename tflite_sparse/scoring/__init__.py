"""Accuracy and its uncertainty."""
