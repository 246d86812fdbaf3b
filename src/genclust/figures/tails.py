"""Plots of learning curves with their fitted tails, and of predictions beside what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from genclust.figures.style import INK, PAGE_WIDTH

#: Part of the epochs before which a curve does not set the limits of its panel.
EARLY = 0.1
#: Ratio of the last epoch to the first below which powers of ten would be too few ticks.
FEW = 50


@dataclass(frozen=True)
class TailPanel:
    """What a panel shows of one row.

    Attributes:
        epochs: P epochs.
        values: of S seeds at these epochs.
        measured: the number at the end of the runs, in the mean over seeds.
        reported: the number that it is compared with.
        tail: epochs and values of the fitted tail of the seeds' mean, or None.
    """

    epochs: Float[np.ndarray, " P"]
    values: Float[np.ndarray, "S P"]
    measured: float
    reported: float
    tail: tuple[Float[np.ndarray, " Q"], Float[np.ndarray, " Q"]] | None = None


def tail_panels(panels: Mapping[str, TailPanel], unit: str) -> None:
    """Figure with two panels per line: learning curves over the logarithm of the epochs, and the paper's number.

    Args:
        panels: by title.
        unit: unit of the values.
    """
    lines = -(-len(panels) // 2)
    figure, axes = plt.subplots(lines, 2, figsize=(PAGE_WIDTH, 1.6 * lines + 0.9), squeeze=False)
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax, (title, panel) in zip(axes.flat, panels.items(), strict=False):
        _draw(ax, panel)
        ax.set_title(title, fontsize="small", loc="left")
    for ax in axes[:, 0]:
        ax.set_ylabel(unit, fontsize="small")
    figure.supxlabel("epoch", fontsize="small", color=INK)
    handles = [
        Line2D([], [], color="C1", linewidth=1.5, label="the paper's number, or our threshold"),
        Line2D([], [], color="C2", marker="D", markersize=6, linestyle="none", label="the same, measured"),
        Line2D([], [], color="C0", label="mean of the seeds"),
        Line2D([], [], color="C0", alpha=0.45, linewidth=0.7, label="each seed"),
    ]
    if any(panel.tail for panel in panels.values()):
        handles.append(Line2D([], [], color=INK, linestyle="--", linewidth=1.5, label="fitted tail"))
    figure.legend(handles=handles, loc="outside upper left", ncols=2, fontsize="small")


def _draw(ax: Axes, panel: TailPanel) -> None:
    ax.plot(panel.epochs, panel.values.T, color="C0", alpha=0.45, linewidth=0.7)
    ax.plot(panel.epochs, panel.values.mean(0), color="C0")
    ax.axhline(panel.reported, color="C1", linewidth=1.5)
    ax.plot(panel.epochs[-1], panel.measured, "D", color="C2", markersize=6, zorder=3)
    late = panel.values[:, panel.epochs >= EARLY * panel.epochs[-1]]
    low, high = min(late.min(), panel.reported, panel.measured), max(late.max(), panel.reported, panel.measured)
    if panel.tail:
        ax.plot(*panel.tail, color=INK, linestyle="--", linewidth=1.5)
        high = max(high, panel.tail[1].max())
    margin = 0.06 * (high - low)
    ax.set(xscale="log", ylim=(low - margin, high + margin))
    first, last = panel.epochs[0], panel.tail[0][-1] if panel.tail else panel.epochs[-1]
    steps = (1, 2, 5) if last / first < FEW else (1,)
    ticks = [step * 10.0**power for power in range(7) for step in steps]
    ax.set_xticks([tick for tick in ticks if first <= tick <= last])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:g}")
    ax.tick_params(labelsize="small")


def prediction_figure(found: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Figure of what was expected against what came out, a dot per prediction and a colour per data set.

    Args:
        found: pairs of expected and measured gains in nats by data set.
    """
    figure, ax = plt.subplots(figsize=(0.7 * PAGE_WIDTH, 4.2))
    for i, (data, pairs) in enumerate(found.items()):
        expected, measured = np.array(pairs).T
        ax.plot(expected, measured, "o", color=f"C{i}", alpha=0.75, markersize=5, label=data)
    values = np.concatenate([np.array(pairs).ravel() for pairs in found.values()])
    ends = np.array([min(values.min(), 0), max(values.max(), 0)])
    ax.plot(ends, ends, color=INK, linewidth=1)
    ax.set(xlabel="expected (nats)", ylabel="measured (nats)")
    for axis in ("x", "y"):
        getattr(ax, f"set_{axis}scale")("symlog", linthresh=0.1)
        getattr(ax, f"{axis}axis").set_major_formatter("{x:g}")
    figure.legend(loc="outside upper left", ncols=4, fontsize="small", columnspacing=1.0)
