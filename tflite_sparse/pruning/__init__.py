"""What becomes zero, and when."""
