"""The one exception that the command line prints as a sentence, and what makes others of it."""

from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is complete sentences for the person who meets it: what is wrong, in which file,
    and what to do. The command line prints it and exits with status 2.
    """


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its type where it says nothing.

    Libraries add where in their own code it was raised, which tells a user nothing.

    >>> first_line(ValueError("no such layer\\n  at graph.cpp:12")), first_line(KeyError())
    ('no such layer', 'KeyError')
    """
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def extra(name: str, purpose: str) -> Iterator[None]:
    """Say in one sentence which extra of Fissura is missing, where an import fails.

    Args:
        name: The extra of pyproject.toml that brings the package, such as `train`.
        purpose: What needs it, as the subject of the sentence: 'Training'.

    Raises:
        InputError: Where a package that is imported within this context is not installed.

    >>> with extra("train", "Training"):
    ...     import lightning_of_a_kind_that_is_not_there
    Traceback (most recent call last):
        ...
    fissura.errors.InputError: Training needs the package lightning_of_a_kind_that_is_not_there,
    which is not installed: pip install 'fissura[train]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package == "fissura":
            raise
        raise InputError(
            f"{purpose} needs the package {package}, which is not installed: "
            f"pip install 'fissura[{name}]'"
        ) from error
