"""What the clusters of an estimator look like."""

from __future__ import annotations

from collections.abc import Sequence

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
    typical: Float[np.ndarray, "K m H W C"], samples: Float[np.ndarray, "K n H W C"] | None, names: Sequence[str]
) -> Figure:
    """Typical rows and samples of every cluster, a row of images for each.

    Args:
        typical: rows of the data, from 0 (black) to 1.
        samples: draws from the model; None if it cannot be drawn from.
        names: of the clusters.
    """
    halves = {"typical rows": typical} | ({} if samples is None else {"samples": samples})
    widths = [images.shape[1] for images in halves.values()]
    width = PAGE_WIDTH * len(halves) / 2
    figure, axes = plt.subplots(
        1, len(halves), figsize=(width, width * len(names) / sum(widths)), width_ratios=widths, squeeze=False
    )
    for ax, (title, images) in zip(axes[0], halves.items(), strict=True):
        image_grid(ax, images, row_labels=names if images is typical else None)
        ax.set_title(title)
    return figure


def cluster_table(medoids: Float[np.ndarray, "K D"], names: Sequence[str], columns: Sequence[str]) -> Figure:
    """Medoids of every cluster as a heat map, in standard deviations of all rows.

    Args:
        medoids: a typical row of each cluster, in standard deviations from the mean of all rows.
        names: of the clusters.
        columns: their names; drawn are those in which the medoids differ most.
    """
    order = np.sort(np.argsort(medoids.std(0), kind="stable")[::-1][:MOST_COLUMNS])[::-1]
    width = min(PAGE_WIDTH, 3.6 + 0.9 * len(names))
    figure, ax = plt.subplots(figsize=(width, 0.9 + 0.3 * len(order)))
    heat_map(ax, medoids[:, order].T, [columns[at] for at in order], names, (-2, 2), decimals=1)
    ax.set_title("Typical rows, in standard deviations")
    ax.set_xlabel("cluster (its rows)")
    return figure
