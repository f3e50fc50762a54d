"""The one exception that the command line turns into a sentence instead of a traceback."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is complete sentences for the person who meets it: what is wrong, in which file,
    and what to do. The command line prints it and exits with status 2.
    """
