"""Plots of accuracy against cost, with a dot per seed and the name of each method beside its dots."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from matplotlib.transforms import Bbox

from genclust.figures.style import CLASSES, INK, PHONE_WIDTH

#: Height of a panel in inches.
HEIGHT = 3.8
#: Distances of a name from its dots in points, from the nearest on, and directions that are tried at each.
RADII, DIRECTIONS = (5, 9, 14, 20, 28, 38, 50, 64, 80, 98, 118, 140), 16
#: Margin in points that stays free around a name.
MARGIN = 1.5


@dataclass(frozen=True)
class Method:
    """What is drawn of a method.

    Attributes:
        name: stands beside its dots.
        family: methods of one family have one colour.
        minutes: cost of every seed, above 0.
        accuracies: accuracy of every seed, in per cent.
    """

    name: str
    family: str
    minutes: Sequence[float]
    accuracies: Sequence[float]

    @property
    def centre(self) -> tuple[float, float]:
        """Median of the cost, and mean of the accuracy."""
        return float(np.median(self.minutes)), float(np.mean(self.accuracies))


#: Family, cost and accuracy of every seed, by the name of the method.
Drawn = Mapping[str, tuple[str, Sequence[float], Sequence[float]]]


def cost_panels(panels: Mapping[str, Drawn], families: Sequence[str]) -> Figure:
    """A figure with one panel per data set, one below the other: accuracy against cost, every seed a dot.

    Args:
        panels: by title what is drawn of every method; a panel without any says so.
        families: in the order of their colours.

    Raises:
        ValueError: for a cost that is not above 0, or a family without a colour.
    """
    colors = dict(zip(families, CLASSES, strict=False))
    every = {title: [Method(name, *of) for name, of in drawn.items()] for title, drawn in panels.items()}
    for method in (method for methods in every.values() for method in methods):
        if method.family not in colors or not all(minutes > 0 for minutes in method.minutes):
            raise ValueError(f"{method.name} needs costs above 0 and a family with a colour")
    figure, axes = plt.subplots(len(panels), 1, figsize=(PHONE_WIDTH, HEIGHT * len(panels) + 0.5), squeeze=False)
    for ax, (title, methods) in zip(axes.flat, every.items(), strict=True):
        ax.set_title(title, loc="left")
        _dots(ax, methods, colors)
    axes.flat[-1].set_xlabel("core-minutes per seed")
    keys = [Line2D([], [], linestyle="", marker="o", color=colors[name], label=name) for name in families]
    figure.legend(handles=keys, loc="outside upper left", ncols=2, fontsize="small", handletextpad=0.1)
    figure.draw_without_rendering()  # places the axes,
    figure.set_layout_engine("none")  # which names must not move any more
    for ax, methods in zip(axes.flat, every.values(), strict=True):
        place_names(ax, methods)
    return figure


def _dots(ax: Axes, methods: Sequence[Method], colors: Mapping[str, str]) -> None:
    ax.set(xscale="log", ylabel="accuracy (Hungarian), %")
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    if not methods:
        ax.set(xticks=[], yticks=[])
        ax.tick_params(which="minor", length=0)
        ax.text(0.5, 0.5, "not run", transform=ax.transAxes, ha="center", va="center")
        return
    for method in methods:
        x, _ = method.centre
        color = colors[method.family]
        ax.vlines(x, min(method.accuracies), max(method.accuracies), color=color, linewidth=1, alpha=0.6)
        ax.plot(method.minutes, method.accuracies, "o", color=color, alpha=0.7, markersize=4, markeredgewidth=0)
    costs = [minutes for method in methods for minutes in method.minutes]
    low, high = min(costs), max(costs)
    room = max(high / low, 10) ** 0.12  # for names at the sides
    ax.set_xlim(low / room, high * room)
    ax.margins(y=0.1)


def place_names(ax: Axes, methods: Sequence[Method]) -> list[Annotation]:
    """Write the name of every method beside its dots, where it covers no dot, no line and no other name.

    A name that finds no room near by stands farther off, with a thin line to its dots.  If there is none anywhere, it
    stands where it covers least.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    point = figure.dpi / 72
    taken: list[Bbox] = []
    marks = _marks(ax, methods, 2.5 * point)
    frame = ax.get_window_extent(renderer)
    names = []
    # From the top, so that names above one another keep their order.
    for method in sorted(methods, key=lambda method: -method.centre[1]):
        text = ax.annotate(
            method.name,
            method.centre,
            xytext=(0, 0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize="small",
            color=INK,
            arrowprops={"arrowstyle": "-", "color": INK, "linewidth": 0.6, "alpha": 0.7, "shrinkA": 0, "shrinkB": 2},
        )
        size = text.get_window_extent(renderer)
        anchor = ax.transData.transform(method.centre)
        best = min(
            _candidates(anchor, size, point),
            key=lambda place: _penalty(place[0], place[1], anchor, frame, taken, marks, point),
        )
        box, radius = best
        text.set_position(tuple((np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2]) - anchor) / point))
        if radius <= RADII[2]:
            text.arrow_patch.set_visible(False)  # type: ignore[union-attr]
        else:
            marks = np.concatenate([marks, _leader(anchor, box)])
        taken.append(box)
        names.append(text)
    return names


