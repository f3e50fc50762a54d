"""`fissura models`: the models that come with Fissura, and their cards."""

from __future__ import annotations

from fissura.errors import InputError


def models(name: str | None = None) -> int:
    """List the models that come with Fissura, or show the card of one.

    Args:
        name: Model whose card is shown: its data, metrics, terms and known failures.
    """
    from fissura.shipped import MODELS, shipped

    if name is None:
        for each in map(shipped, MODELS):
            print(f"{each.name}: {each.purpose}")
            print(f"    {each.bytes / 1e6:.1f} MB, threshold {each.threshold:.3g}, {each.terms}")
        print("`fissura models NAME` shows a model's card.")
    elif name in MODELS:
        print(shipped(name).card)
    else:
        raise InputError(f"There is no model {name!r}. There are: {', '.join(MODELS)}.")
    return 0
