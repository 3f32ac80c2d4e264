"""The typed report of a run, and its forms for people."""
