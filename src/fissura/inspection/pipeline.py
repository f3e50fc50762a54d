"""`fissura inspect` and `fissura measure`: files and folders of photos in, measured cracks out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from fissura.checkpoint import find_model, versions
from fissura.data.folder import find_images
from fissura.device import describe_machine
from fissura.errors import InputError
from fissura.files import OutputOptions, claim, is_result, output_names
from fissura.files.failures import Failure, failure
from fissura.inference.by_windows import by_windows
from fissura.inference.options import PredictOptions
from fissura.inference.predictor import Predictor
from fissura.inspection.coco import write_coco
from fissura.inspection.drawing import draw_cracks
from fissura.inspection.limits import Limits, judge, read_limits
from fissura.inspection.photo import Inspector, read_labels
from fissura.inspection.record import Record
from fissura.inspection.report import write_report
from fissura.inspection.sources import Kind
from fissura.inspection.store import StoredPhotos, save_inspected
from fissura.inspection.tables import write_cracks_csv, write_photos_csv, write_widths_csv
from fissura.inspection.vectors import write_vectors
from fissura.measurement.options import MeasureOptions, ResolutionOptions
from fissura.memory import give_back_freed_memory

SETTINGS, MEASURED = "inspection.json", "measured"
MASK_MODEL = "none: masks and probabilities were measured as they are"


@dataclass(frozen=True)
class Inspection:
    """What an inspection did.

    out:       the folder of the results.
    report:    the page to read, or None where none was asked for.
    photos:    how many were measured, those of an earlier run with `resume` among them.
    cracks:    how many were found on them.
    failing:   names of the photos that exceed the limits.
    failures:  files that could not be inspected.
    """

    out: Path
    report: Path | None
    photos: int
    cracks: int
    failing: list[str]
    failures: list[Failure]


def inspect_files(
    inputs: list[Path],
    out: Path,
    *,
    model: Path,
    limits: Path | None = None,
    predicting: PredictOptions | None = None,
    scaling: ResolutionOptions | None = None,
    measuring: MeasureOptions | None = None,
    kind: Kind = "photo",
    report: bool = True,
    resume: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
) -> Inspection:
    """Segment photos, measure their cracks, judge them by limits, and write what was found.

    Written below `out`: cracks.csv (a line per crack), photos.csv (a line per photo), widths.csv (a
    line per place where a width was measured), cracks.geojson and, with pyogrio, cracks.gpkg,
    coco.json, masks/, overlays/, report.html; of rasters (see `Inspector`) masks and
    probabilities/ are GeoTIFFs, and coco.json has them up to 50 megapixels. measured/ holds the
    measurements for `resume`, so that other limits may be tried without measuring again.

    Arguments:
      inputs:     image files, and folders that are searched to any depth.
      model:      run folder, model folder, or a name of `fissura.shipped.MODELS`.
      limits:     a limits.yaml, see `fissura.inspection.limits`.
      predicting: how the model is applied; see `Predictor`.
      scaling:    how millimeters are known; none by default.
      measuring:  see `fissura.measurement.measure`.
      kind:       what the files are: "photo", "mask", "probability", or "auto" for what the pixels
                  of each tell.
      report:     write report.html, coco.json and the verdicts; without it the tables and vectors.
      resume:     go on where an earlier run with the same settings was stopped.
      overwrite:  write into a folder that is not empty.
      console:    for progress and complaints; standard error if None.

    A file that cannot be inspected is reported, listed in `failures`, and left out.

    Raises `InputError` where there is no model or no photo, an option or a rule is out of range, or
    `out` is not empty and neither `resume` nor `overwrite` allows it.
    """
    console = console or Console(stderr=True)
    rules = read_limits(limits) if limits else None
    predicting, scaling = predicting or PredictOptions(), scaling or ResolutionOptions()
    measuring = measuring or MeasureOptions()
    folder = find_model(model)
    files = [file for file in find_images(inputs) if not is_result(file, out)]
    if not files:
        raise InputError(f"There are no photos to inspect but earlier results in {out}.")
    names = dict(zip(files, output_names(files, inputs), strict=True))
    settings = {
        "model": str(folder.absolute()),
        "inputs": [str(path.absolute()) for path in inputs],
        "kind": kind,
        **asdict(predicting),
        "scaling": asdict(scaling),
        "measuring": asdict(measuring),
    }
    measured_only = kind in ("mask", "probability")
    predictor = None if measured_only else Predictor.load(folder, **asdict(predicting))
    claim(
        out / SETTINGS,
        settings,
        OutputOptions(resume=resume, overwrite=overwrite),
        notes={"versions": versions()},
        stale=(out / MEASURED).rglob("*.npz"),
    )
    inspector = Inspector(
        predictor,
        folder,
        out,
        scaling=scaling,
        measuring=measuring,
        kind=kind,
        overwrite=overwrite,
        console=console,
    )
    failures = _measure_all(inspector, names, console)
    give_back_freed_memory()
    stored = [file for name in names.values() if (file := _stored(out, name)).is_file()]
    light = StoredPhotos(stored, preview=False, judge=_judge(rules))
    cracks, failing = _write_tables(out, light)
    page = out / "report.html" if report else None
    if page:
        write_coco(out / "coco.json", _labeled(out, light))
        told = _settings_in_words(settings, predictor, failures)
        _write_page(page, stored, rules, told, _card(folder) if predictor else MASK_MODEL)
    return Inspection(out, page, len(stored), cracks, failing, failures)


def _stored(out: Path, name: str) -> Path:
    return out / MEASURED / f"{name}.npz"


def _measure_all(inspector: Inspector, names: dict[Path, str], console: Console) -> list[Failure]:
    """Inspect the files that are not there yet; return those that could not be."""
    failures: list[Failure] = []
    waiting = [
        (file, name) for file, name in names.items() if not _stored(inspector.out, name).is_file()
    ]
    # Not beside the bar that each image has that is read by windows.
    alone = not any(by_windows(file) for file, _ in waiting)
    shown = console.is_terminal and len(waiting) > 1 and alone
    for file, name in track(waiting, description="Inspecting", console=console, disable=not shown):
        try:
            photo = inspector(file, name)
        except Exception as error:
            failures.append(failure(file, error))
            reason = failures[-1].reason
            console.print(f"Left out: {reason}", style="red", highlight=False, markup=False)
            continue
        save_inspected(_stored(inspector.out, name), photo)
    return failures


def _judge(rules: Limits | None):
    """What fills in the verdict of a photo."""

    def judged(photo: Record) -> Record:
        if rules is None:
            return photo
        failures = judge(
            rules, photo.cracks, size_hw=photo.size_hw, mm_per_pixel=photo.mm_per_pixel
        )
        return replace(photo, failures=failures, judged=True)

    return judged


def _write_tables(out: Path, photos: StoredPhotos) -> tuple[int, list[str]]:
    """Write tables and vectors; return how many cracks there are, and which photos fail."""
    cracks, failing = 0, []

    def counted() -> Iterator[Record]:
        nonlocal cracks
        for photo in photos:
            cracks += len(photo.cracks)
            failing.extend([photo.name] if photo.failures else [])
            yield photo

    write_cracks_csv(out / "cracks.csv", photos)
    write_photos_csv(out / "photos.csv", counted())
    write_widths_csv(out / "widths.csv", photos)
    write_vectors(out, photos)
    return cracks, failing


def _write_page(
    page: Path,
    stored: list[Path],
    rules: Limits | None,
    settings: dict[str, Any],
    model_card: str | None,
) -> None:
    write_report(
        page,
        StoredPhotos(stored, preview=True, judge=_judge(rules)),
        settings=settings,
        model_card=model_card,
        limits=rules,
        versions=versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        overlay=_overlay,
    )


def _labeled(out: Path, photos: Iterable[Record]) -> Iterator[tuple[Record, NDArray[np.int32]]]:
    for photo in photos:
        labels = read_labels(out, photo)
        if labels is not None:
            yield photo, labels


def _overlay(photo: Record) -> NDArray[np.uint8]:
    return draw_cracks(
        photo.preview, photo.cracks, scale=photo.preview_scale, mm_per_pixel=photo.mm_per_pixel
    )


def _card(folder: Path) -> str | None:
    """The model card beside a model, where there is one."""
    card = folder / "card.md"
    return card.read_text(encoding="utf-8") if card.is_file() else None


def _settings_in_words(
    settings: dict[str, Any], predictor: Predictor | None, failures: list[Failure]
) -> dict[str, Any]:
    told = {
        name: value
        for name, value in settings.items()
        if name not in ("scaling", "measuring", "inputs") and value is not None
    }
    told["inputs"] = ", ".join(settings["inputs"])
    for group in ("scaling", "measuring"):
        told |= {name: value for name, value in settings[group].items() if value is not None}
    if predictor is not None:
        told |= {
            "threshold": predictor.threshold,
            "scale of the network": predictor.scale,
            "machine": describe_machine(predictor.device),
        }
    if failures:
        told["files left out"] = "; ".join(failure.reason for failure in failures)
    return told
