"""Code that runs a file, made from its contract."""
