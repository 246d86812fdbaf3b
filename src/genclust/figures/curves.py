"""Plots of learning curves, one line per configuration with all its seeds, and of bounds against samples."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, Int, Num
from matplotlib.axes import Axes

from genclust.figures.style import PAGE_WIDTH


def accuracy_curves(
    ax: Axes,
    curves: Mapping[str, Float[np.ndarray, "S P"]],
    epochs: Num[np.ndarray, " P"],
    ylabel: str = "Accuracy (%)",
) -> None:
    """Draw learning curves: the mean of the seeds as a line, their range as a band, each seed as a thin line.

    The band is minimum to maximum: it hides no collapsed seed and assumes no distribution. The
    curves are named on the right, in the order of their ends.

    Args:
        ax: axes to draw on.
        curves: for each name the values of S seeds at P points; S may differ between names.
        epochs: the P points in increasing order.
        ylabel: name of the values, with their unit.

    Raises:
        ValueError: for no curves, values that are not finite, or other shapes than ``[S, P]``.
    """
    epochs = np.asarray(epochs)
    if not curves or epochs.ndim != 1 or epochs.size == 0:
        raise ValueError("accuracy_curves needs at least one curve and a non-empty list of epochs")
    ends = []
    for i, (name, values) in enumerate(curves.items()):
        values = np.asarray(values)
        if values.ndim != 2 or len(values) == 0 or values.shape[1] != len(epochs):
            raise ValueError(f"the curves of {name!r} must have shape [seeds, {len(epochs)}], not {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"the curves of {name!r} hold values that are not finite")
        color = f"C{i}"
        ax.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=color, alpha=0.18, linewidth=0)
        ax.plot(epochs, values.T, color=color, alpha=0.45, linewidth=0.7)
        ax.plot(epochs, values.mean(axis=0), color=color, label=name)
        ends.append(float(values[:, -1].mean()))

    seeds = sorted({len(values) for values in curves.values()})
    count = " to ".join(str(n) for n in dict.fromkeys((seeds[0], seeds[-1]))) + " seed" + "s" * (seeds[-1] > 1)
    ax.set_title(f"mean and range of {count}", loc="left", fontsize="small")
    ax.set(xlabel="Epoch", ylabel=ylabel)
    ax.margins(x=0)
    _name_at_ends(ax, list(curves), ends)


def curve_panels(
    panels: Mapping[str, tuple[Mapping[str, Float[np.ndarray, "S P"]], Num[np.ndarray, " P"]]],
    height: float,
    log_epochs: bool = False,
) -> None:
    """Figure with the learning curves of several quantities, one panel below the other.

    Args:
        panels: for each quantity, with its unit, the curves and their epochs as for `accuracy_curves`.
        height: height of each panel, in inches.
        log_epochs: whether all panels share one logarithmic axis of epochs.
    """
    size = PAGE_WIDTH, height * len(panels)
    _, axes = plt.subplots(len(panels), 1, figsize=size, sharex=log_epochs, squeeze=False)
    for ax, (name, (curves, epochs)) in zip(axes.flat, panels.items(), strict=True):
        accuracy_curves(ax, curves, epochs, ylabel=name)
        if log_epochs:
            ax.set(xscale="log", xlabel="epoch" if ax is axes.flat[-1] else "")
            ax.xaxis.set_major_formatter("{x:g}")


def bound_curves(ax: Axes, curves: Mapping[str, tuple[Int[np.ndarray, " n"], Float[np.ndarray, "seeds n"]]]) -> None:
    """Draw one line per model: the mean bound over seeds (nats) against the number of importance samples.

    Args:
        ax: axes to draw on; samples are on a logarithmic axis.
        curves: for each name the numbers of samples, and the bounds in nats.
    """
    for i, (name, (samples, bounds)) in enumerate(curves.items()):
        ax.plot(samples, bounds.mean(0), color=f"C{i}", marker="o", markersize=4, label=name)
    ax.set(xscale="log", xlabel="importance samples $S$", ylabel="bound on $\\log p(x)$ (nats)")
    ax.legend(loc="lower right", fontsize="small")


def _name_at_ends(ax: Axes, names: list[str], ends: list[float]) -> None:
    """Write each name to the right of its curve's end, or as near as other names allow, after a dash in its colour.

    Lines from the ends to the names would cross where several curves end at one height.
    """
    low, high = ax.get_ylim()
    line_height = 1.3 * mpl.rcParams["font.size"] / 72 / (ax.bbox.height / ax.figure.dpi)
    heights = (np.array(ends) - low) / (high - low)
    order = np.argsort(heights, kind="stable")
    for below, above in pairwise(order):
        heights[above] = max(heights[above], heights[below] + line_height)
    heights[order[-1]] = min(heights[order[-1]], 1)  # a tall stack of names ends at the top of the axes
    for above, below in pairwise(order[::-1]):
        heights[below] = min(heights[below], heights[above] - line_height)
    for i, (name, height) in enumerate(zip(names, heights, strict=True)):
        ax.annotate(
            name,
            xy=(1.015, height),
            xytext=(1.06, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": f"C{i}", "linewidth": 3, "shrinkA": 4, "shrinkB": 0},
        )
