"""What a target needs beyond the file: how it is built, verified and reported."""
