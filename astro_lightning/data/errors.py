"""The one error a user's input can raise."""

# What an error of the operating system (a full disk, a folder that may not be written to) leaves to do.
PLACE = "see that the place is there, writable and not full"


class BadInput(ValueError):
    """Input that cannot be used.

    The message is one line that names the file, row or key, and the remedy; the command line prints it and exits with status 2.
    """
