"""Check every annotated tensor shape of the package at run time, in the tests.

The package's modules import jaxtyping only `if TYPE_CHECKING`, so that users need not have it.
Here that flag is set while they are imported, and each function is wrapped by beartype.
"""

import importlib
import pkgutil
import typing

# What the package builds on comes first, with the flag as it is in production.
import beartype  # noqa: F401
import cv2  # noqa: F401
import lightning_fabric  # noqa: F401
import matplotlib.figure  # noqa: F401
import scipy.ndimage  # noqa: F401
import segmentation_models_pytorch  # noqa: F401
import skimage.morphology  # noqa: F401
import torch
from jaxtyping import install_import_hook

with install_import_hook("fissura", "beartype.beartype"):
    typing.TYPE_CHECKING = True
    try:
        import fissura

        for module in pkgutil.walk_packages(fissura.__path__, "fissura."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    finally:
        typing.TYPE_CHECKING = False

torch.set_num_threads(1)
