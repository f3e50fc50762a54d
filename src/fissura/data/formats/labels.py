"""Which labels of a set are cracks."""

from __future__ import annotations

import re

from fissura.data.formats.annotation import AnnotatedSet
from fissura.errors import InputError

# Crack in the languages of those who label: English, German, French, Spanish, Italian,
# Portuguese, Dutch, Polish, Swedish, Russian, Chinese and Japanese, Korean.
CRACK = re.compile(
    r"crack|fissur|(?<![a-z])riss|riss(?:e|en)?(?![a-z])|(?<![a-z])r[iy]sy?(?![a-z])|spr[iy]cka"
    r"|griet|crep[ae]|rachadura|trinca|scheur|pekni|трещин|裂|ひび|균열",
    re.IGNORECASE,
)
NOT = re.compile(
    r"(?:^|[^a-z])(?:no|non|not|without|free)(?![a-z])|uncrack|crack.?free", re.IGNORECASE
)


def crack_labels(annotated: AnnotatedSet, given: str | None) -> tuple[str, ...]:
    """Choose the labels that count as crack.

    Those that are given; otherwise the only one; otherwise those whose names contain a word for
    crack.

    Args:
        annotated: The set.
        given: Labels with commas between them, in upper or lower case; or None.

    Returns:
        At least one label, in the set's order.

    Raises:
        InputError: A given label does not exist, or no rule tells.
    """
    labels = annotated.labels
    if given is not None:
        return chosen_labels(annotated, given)
    if len(labels) <= 1:
        return labels
    if cracks := tuple(label for label in labels if CRACK.search(label) and not NOT.search(label)):
        return cracks
    raise InputError(
        f"{annotated.root} has the labels {named(labels)}, and it is unclear which of them are "
        f"cracks. Name them, as in --labels {labels[0]} or --labels {labels[0]},{labels[1]}."
    )


def chosen_labels(annotated: AnnotatedSet, given: str) -> tuple[str, ...]:
    """Choose labels by their names, with commas between them, in upper or lower case.

    Raises:
        InputError: One of them does not exist.
    """
    wanted = {word.strip().casefold(): word.strip() for word in given.split(",") if word.strip()}
    known = {label.casefold() for label in annotated.labels}
    unknown = [word for folded, word in wanted.items() if folded not in known]
    if unknown or not wanted:
        raise InputError(
            f"--labels {given}: {annotated.root} has no label "
            f"{', '.join(unknown) or 'without a name'}. Its labels are {named(annotated.labels)}."
        )
    return tuple(label for label in annotated.labels if label.casefold() in wanted)


def named(labels: tuple[str, ...]) -> str:
    """Return labels in a sentence, the first ten of them.

    >>> named(("crack", "rust"))
    'crack and rust'
    """
    if not labels:
        return "none"
    shown = [label[:60] for label in labels[:10]]
    if len(labels) > 10:
        return f"{', '.join(shown)} and {len(labels) - 10} more"
    return " and ".join([*([", ".join(shown[:-1])] if shown[1:] else []), shown[-1]])
