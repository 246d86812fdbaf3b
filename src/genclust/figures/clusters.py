"""What the clusters of an estimator look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from genclust.figures.heat import heat_map
from genclust.figures.images import image_grid
from genclust.figures.style import PAGE_WIDTH

#: Columns of a table that are drawn: those in which clusters differ most.
MOST_COLUMNS = 12


def cluster_images(
    images: Mapping[str, Float[np.ndarray, "K n H W C"]], names: Sequence[str], all_clusters: int
) -> Figure:
    """Images of every cluster side by side, by what they show, a row for each cluster.

    Args:
        images: some of each cluster, from 0 (black) to 1, by the title to draw above them; two kinds or more.
        names: of the clusters, the largest of all.
        all_clusters: how many clusters there are; where these are more, that is written below.
    """
    widths = [of_kind.shape[1] for of_kind in images.values()]
    figure, axes = plt.subplots(
        1, len(images), figsize=(PAGE_WIDTH, 0.3 + PAGE_WIDTH * len(names) / (sum(widths) + 1)), width_ratios=widths
    )
    for ax, (title, of_kind) in zip(axes, images.items(), strict=True):
        image_grid(ax, of_kind, row_labels=names if ax is axes[0] else None)
        ax.set_title(title)
    _say_below(figure, _left_out(names, all_clusters))
    return figure


def cluster_table(
    medoids: Float[np.ndarray, "K D"],
    spreads: Float[np.ndarray, "K D"],
    names: Sequence[str],
    columns: Sequence[str],
    all_clusters: int,
) -> Figure:
    """Medoids of every cluster, and how far its rows spread around their mean, as two heat maps.

    Args:
        medoids: a typical row of each cluster, in standard deviations from the mean of all rows.
        spreads: standard deviation of the rows of each cluster, as a share of that of all rows.
        names: of the clusters, the largest of all.
        columns: their names; drawn are those in which the medoids differ most, and that is written below where there
            are others.
        all_clusters: how many clusters there are; where these are more, that is written below.
    """
    order = np.sort(np.argsort(medoids.std(0), kind="stable")[::-1][:MOST_COLUMNS])[::-1]
    width = min(PAGE_WIDTH, 3.6 + 0.9 * len(names))
    figure, axes = plt.subplots(2, figsize=(width, 1.8 + 0.6 * len(order)), sharex=True)
    drawn = [columns[at] for at in order]
    heat_map(axes[0], medoids[:, order].T, drawn, names, (-2, 2), decimals=1)
    axes[0].set_title("Typical row, standardised")
    heat_map(axes[1], spreads[:, order].T, drawn, names, (0, 1.5), decimals=1)
    axes[1].set_title("Spread (1: that of all rows)")
    axes[1].set_xlabel("cluster (its rows)")
    shown = f"{len(order)} of {len(columns)} columns: those in which typical rows differ most"
    _say_below(figure, shown if len(order) < len(columns) else "", _left_out(names, all_clusters))
    return figure


def _left_out(names: Sequence[str], all_clusters: int) -> str:
    """That there are more clusters than are drawn, or nothing."""
    return f"{len(names)} of {all_clusters} clusters: the largest" if len(names) < all_clusters else ""


def _say_below(figure: Figure, *sentences: str) -> None:
    if told := "\n".join(filter(None, sentences)):
        figure.supxlabel(told, fontsize="small")
