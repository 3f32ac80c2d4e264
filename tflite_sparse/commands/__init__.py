"""One module, or folder, for each command; the public functions live here."""
