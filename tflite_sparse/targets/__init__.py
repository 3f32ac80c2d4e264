"""What each runtime accepts: for a constant and its readers, the forms that may be written, or why there is none."""
