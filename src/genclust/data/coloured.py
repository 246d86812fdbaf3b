"""Drawing of coloured digits that look like house numbers and whose factors of variation are all known.

They show which factor a layer's clusters represent: digit, colours, stroke weight or slant.  On photographs
only the digit is labelled.
"""

from __future__ import annotations

import colorsys

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8
from scipy import ndimage

#: Eight hues around the colour circle, red first; not so bright that noise is cut off.  Ink and background
#: take theirs from the same eight.
HUES: UInt8[np.ndarray, "8 3"] = np.array(
    [np.rint(255 * np.array(colorsys.hsv_to_rgb(i / 8, 0.8, 0.9))) for i in range(8)], dtype=np.uint8
)
WEIGHTS = ("thin", "normal", "bold")
SLANTS = ("left", "none", "right")

#: Digits are drawn on a raster of at least this side and then reduced.
RASTER = 64
#: Fraction of the raster's side that a digit's image occupies.
BOX = 13 / 16
#: A pixel of the enlarged shape is ink from this grey value on.
INK_FROM = 96
#: Number of raster pixels by which erosion thins and dilation thickens a stroke, on either side.
EROSION, DILATION = 1, 2
#: Shift to the side, in pixels, for each pixel upwards.
SHEAR = 0.35
#: Number of raster columns between the digit and its neighbours, at least ``GAP`` and at most ``JITTER`` more.
GAP, JITTER = 4, 4
#: Standard deviation of the noise on every value, in grey levels (0 … 255).
NOISE = 6.0
#: Number of rows drawn at a time, which bounds the memory.
CHUNK = 1000


def coloured_digits(
    shapes: UInt8[np.ndarray, "N H W"], identity: Int[np.ndarray, " N"], size: int, seed: int
) -> tuple[UInt8[np.ndarray, "N size size 3"], dict[str, Int[np.ndarray, " N"]]]:
    """Coloured images of digits, one per shape, with random factors independent of each other and of the digit.

    Row i depends on the seed and on rows 0 … i alone, from which its neighbours are taken; more rows leave
    it as it is.  A neighbour shares ink, stroke weight and slant with the digit, as in one house number, and
    is cut off where the image ends.

    Args:
        shapes: images of digits in grey values, bright on dark.
        identity: digit on each image.
        size: height and width of the coloured images.
        seed: seed of all factors and of the noise.

    Returns:
        Images, and the factors: ``identity``; ``ink`` and ``background``, entries of ``HUES`` that are never
        equal; ``weight`` and ``slant``, entries of ``WEIGHTS`` and ``SLANTS``; ``left`` and ``right``, 1 where
        there is a neighbour.
    """
    n = len(shapes)
    images = np.empty((n, size, size, 3), np.uint8)
    names = ("ink", "background", "weight", "slant", "left", "right")
    factors = {"identity": identity.astype(np.int64)} | {name: np.empty(n, np.int64) for name in names}
    for start in range(0, n, CHUNK):
        rows = np.arange(start, min(start + CHUNK, n))
        rngs = [np.random.default_rng([seed, int(i)]) for i in rows]
        # Of each row: ink, how much further the background is, weight, slant, which neighbours there are.
        drawn = np.array([rng.integers([8, 7, 3, 3, 2, 2]) for rng in rngs])
        drawn[:, 1] = (drawn[:, 0] + 1 + drawn[:, 1]) % 8
        for name, column in zip(names, drawn.T, strict=True):
            factors[name][rows] = column
        neighbours = np.array([rng.integers(i + 1, size=2) for rng, i in zip(rngs, rows, strict=True)])
        gaps = GAP + np.array([rng.integers(JITTER + 1, size=2) for rng in rngs])
        ink, background, weight, slant, left, right = drawn.T
        digit, *beside = (_glyphs(shapes[index], weight, slant, size) for index in (rows, *neighbours.T))
        mask = digit | _at_the_left(beside[0], digit, gaps[:, 0]) & (left == 1)[:, None, None]
        mask |= _at_the_right(beside[1], digit, gaps[:, 1]) & (right == 1)[:, None, None]
        side = mask.shape[1] // size
        cover = mask.reshape(-1, size, side, size, side).mean((2, 4))[..., None]
        clean = cover * HUES[ink][:, None, None] + (1 - cover) * HUES[background][:, None, None]
        noise = np.stack([rng.normal(0, NOISE, (size, size, 3)) for rng in rngs])
        images[rows] = np.rint(clean + noise).clip(0, 255)
    return images, factors


