"""What comes in: models of every Keras generation, and data."""
