"""Plots of the page of findings: scores of several kinds, the best of several seeds, differences and chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from genclust.figures.seeds import name_rows
from genclust.figures.style import INK, PHONE_WIDTH

#: Height in inches of a row with a name, and of what a panel has beside its rows.
ROW, FRAME = 0.32, 0.5
MARKERS = ("o", "s", "D")


def score_panels(panels: Mapping[str, Mapping[str, Mapping[str, float]]], xlabel: str) -> None:
    """A figure with one panel below the other: for each name a marker per kind of score, joined by a line.

    Args:
        panels: by title and name the score of each kind; all names have the same kinds, three at most.
        xlabel: what the scores are, with their unit.
    """
    heights = [len(names) for names in panels.values()]
    size = PHONE_WIDTH, ROW * sum(heights) + FRAME * (len(panels) + 1)
    figure, axes = plt.subplots(len(panels), 1, figsize=size, sharex=True, squeeze=False, height_ratios=heights)
    for ax, (title, names) in zip(axes.flat, panels.items(), strict=True):
        for place, scores in enumerate(names.values()):
            ax.hlines(place, min(scores.values()), max(scores.values()), color=INK, linewidth=1.5, alpha=0.6)
            for i, (kind, score) in enumerate(scores.items()):
                ax.plot(score, place, MARKERS[i], color=f"C{i}", markersize=6, label=kind if place == 0 else None)
        name_rows(ax, list(names))
        ax.set_title(title, loc="left")
    axes.flat[-1].set_xlabel(xlabel)
    handles, kinds = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, kinds, loc="outside upper left", ncols=len(kinds), handletextpad=0.1)


def selection_panels(
    panels: Mapping[str, tuple[Mapping[str, Float[np.ndarray, " n"]], tuple[float, float]]], ylabel: str
) -> None:
    """A figure with panels side by side: the score to expect of the best of 1, 2, … seeds, beside the paper's.

    Args:
        panels: by title the curves by name, and the paper's mean and standard deviation.
        ylabel: what the score is, with its unit.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(PHONE_WIDTH, 4.2), squeeze=False)
    for ax, (title, (curves, (mean, sd))) in zip(axes.flat, panels.items(), strict=True):
        ax.axhspan(mean - sd, mean + sd, color=INK, alpha=0.12, linewidth=0)
        ax.axhline(mean, color=INK, linestyle="--", linewidth=1.5, label="paper, mean ± sd")
        for i, (name, curve) in enumerate(curves.items()):
            ax.plot(range(1, len(curve) + 1), curve, MARKERS[i], color=f"C{i}", linestyle="-", markersize=5, label=name)
        ax.set(xlabel="seeds to choose among", title=title)
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes.flat[0].set_ylabel(ylabel)
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside upper left")


def change_rows(
    changes: Mapping[str, tuple[Sequence[float], tuple[float, float], tuple[float, float]]], xlabel: str
) -> None:
    """A figure with a row per name, from the top: a dot per seed, a thick and a thin line for two intervals.

    Args:
        changes: by name the difference of every seed, its interval of pairs, and that of unpaired seeds.
        xlabel: what the differences are, with their unit.
    """
    figure, ax = plt.subplots(figsize=(PHONE_WIDTH, 0.4 * len(changes) + 1.2))
    ax.axvline(0, color=INK, linewidth=1)
    for place, (seeds, narrow, wide) in enumerate(changes.values()):
        ax.plot(wide, [place] * 2, color=INK, linewidth=1, label="unpaired, 95 %")
        ax.plot(narrow, [place] * 2, color="C1", linewidth=5, alpha=0.8, label="pairs, 95 %")
        ax.plot(seeds, [place] * len(seeds), "o", color="C0", markersize=5, label="each seed")
    name_rows(ax, list(changes))
    ax.set_xlabel(xlabel)
    handles, names = ax.get_legend_handles_labels()
    figure.legend(handles[:3][::-1], names[:3][::-1], loc="outside upper left", ncols=3, handlelength=1.5)


def chance_curve(ax: Axes, scores: Mapping[str, Sequence[tuple[float, float]]], ylabel: str) -> None:
    """Draw scores against the number of points in a cluster, on a logarithmic axis: a curve, and dots of all others.

    Args:
        ax: axes to draw on.
        scores: points in a cluster and score by name; the first are the curve.
        ylabel: what the scores are, with their unit.
    """
    (curve, of_curve), *others = scores.items()
    ax.plot(*zip(*of_curve, strict=True), color=INK, label=curve)
    for i, (name, dots) in enumerate(others):
        ax.plot(*zip(*dots, strict=True), MARKERS[i], color=f"C{i}", alpha=0.8, markersize=6, label=name)
    ax.set(xscale="log", xlabel="points per cluster", ylabel=ylabel)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.legend()
