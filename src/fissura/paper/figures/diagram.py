"""A diagram of losses, whose arrows turn one into another; every arrow is checked on numbers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from fissura.overlay import Color
from fissura.paper.losses import GREEK
from fissura.study.outputs.figure_files import rgb

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

Losses = dict[str, Callable[..., Tensor]]

# From where the options that a claim leaves open are drawn; a claim must hold for all of them.
RANGES = {
    "gamma_hat": (0.0, 4.0),
    "margin": (0.0, 2.0),
    "delta": (0.0, 1.0),
    "gamma": (0.3, 1.0),
    "smooth": (0.1, 2.0),
}
FRACTIONS = {0.5: "½"}

BOX_WIDTH = 2.06
TEXT_SIZE = 7.5  # points
# From one line of a box to the next, in inches.
LINE = 0.165


@dataclass(frozen=True)
class Node:
    """A loss in the diagram.

    Attributes:
        loss: Its key in the losses that are drawn.
        title: Its name in code.
        symbol: The paper's; "_aFM" is set as a subscript.
        formula: Lines, as in the loss's docstring; "^γ̂" is set as an exponent.
        at: Center of its box, (x, y) in inches from the lower left corner.
        height: Of its box, in inches; the width is the same for all.
        color: Of the box; None is white.
    """

    loss: str
    title: str
    symbol: str
    formula: tuple[str, ...]
    at: tuple[float, float]
    height: float
    color: Color | None = None

    def corner(self, side: tuple[float, float]) -> tuple[float, float]:
        """Return a point of the box in inches: (−1, −1) is the lower left, (0, 0) the center."""
        return (
            self.at[0] + side[0] * BOX_WIDTH / 2,
            self.at[1] + side[1] * self.height / 2,
        )


@dataclass(frozen=True)
class Edge:
    """`source` with `options` is `target` with `target_options`, whatever the other options are.

    Attributes:
        source: Key of the loss where the arrow begins.
        options: Its options.
        target: Key of the loss where the arrow ends.
        start: Where the arrow leaves its box: (−1, 0) is the middle of the left side, (0, 1) that
            of the upper one.
        end: Where it enters the other box, likewise.
        label_at: Center of the label, in inches from the middle of the arrow.
        target_options: Options of the target.
    """

    source: str
    options: dict[str, float]
    target: str
    start: tuple[float, float]
    end: tuple[float, float]
    label_at: tuple[float, float]
    target_options: dict[str, float] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The options in the paper's letters: "γ̂ = 0, δ = ½"; smoothing, a detail, is left out."""
        return ", ".join(
            f"{GREEK[name]} = {FRACTIONS.get(value, f'{value:g}')}"
            for name, value in self.options.items()
            if name in GREEK
        )


@dataclass(frozen=True)
class Ground:
    """A tinted ground behind some boxes.

    Attributes:
        x: From left to right, in inches.
        y: From bottom to top, in inches.
        color: Its tint; None is white.
        title: Written at its top.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    color: Color | None
    title: str


@dataclass(frozen=True)
class Note:
    """A few words in the diagram.

    Attributes:
        at: Their center, (x, y) in inches.
        text: The words.
        upright: Whether they are turned by 90°.
    """

    at: tuple[float, float]
    text: str
    upright: bool = False


def check_edge(edge: Edge, losses: Losses) -> None:
    """Check that the two losses of an edge are equal, in float64, on random input.

    Options that both losses have and the edge does not fix take the same random value in both;
    those that one of them has alone must not matter.

    Args:
        edge: The edge.
        losses: Functions by their keys.

    Raises:
        RuntimeError: They are not equal.
    """
    terms = [(edge.source, edge.options), (edge.target, edge.target_options)]
    for z, t, drawn in _random_cases():
        one, other = (_value(losses[name], z, t, drawn | fixed) for name, fixed in terms)
        _demand_equal(f"{edge.source} at {edge.label}", one, edge.target, other)


def check_sum(whole: str, parts: tuple[str, ...], losses: Losses) -> None:
    """Check that a loss is the sum of others, in float64, on random input.

    Args:
        whole: Key of the loss.
        parts: Keys of the others.
        losses: Functions by their keys.

    Raises:
        RuntimeError: It is not.
    """
    for z, t, drawn in _random_cases():
        total = sum(_value(losses[part], z, t, drawn) for part in parts)
        _demand_equal(whole, _value(losses[whole], z, t, drawn), " + ".join(parts), float(total))


def _random_cases(count: int = 8) -> list[tuple[Tensor, Tensor, dict[str, float]]]:
    """Return random logits, targets (hard and soft in turn) and options."""
    generator = torch.Generator().manual_seed(0)
    cases = []
    for index in range(count):
        logits = 4 * torch.randn(2, 1, 5, 7, dtype=torch.float64, generator=generator)
        target = torch.rand(2, 1, 5, 7, dtype=torch.float64, generator=generator)
        at = torch.rand(len(RANGES), generator=generator).tolist()
        options = {
            name: low + drawn * (high - low)
            for (name, (low, high)), drawn in zip(RANGES.items(), at, strict=True)
        }
        cases.append((logits, target if index % 2 else (target < 0.2).double(), options))
    return cases


def _value(loss: Callable[..., Tensor], z: Tensor, t: Tensor, options: dict[str, float]) -> float:
    """Call a loss with those of the options that it has."""
    known = inspect.signature(loss).parameters
    return float(loss(z, t, **{name: value for name, value in options.items() if name in known}))


def _demand_equal(name: str, value: float, other: str, other_value: float) -> None:
    """Raise RuntimeError unless two values are equal but for rounding."""
    if abs(value - other_value) > 1e-10 * max(abs(value), abs(other_value)):
        raise RuntimeError(
            f"{name} is not {other}: {value:.6g} against {other_value:.6g}. The diagram would be "
            "wrong; mend the loss, or take the arrow out."
        )


def draw_diagram(
    size: tuple[float, float],
    nodes: list[Node],
    edges: list[Edge],
    sums: dict[str, tuple[str, ...]],
    grounds: list[Ground],
    notes: list[Note],
) -> Figure:
    """Draw a diagram of losses.

    Args:
        size: (width, height) of the page in inches.
        nodes: The losses.
        edges: The arrows between them.
        sums: The losses that a loss is the sum of; written in boxes without a formula.
        grounds: Drawn behind the boxes.
        notes: Words beside them.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, size[0]), ylim=(0, size[1]))
    axes.set_axis_off()
    for ground in grounds:
        _draw_ground(axes, ground)
    by_loss = {node.loss: node for node in nodes}
    for node in nodes:
        parts = (by_loss[part].symbol for part in sums.get(node.loss, ()))
        _draw_node(axes, node, node.formula or (" + ".join(parts),))
    for edge in edges:
        _draw_edge(axes, edge, by_loss)
    for note in notes:
        axes.text(
            *note.at, note.text, fontsize=TEXT_SIZE, ha="center", va="center", color="0.2",
            linespacing=1.45, rotation=90 if note.upright else 0,
        )  # fmt: skip
    return figure


