"""What a command found: typed data without words, written as JSON."""
