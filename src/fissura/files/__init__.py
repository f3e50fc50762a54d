"""Files: written whole or not at all, named for every file system, in folders claimed for results.

`fissura.files.images`, which needs OpenCV, and `fissura.files.failures` are imported by themselves.
"""

from fissura.files.atomic import UNFINISHED, naming, new_folder, remove_unfinished, replacing
from fissura.files.outputs import (
    MASKS,
    OVERLAYS,
    PROBABILITIES,
    OutputOptions,
    claim,
    free_folder,
    is_result,
    output_names,
)

__all__ = [
    "MASKS",
    "OVERLAYS",
    "PROBABILITIES",
    "UNFINISHED",
    "OutputOptions",
    "claim",
    "free_folder",
    "is_result",
    "naming",
    "new_folder",
    "output_names",
    "remove_unfinished",
    "replacing",
]
