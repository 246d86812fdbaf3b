"""Grids of images, such as generated samples and style transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, Num
from matplotlib.axes import Axes

from genclust.figures.style import PAGE_WIDTH

#: Height of a small title with the space around it, in inches.
TITLE = 0.35


def image_grid(
    ax: Axes,
    images: Float[np.ndarray, "rows cols H W"] | Float[np.ndarray, "rows cols H W C"],
    row_labels: Sequence[str] | None = None,
    first_column_is_input: bool = False,
) -> None:
    """Draw images as one grid with transparent gaps.

    Args:
        ax: axes to draw on.
        images: values from 0 (black) to 1; beyond them they are clipped. C is 1 (grey) or 3 (RGB).
        row_labels: names left of the rows.
        first_column_is_input: whether the first column is set apart, as the inputs of the others.

    Raises:
        ValueError: for another shape, values that are not finite, or another number of labels than of rows.
    """
    images = np.asarray(images)
    if images.ndim == 4:
        images = images[..., None]
    if images.ndim != 5 or images.shape[-1] not in (1, 3) or images.size == 0:
        raise ValueError(f"images must have shape [rows, cols, H, W] or [rows, cols, H, W, 1 or 3], not {images.shape}")
    if not np.isfinite(images).all():
        raise ValueError("images must be finite")
    rows, cols, H, W, _ = images.shape
    if row_labels is not None and len(row_labels) != rows:
        raise ValueError(f"row_labels must be {rows} names, not {len(row_labels)}")

    gap = _gap(W)
    tops = np.arange(rows) * (H + gap)
    lefts = np.arange(cols) * (W + gap)
    lefts[1:] += first_column_is_input * W // 2
    mosaic = np.zeros((tops[-1] + H, lefts[-1] + W, 4))
    for top, row in zip(tops, images, strict=True):
        for left, image in zip(lefts, row, strict=True):
            mosaic[top : top + H, left : left + W, :3] = image.clip(0, 1)
            mosaic[top : top + H, left : left + W, 3] = 1

    ax.imshow(mosaic, interpolation="none")
    ax.set_yticks(tops + (H - 1) / 2 if row_labels else [], row_labels or [])
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(False)


def grid_figure(
    grids: Mapping[str, Float[np.ndarray, "rows cols H W C"]], width: float = 0.7, most_columns: int = 0
) -> None:
    """Figure with grids of images below one another, such as the samples of several models, a row for each component.

    Args:
        grids: images as for `image_grid`, by the title above them.
        width: width of the figure, as a fraction of the page's; at 0.7 a phone shows all of it.
        most_columns: the columns that fill this width; by default those that a grid has.
    """
    inches = width * PAGE_WIDTH
    extents = []  # of each grid, or of a wider one where it has fewer columns, in pixels of its images
    for rows, cols, H, W, _ in map(np.shape, grids.values()):
        gap = _gap(W)
        extents.append(((most_columns or cols) * (W + gap) - gap, rows * (H + gap) - gap))
    heights = [inches * down / across for across, down in extents]
    size = inches, sum(heights) + TITLE * len(grids)
    _, axes = plt.subplots(len(grids), 1, figsize=size, height_ratios=heights, squeeze=False)
    for ax, (title, images), (across, _) in zip(axes.flat, grids.items(), extents, strict=True):
        image_grid(ax, images)
        ax.set_xlim(-0.5, across - 0.5)
        ax.set_title(title, loc="left", fontsize="small")


def _gap(width: int) -> int:
    """Pixels between images of this width."""
    return max(1, width // 14)


def as_pictures(
    images: Num[np.ndarray, "rows cols D"], shape: tuple[int, int, int] | None = None
) -> Float[np.ndarray, "rows cols H W C"]:
    """Reshape flattened images 0 … 255, grey or with the colours of a pixel side by side, to images from 0 to 1.

    Args:
        images: flattened images.
        shape: height, width and colours of an image; by default it is square.

    Raises:
        ValueError: if D is not the product of the sizes, or without them neither a square number nor three times one.
    """
    size = images.shape[-1]
    if shape is None:
        sides = {channels: round((size / channels) ** 0.5) for channels in (1, 3)}
        square = [(side, side, channels) for channels, side in sides.items() if channels * side * side == size]
        if not square:
            raise ValueError(f"rows of {size} values are no square images, grey or in three colours")
        shape = square[0]  # no number is both: 3 is no square of a fraction
    return images.reshape(*images.shape[:-1], *shape) / 255
