"""The one exception of the checks."""


class CheckError(Exception):
    """A check failed, or cannot be made; the message says why, and where the whole log is."""
