"""Whether two files hold the same weights and compute the same, in which runtime, and where they part."""
