"""The cheapest form of every constant, and the encoder and decoder that write it."""
