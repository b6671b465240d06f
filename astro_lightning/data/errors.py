"""The one error a user's input can raise."""


class BadInput(ValueError):
    """Input that cannot be used.

    The message is one line that names the file, row or key, and the remedy; the command line prints it and exits with status 2.
    """
