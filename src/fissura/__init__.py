"""Find cracks in images pixel by pixel, and train the models that do it.

Everything that people import is here, and is loaded when it is first used; the modules behind it
may change.

>>> import fissura
>>> cracks = fissura.measure  # a function; nothing is loaded before this line
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fissura.version import __version__

if TYPE_CHECKING:
    from fissura import losses, metrics
    from fissura.checkpoint import load_model, save_model
    from fissura.checks.check import check
    from fissura.checks.options import CheckOptions
    from fissura.comparison.options import CompareOptions
    from fissura.comparison.pipeline import compare
    from fissura.data.annotation_options import AnnotationOptions
    from fissura.data.conversion.convert import convert
    from fissura.data.conversion.options import ConvertOptions
    from fissura.errors import InputError
    from fissura.evaluation.compare import compare_models
    from fissura.evaluation.evaluate import evaluate
    from fissura.evaluation.options import EvaluateOptions
    from fissura.export.export import export_model
    from fissura.export.hub import from_pretrained, push_to_hub, save_pretrained
    from fissura.export.options import ExportOptions
    from fissura.files import OutputOptions
    from fissura.inference.classes import ClassPrediction
    from fissura.inference.files.folder import predict
    from fissura.inference.options import PredictOptions
    from fissura.inference.predictor import Prediction, Predictor
    from fissura.inspection.options import InspectOptions
    from fissura.inspection.pipeline import inspect
    from fissura.inspection.shards import merge
    from fissura.measurement import measure
    from fissura.measurement.options import MeasureOptions, ResolutionOptions
    from fissura.models import build_model
    from fissura.serve.options import ServeOptions
    from fissura.spread.options import SpreadOptions
    from fissura.training.options import TrainOptions
    from fissura.training.train import train

__all__ = [
    "AnnotationOptions",
    "CheckOptions",
    "ClassPrediction",
    "CompareOptions",
    "ConvertOptions",
    "EvaluateOptions",
    "ExportOptions",
    "InputError",
    "InspectOptions",
    "MeasureOptions",
    "OutputOptions",
    "PredictOptions",
    "Prediction",
    "Predictor",
    "ResolutionOptions",
    "ServeOptions",
    "SpreadOptions",
    "TrainOptions",
    "__version__",
    "build_model",
    "check",
    "compare",
    "compare_models",
    "convert",
    "evaluate",
    "export_model",
    "from_pretrained",
    "inspect",
    "load_model",
    "losses",
    "measure",
    "merge",
    "metrics",
    "predict",
    "push_to_hub",
    "save_model",
    "save_pretrained",
    "train",
]

# The module and the name in it of everything that is loaded on first use.
_HOMES = {
    "ClassPrediction": ("fissura.inference.classes", "ClassPrediction"),
    "AnnotationOptions": ("fissura.data.annotation_options", "AnnotationOptions"),
    "CompareOptions": ("fissura.comparison.options", "CompareOptions"),
    "ConvertOptions": ("fissura.data.conversion.options", "ConvertOptions"),
    "CheckOptions": ("fissura.checks.options", "CheckOptions"),
    "EvaluateOptions": ("fissura.evaluation.options", "EvaluateOptions"),
    "ExportOptions": ("fissura.export.options", "ExportOptions"),
    "InputError": ("fissura.errors", "InputError"),
    "InspectOptions": ("fissura.inspection.options", "InspectOptions"),
    "MeasureOptions": ("fissura.measurement.options", "MeasureOptions"),
    "OutputOptions": ("fissura.files", "OutputOptions"),
    "PredictOptions": ("fissura.inference.options", "PredictOptions"),
    "Prediction": ("fissura.inference.predictor", "Prediction"),
    "Predictor": ("fissura.inference.predictor", "Predictor"),
    "ResolutionOptions": ("fissura.measurement.options", "ResolutionOptions"),
    "SpreadOptions": ("fissura.spread.options", "SpreadOptions"),
    "ServeOptions": ("fissura.serve.options", "ServeOptions"),
    "TrainOptions": ("fissura.training.options", "TrainOptions"),
    "build_model": ("fissura.models", "build_model"),
    "compare": ("fissura.comparison.pipeline", "compare"),
    "compare_models": ("fissura.evaluation.compare", "compare_models"),
    "convert": ("fissura.data.conversion.convert", "convert"),
    "check": ("fissura.checks.check", "check"),
    "evaluate": ("fissura.evaluation.evaluate", "evaluate"),
    "export_model": ("fissura.export.export", "export_model"),
    "from_pretrained": ("fissura.export.hub", "from_pretrained"),
    "inspect": ("fissura.inspection.pipeline", "inspect"),
    "load_model": ("fissura.checkpoint", "load_model"),
    "losses": ("fissura.losses", ""),
    "measure": ("fissura.measurement", "measure"),
    "merge": ("fissura.inspection.shards", "merge"),
    "metrics": ("fissura.metrics", ""),
    "predict": ("fissura.inference.files.folder", "predict"),
    "push_to_hub": ("fissura.export.hub", "push_to_hub"),
    "save_model": ("fissura.checkpoint", "save_model"),
    "save_pretrained": ("fissura.export.hub", "save_pretrained"),
    "train": ("fissura.training.train", "train"),
}


def __getattr__(name: str) -> Any:
    """Load a name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fissura' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = import_module(module)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List what people import, whether it is loaded or not."""
    return __all__
