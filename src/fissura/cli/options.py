"""What several commands share: types of their options, and exit statuses."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

Switch = Annotated[bool, Parameter(negative="")]
Precision = Literal["auto", "float32", "bfloat16"]

PHOTOS_FAILED, INPUT_ERROR = 1, 2
