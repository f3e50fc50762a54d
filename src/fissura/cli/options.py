"""What several commands share: types of their options, and exit statuses."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

Switch = Annotated[bool, Parameter(negative="")]

PHOTOS_FAILED, INPUT_ERROR = 1, 2
