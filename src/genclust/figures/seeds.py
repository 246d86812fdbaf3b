"""Plots of the values of every seed, alone or beside the paper's number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from genclust.figures.style import INK, PAGE_WIDTH, PHONE_WIDTH


def seed_rows(
    ax: Axes, measured: Mapping[str, Sequence[float]], xlabel: str, reported: Mapping[str, float] | None = None
) -> None:
    """Draw one row per name, from the top: a dot per seed, a bar at their mean, and a diamond for the paper's number.

    Args:
        ax: axes to draw on.
        measured: the seeds' values by name; a row stays empty without any.
        xlabel: name of the values, with their unit.
        reported: the paper's numbers, for those names that it has one for; a legend says what they are.
    """
    for place, values in enumerate(measured.values()):
        ax.plot(values, [place] * len(values), "o", color="C0", alpha=0.7, markersize=5)
        if values:
            mean = sum(values) / len(values)
            ax.vlines(mean, place - 0.3, place + 0.3, color=INK, linewidth=2)
    if reported is not None:
        places = [list(measured).index(name) for name in reported]
        ax.plot(list(reported.values()), places, "D", color="C1", markersize=5, label="paper")
        ax.plot([], [], "o", color="C0", label="a seed")
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, labelcolor=INK)
    ax.set_xlabel(xlabel)
    name_rows(ax, list(measured))


def name_rows(ax: Axes, names: Sequence[str]) -> None:
    """Name the rows at 0, 1, … from the top."""
    ax.set(yticks=range(len(names)), yticklabels=names)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.grid(axis="y", visible=False)


def row_panels(panels: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str) -> None:
    """A figure with two panels a line, each with a row of dots for the same names, and a line at zero.

    Args:
        panels: by title the values of each name, as for `seed_rows`; all panels have the same names.
        xlabel: what the values are, with their unit.
    """
    rows, names = -(-len(panels) // 2), len(next(iter(panels.values())))
    size = PAGE_WIDTH, rows * (0.32 * names + 0.9)
    figure, axes = plt.subplots(rows, 2, figsize=size, sharex=True, sharey=True, squeeze=False)
    figure.supxlabel(xlabel, fontsize="medium")
    for ax in axes.flat[len(panels) :]:
        ax.axis("off")
    for ax, (title, measured) in zip(axes.flat, panels.items(), strict=False):
        ax.axvline(0, color=INK, linewidth=1)
        seed_rows(ax, measured, "")
        ax.set_title(title)


def stacked_rows(panels: Mapping[str, Mapping[str, Sequence[float]]], xlabel: str, differences: bool = False) -> None:
    """A figure with one panel below the other, each with a row of dots per name of its own.

    Args:
        panels: by title the values of each name, as for `seed_rows`.
        xlabel: what the values are, with their unit.
        differences: whether the values are differences, so that there is a line at zero; their sizes may differ from
            panel to panel, so each has an axis of its own.
    """
    rows = [len(measured) for measured in panels.values()]
    size = PHONE_WIDTH, 0.34 * sum(rows) + (0.75 if differences else 0.5) * len(panels) + 0.3
    _, axes = plt.subplots(len(panels), 1, figsize=size, sharex=not differences, squeeze=False, height_ratios=rows)
    for ax, (title, measured) in zip(axes.flat, panels.items(), strict=True):
        if differences:
            ax.axvline(0, color=INK, linewidth=1)
        seed_rows(ax, measured, xlabel if ax is axes.flat[-1] else "")
        ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
        ax.set_title(title, loc="left")


def seeds_against_paper(
    ax: Axes,
    measured: Mapping[str, Sequence[float]],
    reported: Mapping[str, tuple[float, float | None]],
    ylabel: str = "per cent",
) -> None:
    """Draw one column per score: a dot per seed, a line at their mean, and the paper's mean ± sd beside them.

    Args:
        ax: axes to draw on.
        measured: the seeds' values for each score.
        reported: the paper's mean and standard deviation (None where it gives none), by score; scores that it has no
            number for, or none to compare with, are not in it.
        ylabel: name of the values, with their unit.

    Raises:
        ValueError: for a score without any seed.
    """
    if not all(measured.values()):
        raise ValueError("every score needs at least one seed")
    points = pd.DataFrame(
        [(name, value) for name, values in measured.items() for value in values], columns=["", ylabel]
    )
    sns.swarmplot(points, x="", y=ylabel, order=list(measured), size=4.5, alpha=0.8, color="C0", ax=ax)
    for i, (name, values) in enumerate(measured.items()):
        ax.hlines(sum(values) / len(values), i - 0.17, i + 0.17, color="C0", linewidth=2)
        if name in reported:
            mean, sd = reported[name]
            ax.errorbar(i + 0.3, mean, yerr=sd, fmt="D", color="C1", markersize=5, capsize=3)
    ax.plot([], [], "o", color="C0", label="each seed, and their mean")
    if reported:
        ax.plot([], [], "D", color="C1", label="paper, mean ± sd")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, labelcolor=INK)  # above, where no seed lies
    ax.margins(x=0.02)
    ax.tick_params(axis="x", labelsize="small")  # so that the names of six scores have room
