"""Define the exception of the checks."""


class CheckError(Exception):
    """A check failed, or cannot run; the message tells why, and the path of the full log."""
