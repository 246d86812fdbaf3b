"""Bar charts and curves of the benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from genclust.figures.style import CLASSES, INK

#: Grey colours of the bars of other libraries; those of this library are coloured.
OTHERS = (INK, "#a8a8a8", "#8d99ae", "#b5a48c")


def bars(
    ax: Axes,
    values: Mapping[str, Mapping[str, float]],
    labels: Mapping[str, Mapping[str, str]],
    ours: Sequence[str],
    xlabel: str,
    line: tuple[float, str] | None = None,
) -> None:
    """Draw horizontal bars in groups, with the group's name above its bars and a label at the end of each bar.

    Args:
        ax: axes to draw on; about 5 inches wide, so that a phone hardly need shrink it.
        values: lengths of the bars by group and series, none below 0; groups may lack series.
        labels: labels at the ends of the bars, by group and series.
        ours: the series that are coloured, in order; the others are grey.
        xlabel: name of the values, with their unit.
        line: a value to mark, and its name.

    Raises:
        ValueError: for no values, or values that are negative or not finite.
    """
    flat = np.array([value for group in values.values() for value in group.values()])
    if flat.size == 0 or not np.isfinite(flat).all() or (flat < 0).any():
        raise ValueError("bars need at least one value, all finite and none below 0")
    series = list(dict.fromkeys(name for group in values.values() for name in group))
    others = [name for name in series if name not in ours]
    colors = {name: OTHERS[min(i, len(OTHERS) - 1)] for i, name in enumerate(others)}
    colors |= {name: CLASSES[i] for i, name in enumerate(name for name in ours if name in series)}

    y = 0.0
    for group, entries in values.items():
        ax.text(0, y, group, va="center", ha="left", fontweight="bold", fontsize="small")
        for name, value in entries.items():
            y += 1
            ax.barh(y, value, height=0.82, color=colors[name])
            ax.annotate(
                labels[group][name], (value, y), xytext=(4, 0), textcoords="offset points", va="center", size="small"
            )
        y += 1.5
    if line:
        ax.axvline(line[0], color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
    handles = [Patch(color=colors[name], label=name) for name in series]
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, fontsize="small", borderaxespad=0.2)
    ax.set(xlabel=xlabel if line is None else f"{xlabel}; dashed: {line[1]}", yticks=[])
    ax.set_xlim(0, 1.22 * max(flat.max(), line[0] if line else 0))  # room for the labels at the ends
    ax.set_ylim(y - 0.6, -0.9)
    ax.spines["left"].set_visible(False)
    ax.grid(axis="y", visible=False)


def scaling(ax: Axes, curves: Mapping[str, Mapping[int, float]], ylabel: str, level: tuple[float, str]) -> None:
    """Draw rates against the number of replicas, and the rate of one run after the other as a horizontal line.

    Args:
        ax: axes to draw on.
        curves: rate by number of replicas, for each layout.
        ylabel: name of the rates, with their unit.
        level: the rate that does not depend on the number, and its name.

    Raises:
        ValueError: for no curves or an empty one.
    """
    if not curves or not all(curves.values()):
        raise ValueError("scaling needs at least one curve, none of them empty")
    for i, (name, points) in enumerate(curves.items()):
        counts = sorted(points)
        ax.plot(counts, [points[n] for n in counts], "o-", color=CLASSES[i], label=name)
    ax.axhline(level[0], color=INK, linestyle=(0, (4, 3)), linewidth=1.4, label=level[1])
    counts = sorted({n for points in curves.values() for n in points})
    _at(ax, counts)
    ax.set(xlabel="replicas", ylabel=ylabel)
    ax.set_ylim(0)
    ax.legend(fontsize="small")


def cost(ax: Axes, milliseconds: Mapping[int, float], xlabel: str) -> None:
    """Draw milliseconds per step against a size, with the line of a time proportional to the size.

    Args:
        ax: axes to draw on; both axes are logarithmic.
        milliseconds: milliseconds per step by size.
        xlabel: name of the size.

    Raises:
        ValueError: for no points, or values not above 0.
    """
    sizes = sorted(milliseconds)
    times = [milliseconds[size] for size in sizes]
    if not sizes or min(sizes) <= 0 or min(times) <= 0:
        raise ValueError("cost needs at least one size, and sizes and times above 0")
    ax.loglog(sizes, times, "o-", color=CLASSES[0])
    ax.loglog(sizes, [times[-1] * size / sizes[-1] for size in sizes], color=INK, linestyle=(0, (4, 3)), linewidth=1.2)
    _at(ax, sizes)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel=xlabel, ylabel="ms a step")


def _at(ax: Axes, sizes: Sequence[int]) -> None:
    """Make the x axis logarithmic, with ticks only at the sizes."""
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.tick_params(axis="x", which="minor", length=0)