def _glyphs(
    shapes: UInt8[np.ndarray, "n H W"], weight: Int[np.ndarray, " n"], slant: Int[np.ndarray, " n"], size: int
) -> Bool[np.ndarray, "n side side"]:
    """Ink masks of digits with the given stroke weight and slant, on a raster whose side is a multiple of ``size``."""
    side = size * -(-RASTER // size)
    box = round(BOX * side)
    down, across = (_enlargement(n, box) for n in shapes.shape[1:])
    enlarged = down @ shapes.astype(np.float32) @ across.T
    mask = np.zeros((len(shapes), side, side), bool)
    margin = (side - box) // 2
    mask[:, margin : margin + box, margin : margin + box] = enlarged >= INK_FROM
    # Four neighbours in the plane, none in another image.
    cross = np.array([[[0, 1, 0], [1, 1, 1], [0, 1, 0]]], bool)
    scale = side // RASTER
    for value, change, times in ((0, ndimage.binary_erosion, EROSION), (2, ndimage.binary_dilation, DILATION)):
        mask[weight == value] = change(mask[weight == value], cross, iterations=times * scale)
    # Rows above the middle move to the right, rows below it to the left; or the other way.
    shift = np.rint(SHEAR * ((side - 1) / 2 - np.arange(side))).astype(np.int64)
    return _moved(mask, (slant - 1)[:, None] * shift)


def _enlargement(n: int, to: int) -> Float[np.ndarray, "to n"]:
    """Matrix ``[to, n]`` of linear interpolation from ``n`` pixels to ``to`` pixels."""
    return ndimage.zoom(np.eye(n, dtype=np.float32), (to / n, 1), order=1, mode="nearest", grid_mode=True)


def _moved(mask: Bool[np.ndarray, "n side side"], by: Int[np.ndarray, "n side"]) -> Bool[np.ndarray, "n side side"]:
    """Masks with every row shifted by ``by`` columns to the right; columns that come in are empty."""
    side = mask.shape[-1]
    source = np.arange(side) - by[..., None]
    inside = (source >= 0) & (source < side)
    return np.take_along_axis(mask, source.clip(0, side - 1), 2) & inside


def _first_column(mask: Bool[np.ndarray, "n side side"]) -> Int[np.ndarray, " n"]:
    return mask.max(1).argmax(1)


def _last_column(mask: Bool[np.ndarray, "n side side"]) -> Int[np.ndarray, " n"]:
    return mask.shape[-1] - 1 - mask.max(1)[:, ::-1].argmax(1)


def _at_the_left(
    mask: Bool[np.ndarray, "n side side"], digit: Bool[np.ndarray, "n side side"], gap: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, "n side side"]:
    """Mask of a neighbour, shifted so that it ends ``gap`` columns before the digit begins."""
    by = _first_column(digit) - gap - _last_column(mask)
    return _moved(mask, np.repeat(by[:, None], mask.shape[1], 1))


def _at_the_right(
    mask: Bool[np.ndarray, "n side side"], digit: Bool[np.ndarray, "n side side"], gap: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, "n side side"]:
    """Mask of a neighbour, shifted so that it begins ``gap`` columns after the digit ends."""
    by = _last_column(digit) + gap - _first_column(mask)
    return _moved(mask, np.repeat(by[:, None], mask.shape[1], 1))
