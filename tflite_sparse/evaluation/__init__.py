"""What a file is worth: accuracy, size, exactness."""
