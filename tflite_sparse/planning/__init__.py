"""Choose the cheapest form of every constant, and encode and decode files."""
