"""Masks of every common kind: their values, and which of their pixels are crack."""

from fissura.data.masks.choose import choose_rule, read_mask_alone
from fissura.data.masks.classes import ClassRule, class_rule
from fissura.data.masks.looks import MaskLook
from fissura.data.masks.rule import MaskRule, Scale
from fissura.data.masks.values import is_jpeg, read_mask, read_pair, read_with_masks

__all__ = [
    "ClassRule",
    "MaskLook",
    "MaskRule",
    "Scale",
    "choose_rule",
    "class_rule",
    "is_jpeg",
    "read_mask",
    "read_mask_alone",
    "read_pair",
    "read_with_masks",
]
