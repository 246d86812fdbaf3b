"""Figures of layers of latent variables: images with one layer sampled anew, and the clusters of one layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from matplotlib.axes import Axes

from genclust.figures.images import as_pictures, grid_figure, image_grid

#: Number of clusters side by side in one line.
COLUMNS = 25
#: Height, width and number of colours of an image.
Size = tuple[int, int, int]


def layers_of(arrays: Mapping[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    """Arrays of one kind by layer, from the first on: ``resampled_z1`` is of kind ``resampled_z`` and layer ``1``."""
    return {name.removeprefix(kind): arrays[name] for name in sorted(arrays) if name.startswith(kind)}


def layers_drawn_anew(
    axes: Iterable[Axes], arrays: Mapping[str, np.ndarray], size: Size, title: str, fontsize: str = "medium"
) -> None:
    """Draw Figure 2 of VLAC: images, and their decoder means with one layer sampled anew, on one axes per layer.

    Args:
        axes: axes to draw on, from the layer nearest to the image on.
        arrays: arrays of a record: ``layer_inputs``, shape [n, D], and ``resampled_z1`` and so on, shape [n, draws, D].
        size: size of the images; D is its product.
        title: title above each grid, with ``{}`` for the layer.
        fontsize: size of the titles.
    """
    inputs = arrays["layer_inputs"][:, None]
    for ax, (layer, drawn) in zip(axes, layers_of(arrays, "resampled_z").items(), strict=False):
        image_grid(ax, as_pictures(np.concatenate([inputs, drawn], 1), size), first_column_is_input=True)
        ax.set_title(title.format(layer), fontsize=fontsize)


def clusters_of_layers(arrays: Mapping[str, np.ndarray], size: Size, title: str) -> None:
    """Figures 3 and 4 of VLAC: samples of each cluster of every layer, one column per cluster, ``COLUMNS`` per line.

    Args:
        arrays: arrays of a record: ``components_y1`` and so on, shape [K, draws, D].
        size: size of the images; D is its product.
        title: title above each line, with ``{}`` for the layer.
    """
    lines = {}
    for layer, drawn in layers_of(arrays, "components_y").items():
        images = as_pictures(drawn.swapaxes(0, 1), size)
        for start in range(0, images.shape[1], COLUMNS):
            part = images[:, start : start + COLUMNS]
            lines[f"{title.format(layer)}, clusters {start + 1} to {start + part.shape[1]}"] = part
    grid_figure(lines, width=1, most_columns=max(8, *(line.shape[1] for line in lines.values())))
