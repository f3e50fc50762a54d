"""The page docs/measurement.md, written from benchmarks/results/measurement.json."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from side_by_side import RESULTS

from fissura.files import replacing

PAGE = Path(__file__).parents[1] / "docs" / "measurement.md"


def page(results: dict[str, Any]) -> str:
    """The text of the page."""
    date = datetime.fromisoformat(results["created"])
    branching, predicted = results["branching"], results["predicted"]
    worst = max(row["mae"] for row in _clean(results) if row["width"] >= 1.5)
    length = max(row["length_mae"] for row in _clean(results) if row["width"] >= 1.5)
    return f"""# Measuring cracks

`fissura measure` and `fissura inspect` turn probabilities into millimeters. This page says how, and how far the results are from the truth. The numbers come from `python benchmarks/measurement.py` (seed {results["seed"]}; {results["machine"]}; torch {results["versions"]["torch"]}; {date:%-d %B %Y}; {results["seconds"]:.0f} s).

## What is measured

A **crack** is a connected component (diagonal neighbors count) of the pixels whose probability is at least the threshold. Its metrics:

| metric | meaning |
|---|---|
| length | of the centerline, all branches together |
| longest path | the longest of the shortest paths along the centerline between two of its points |
| width: mean, median, 95th percentile, maximum | over all samples, the points of the centerline where a width could be measured; and the point of the maximum |
| width error | the typical uncertainty of one width, see below |
| area | its pixels |
| orientation | of the centerline on average: 0° is horizontal, 90° vertical, 45° rises to the right |
| branches | number of lines between ends and junctions |

Every column says its unit. Where no resolution is known, that is the pixel. In Python, `crack.metrics()` has the same numbers under the same names, and `crack.lines`, `crack.samples` and `crack.widths` have the centerline and every width.

**The centerline** is the component thinned to a line (Guo and Hall 1989), pruned, moved into the middle between the crack's edges, and smoothed by a Gaussian of two points. Where it ends freely it goes on in its direction to the crack's tip.

**Specks** are left out: cracks whose centerline is shorter than `--min-length`, 10 pixels by default.

**Spurs** are pruned by this rule: a branch with a free end goes if it is shorter than the crack is wide at the junction where it begins (times `--spur`), or shorter than 4 pixels.

**Gaps** stay unless `--bridge N` is given: then two free ends at most N pixels apart are joined where the line between them turns by at most 30° from the direction of either. A bridge counts as length and has no width.

**A width** is the distance between two edges along the normal of the centerline; an edge is the point where the probability, interpolated between pixels, passes through the threshold. No widths are measured within a crack's own half width of a junction, where the edges belong to other branches, and where the border of the image cuts a crack off lengthwise. The maximum is that of many noisy values and so a little high; the 95th percentile is the steadier metric.

**The uncertainty** of a width follows from the slopes of the probability at the two edges, g₁ and g₂ per pixel: σ·√(1/g₁² + 1/g₂²), with σ = 0.1 for the probability (`--prob-error`). It says how sharply the model sees the edges. It knows nothing of a model that is wrong, or of training masks that were drawn too wide.

**A model's own errors.** The `config.json` of a model may hold, under `measuring`, what was measured of its errors on photos that it was not trained on: `recipes/ship_general.py` puts it there, `recipes/fit_widths.py` checks it (`fissura-general` has it, `crackseg-small` has not). At the model's own threshold the ± of a width is then constant + a·width + b·σ, with σ of the formula above, fitted so that 68 of 100 true widths lie within it (a conformal quantile), and `factor_95` times that holds 95. Where all surfaces agreed that widths of some size are off in one direction, they are shifted back by the least of it. Masks, corrected masks, probabilities from files, other thresholds and models without `measuring` have the plain σ. [Models](models.md) tells how it is fitted.

