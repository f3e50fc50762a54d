"""Pretrained weights of encoders: downloaded when asked for, a sentence where that fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fissura.errors import InputError


def weights_of(encoder: str, *, pretrained: bool) -> str | bool | None:
    """Return the argument by which segmentation-models-pytorch takes the weights.

    Args:
        encoder: Its name; timm's encoders ("tu-NAME") know one set of weights each.
        pretrained: Whether weights trained on ImageNet are wanted.
    """
    if not pretrained:
        return None
    return True if encoder.startswith("tu-") else "imagenet"


@contextmanager
def reaching_weights(encoder: str) -> Iterator[None]:
    """Turn the errors of a failed download into one sentence that says what to do.

    Args:
        encoder: The name that the sentence has.

    Raises:
        InputError: Within the context the weights could not be loaded.
    """
    try:
        yield
    except KeyError as error:
        raise InputError(
            f"Encoder {encoder} cannot be built like this: {error.args[0]} "
            "Leave out --pretrained to train from random weights, or choose another encoder."
        ) from error
    except (OSError, RuntimeError) as error:
        # huggingface_hub's errors derive from these: no network, no such file, offline mode.
        raise InputError(
            f"The pretrained weights of encoder {encoder} could not be loaded "
            f"({type(error).__name__}). They are downloaded from huggingface.co on first use, and "
            "this machine cannot reach it. Run the same command once on a machine that can and "
            "copy its ~/.cache/huggingface/hub folder to here, or leave out --pretrained to train "
            "from random weights."
        ) from error