def _draw_ground(axes: Axes, ground: Ground) -> None:
    """Draw a tinted ground with its title."""
    from matplotlib.patches import Rectangle

    if ground.color is not None:
        corner = (ground.x[0], ground.y[0])
        width, height = ground.x[1] - ground.x[0], ground.y[1] - ground.y[0]
        color = rgb(ground.color, 0.22)
        axes.add_patch(Rectangle(corner, width, height, facecolor=color, zorder=0))
    middle = sum(ground.x) / 2
    axes.text(
        middle, ground.y[1] - 0.22, ground.title, fontsize=TEXT_SIZE + 1.5, ha="center", va="center"
    )


def _draw_node(axes: Axes, node: Node, formula: tuple[str, ...]) -> None:
    """Draw a box with symbol, name and formula."""
    from matplotlib.patches import FancyBboxPatch

    x, y = node.at
    left, bottom = node.corner((-1, -1))
    rounding = 0.06
    box = FancyBboxPatch(
        (left + rounding, bottom + rounding),
        BOX_WIDTH - 2 * rounding,
        node.height - 2 * rounding,
        boxstyle=f"round,pad={rounding}",
        facecolor="white" if node.color is None else rgb(node.color, 0.5),
        edgecolor="0.25" if node.color is None else "black",
        linewidth=0.8 if node.color is None else 2.2,
        zorder=2,
    )
    axes.add_patch(box)
    lines = [(node.symbol, TEXT_SIZE + 2.5), (node.title, TEXT_SIZE)]
    lines += [(line, TEXT_SIZE) for line in formula]
    top = y + LINE * (len(lines) - 1) / 2
    for index, (line, size) in enumerate(lines):
        # Underscores of a name in code are no subscripts.
        runs = [line] if index == 1 else re.split(r"([\^_]\w\u0302?\w*)", line)
        weight = "bold" if index == 0 else "normal"
        color = "0.3" if index == 1 else "black"
        height = top - index * LINE + (0.03 if index == 0 else 0)
        _draw_runs(axes, (x, height), runs, size, weight, color)


def _draw_runs(
    axes: Axes, center: tuple[float, float], runs: list[str], size: float, weight: str, color: str
) -> None:
    """Draw runs of text as one line; those that begin with ^ or _ are raised or lowered.

    Matplotlib's own formulas would do it, but as text in an SVG their hats sit on wrong letters.
    """
    from matplotlib.font_manager import FontProperties

    placed, width = [], 0.0
    for run in filter(None, runs):
        shift = {"^": 0.4, "_": -0.22}.get(run[0], 0.0) * size
        words = run[1:] if shift else run
        font = FontProperties(size=0.75 * size if shift else size, weight=weight)
        placed.append((width, shift, words, font))
        width += _advance(words, font)
    for x, shift, words, font in placed:
        # The middle of a line of small letters is about a third of their size above its foot.
        foot = center[1] + (shift - 0.36 * size) / 72
        start = center[0] - width / 2 + x
        axes.text(start, foot, words, fontproperties=font, color=color, va="baseline", zorder=3)


def _advance(words: str, font: FontProperties) -> float:
    """Return the inches from the start of a text to the start of the next one.

    Only ink can be measured, so bars are put on both sides.
    """
    from matplotlib.textpath import text_to_path

    def ink(text: str) -> float:
        return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]

    return (ink(f"|{words}|") - ink("||")) / 72


def _draw_edge(axes: Axes, edge: Edge, nodes: dict[str, Node]) -> None:
    """Draw an arrow with its label beside it."""
    start, end = nodes[edge.source].corner(edge.start), nodes[edge.target].corner(edge.end)
    axes.annotate(
        "",
        xy=end,
        xytext=start,
        arrowprops={
            "arrowstyle": "-|>,head_width=0.22,head_length=0.45",
            "shrinkA": 0, "shrinkB": 1, "linewidth": 1.2, "color": "0.15",
        },
        zorder=1,
    )  # fmt: skip
    x, y = ((a + b) / 2 + shift for a, b, shift in zip(start, end, edge.label_at, strict=True))
    # More than two options fit between two boxes below one another.
    label = edge.label if edge.label.count(",") < 2 else edge.label.replace(", ", "\n")
    axes.text(x, y, label, fontsize=TEXT_SIZE + 0.5, ha="center", va="center", zorder=3)
