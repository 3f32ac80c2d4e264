"""Define the results of the commands: typed data without words, written as JSON."""
