"""Pretrained encoder weights: downloaded only when asked for, with a clear word when they can't."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fissura.errors import InputError


def weights_of(encoder: str, *, pretrained: bool) -> str | bool | None:
    """Return what segmentation-models-pytorch wants to hear: timm's encoders know one set each."""
    if not pretrained:
        return None
    return True if encoder.startswith("tu-") else "imagenet"


@contextmanager
def reaching_weights(encoder: str) -> Iterator[None]:
    """Turn whatever a failed download raises into one sentence about what to do."""
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