**Cracks that the model doubts** are left out by the same entry: those where the mean probability of the ten surest points of the centerline is below `--min-prob`. `--min-prob 0` keeps all. The mask leaves out whole parts by the same number (see [prediction](prediction.md#what-happens-to-a-photo)); a crack that is left out beside surer ones of its part stays in it, as specks do.

**The resolution** comes from `--mm-per-pixel`; or from `--distance-mm` with focal length and sensor (from EXIF or given); or from `--marker-mm`, the side of an ArUco or AprilTag marker in the photo; or from the transform of a GeoTIFF. Four corners of a known rectangle, or markers seen at an angle, give a homography: then each width is multiplied by the local scale across the crack, |det J|/|J·t|, with J the derivative of the homography and t the crack's direction ([slanted surfaces](inspection.md#slanted-surfaces)).

**Size does not matter**: an image that does not fit into memory is thinned by windows, each read with a halo of four times its thickest crack's half width, and the centerlines are put together before anything is measured. The results are those of the whole image (tested).

## Which file is taken for what

`fissura measure` takes photos, masks and probabilities, and says for each file what it was read as. `--kind photo`, `--kind mask` or `--kind probability` says it instead. `fissura inspect` takes photos alone: it leaves out masks and Fissura's own results, and names the command that measures them.

| file | taken for |
|---|---|
| below `masks/` or `probabilities/` of a folder that `predict`, `inspect` or `measure` wrote, or a GeoTIFF from there | what Fissura wrote |
| gray with two values, whatever they are and in whatever format: 1-bit, palette, RGB, 8 or 16 bits, floats | a mask |
| dark with few bright pixels, and of one value elsewhere: a mask that was resampled or saved as JPEG | a mask |
| floats from 0 to 1 with more than two values; 16-bit gray | probabilities |
| pixels that differ from their neighbors nearly everywhere, since photos have noise, however dark or pale they are | a photo |
| with `--of-class rust=3`: every file | an index mask, of which one class is measured; maps of [several classes](classes.md) that `predict` wrote need the name alone |
| everything else: several classes without that, inverted masks, opacity beside colors | refused with a sentence |

A mask is read as in training: of two values the greater one is crack; of many, as soft and noisy edges bring, crack is from the middle on ([data](data.md)). A mask that would be crack for more than half is refused as inverted, unless Fissura wrote it. Masks and probabilities that are georeferenced or large are read by windows and keep their place on the ground.

**The threshold** of photos is that of the model, or `--threshold`. That of probabilities is `--threshold`, or else the threshold of the results that they belong to: that of `prediction.json`, `inspection.json` or `chunks/NAME/settings.json` beside them, or of the model that is named there. Of probabilities from elsewhere it is 0.5. The line that says what a file was read as says the threshold as well, and where it is from.

The same photo gives the same cracks, widths and mask by `fissura inspect`, by `fissura measure` and by `fissura.measure(predictor(photo))`, bit for bit (tested).

## How true it is

![Error of a width against the width](images/width_error.png)

**On shapes of exactly known size** ({len(results["bars"]["rows"])} widths, {results["bars"]["rows"][0]["shapes"]} straight and {results["arcs"]["rows"][0]["shapes"]} bent ones of each, at random points and angles, each pixel with the fraction of it that is covered). From 1.5 pixels up the mean absolute error of a width is at most **{worst:.2f} px** (wanted: 0.25), that of a length at most **{100 * length:.1f} %** (wanted: 2 %).

| width, px | straight: error | bias | length error | bent: error | bias | length error | as a mask: error | bias |
|--:|--:|--:|--:|--:|--:|--:|--:|--:|
{_shape_rows(results)}

Errors of widths in pixels, mean absolute; lengths likewise, in percent. {_broken(results)}

**On branching cracks** of the generator (`fissura.data.synthetic`; {branching["images"]} images of 400×600 pixels, drawn at least 1.5 px wide, exact probabilities): widths {branching["mae"]:.2f} px mean absolute error, bias {branching["bias"]:+.2f} px; length of all cracks of an image {100 * branching["length_mae"]:.1f} % mean absolute error, bias {100 * branching["length_bias"]:+.1f} %, {100 * branching["length_largest"]:.1f} % at worst. (Where a branch runs within another one, the truth counts it once.)

| true width, px | samples | error | bias |
|--:|--:|--:|--:|
{_binned_rows(branching)}

**On what the shipped model sees** (`{predicted["model"]}`, threshold {predicted["threshold"]:.3f}; {predicted["panels"]} synthetic panels of 384×384 pixels that it was not trained on; cracks as fine as 0.7 px): the error of a width is {predicted["mae"]:.2f} px on average, its bias {predicted["bias"]:+.2f} px. It finds {100 * predicted["length_found"]:.0f} % of the true length (within 3 px), and all it measures is {100 * predicted["length_over_truth"]:.0f} % of the true length. {100 * predicted["within_one_sigma"]:.0f} % of the widths are within their stated uncertainty of the truth and {100 * predicted["within_two_sigma"]:.0f} % within twice that (of a normal distribution it would be 68 and 95).

| true width, px | samples | error | bias |
|--:|--:|--:|--:|
{_binned_rows(predicted)}

So measuring adds little to the model's own errors. {_advice(predicted)}
"""


def _clean(results: dict[str, Any]) -> list[dict[str, Any]]:
    return [row for kind in ("bars", "arcs") for row in results[kind]["rows"] if row["mae"]]


def _shape_rows(results: dict[str, Any]) -> str:
    lines = []
    kinds = [results[kind]["rows"] for kind in ("bars", "arcs", "masks")]
    for straight, bent, mask in zip(*kinds, strict=True):
        cells = [f"{straight['width']:g}"]
        for row in (straight, bent):
            cells += [_px(row["mae"]), _signed(row["bias"]), _percent(row["length_mae"])]
        cells += [_px(mask["mae"]), _signed(mask["bias"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _binned_rows(results: dict[str, Any]) -> str:
    return "\n".join(
        f"| {row['width']:.1f} | {row['samples']} | {row['mae']:.2f} | {row['bias']:+.2f} |"
        for row in results["rows"]
    )


def _broken(results: dict[str, Any]) -> str:
    broken = {
        f"{row['width']:g}": row["broken"]
        for row in (*results["bars"]["rows"], *results["arcs"]["rows"])
        if row["broken"]
    }
    if not broken:
        return "Each shape was found as one crack."
    widths = ", ".join(f"{width} px" for width in dict.fromkeys(broken))
    return (
        f"{sum(broken.values())} shapes of {widths} were not found as one crack and are left out: "
        "no pixel of them need be half covered."
    )


def _advice(predicted: dict[str, Any]) -> str:
    def off(row: dict[str, Any]) -> str:
        direction = "wide" if row["bias"] > 0 else "narrow"
        return f"{abs(row['bias']):.1f} px too {direction} at {row['width']:.1f} px"

    first, last = predicted["rows"][0], predicted["rows"][-1]
    return (
        f"On these panels its cracks come out {off(first)} and {off(last)}; on other surfaces the "
        "bias is another one. Where tenths of a millimeter decide, photograph so that the limit is "
        "at least 5 pixels wide, and compare with a crack-width gauge at a few points first."
    )


def _px(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def write() -> None:
    """Write the page."""
    text = page(json.loads((RESULTS / "measurement.json").read_text(encoding="utf-8")))
    with replacing(PAGE) as temporary:
        temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
