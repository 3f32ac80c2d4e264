"""Write results as sentences and tables."""
