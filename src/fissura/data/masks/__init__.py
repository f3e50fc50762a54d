"""Masks of every common kind: their values, and which of their pixels are crack."""

from fissura.data.masks.choose import choose_rule, read_mask_alone
from fissura.data.masks.looks import MaskLook
from fissura.data.masks.rule import MaskRule, Scale
from fissura.data.masks.values import is_jpeg, read_mask, read_pair

__all__ = [
    "MaskLook",
    "MaskRule",
    "Scale",
    "choose_rule",
    "is_jpeg",
    "read_mask",
    "read_mask_alone",
    "read_pair",
]
