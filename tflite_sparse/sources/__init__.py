"""Read models of every Keras generation, and data."""
