"""Score accuracy and its uncertainty."""