def _marks(ax: Axes, methods: Sequence[Method], reach: float) -> Float[np.ndarray, "n 2"]:
    """Pixels that dots and the lines through them take up, as points with ``reach`` around each dot."""
    points = []
    for method in methods:
        dots = ax.transData.transform(np.stack([method.minutes, method.accuracies], axis=1))
        points += [dots + np.array(step) * reach for step in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))]
        x, _ = method.centre
        heights = np.linspace(min(method.accuracies), max(method.accuracies), 40)
        points.append(ax.transData.transform(np.stack([np.full(40, x), heights], axis=1)))
    return np.concatenate(points) if points else np.zeros((0, 2))


def _candidates(anchor: Float[np.ndarray, " 2"], size: Bbox, point: float) -> list[tuple[Bbox, float]]:
    """Places for a name of this size around its dots, from the nearest on, each with its distance in points."""
    found: list[tuple[Bbox, float]] = []
    for radius in RADII:
        for at in range(DIRECTIONS):
            angle = 2 * math.pi * at / DIRECTIONS
            x = anchor[0] + math.cos(angle) * (radius * point + size.width / 2)
            y = anchor[1] + math.sin(angle) * (radius * point + size.height / 2)
            found.append((Bbox.from_bounds(x - size.width / 2, y - size.height / 2, size.width, size.height), radius))
    return found


def _penalty(
    box: Bbox,
    radius: float,
    anchor: Float[np.ndarray, " 2"],
    frame: Bbox,
    taken: Sequence[Bbox],
    marks: Float[np.ndarray, "n 2"],
    point: float,
) -> tuple[bool, float, float]:
    """How bad a place is: whether it leaves the axes, what it covers or its line crosses, and its distance."""
    outside = box.x0 < frame.x0 or box.x1 > frame.x1 or box.y0 < frame.y0 or box.y1 > frame.y1
    padded = box.padded(MARGIN * point)
    covers = 50.0 * sum(padded.overlaps(other) for other in taken) + _inside(padded, marks).sum()
    if radius > RADII[2]:
        leader = _leader(anchor, box)
        covers += 10 * sum(bool(_inside(other, leader).any()) for other in taken)
    return outside, float(covers), radius


def _leader(anchor: Float[np.ndarray, " 2"], box: Bbox) -> Float[np.ndarray, "n 2"]:
    """Points of the line from the dots to the edge of a name's box."""
    centre = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
    along = np.linspace(0, 1, 60)[:, None]
    points = anchor + along * (centre - anchor)
    return points[~_inside(box, points)]


def _inside(box: Bbox, points: Float[np.ndarray, "n 2"]) -> np.ndarray:
    x, y = points.T
    return (x > box.x0) & (x < box.x1) & (y > box.y0) & (y < box.y1)
