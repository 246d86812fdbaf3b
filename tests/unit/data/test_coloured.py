"""Coloured digits: every factor read back from the images, independence, determinism, neighbours at a distance."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare
from sklearn.datasets import load_digits

from genclust.data import coloured
from genclust.data.coloured import HUES, SLANTS, WEIGHTS, coloured_digits

WIDE = HUES.astype(np.int64)  # differences and squares without wrapping


def shapes_of(side: int) -> tuple[np.ndarray, np.ndarray]:
    """The embedded digits, 8 × 8 or enlarged to MNIST's 28 × 28 with its kind of margin."""
    bunch = load_digits()
    shapes = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    if side == 28:
        shapes = np.pad(np.kron(shapes, np.ones((1, 3, 3), np.uint8)), ((0, 0), (2, 2), (2, 2)))
    return shapes, bunch.target


def nearest_hue(colours: np.ndarray) -> np.ndarray:
    return np.abs(colours[:, None] - WIDE).sum(-1).argmin(-1)


def cover(images: np.ndarray, factors: dict[str, np.ndarray]) -> np.ndarray:
    """How much of each pixel is ink, ``[N, size, size]``: its place on the line between the two colours."""
    ground = WIDE[factors["background"]][:, None, None]
    line = WIDE[factors["ink"]][:, None, None] - ground
    return ((images - ground) * line).sum(-1) / np.square(line).sum(-1)


@pytest.mark.parametrize("side, size, missed", [(28, 32, 0), (8, 16, 0), (8, 8, 0.02)])
def test_colours_are_read_back_from_the_image(side, size, missed):
    """The background from the median of top and bottom, the ink from the pixels that differ most from it.

    At a side of 8 ink may reach into both.
    """
    shapes, identity = shapes_of(side)
    images, factors = coloured_digits(shapes[:600], identity[:600], size, seed=3)
    assert images.shape == (600, size, size, 3) and images.dtype == np.uint8
    ground = np.median(np.concatenate([images[:, 0], images[:, -1]], 1), 1)
    assert (nearest_hue(ground) != factors["background"]).mean() <= missed
    pixels = images.reshape(600, -1, 3).astype(np.int64)
    distance = np.abs(pixels - ground[:, None]).sum(-1)
    furthest = np.argsort(distance, 1)[:, -max(2, size // 4) :]
    ink = np.take_along_axis(pixels, furthest[..., None], 1).mean(1)
    assert (nearest_hue(ink) != factors["ink"]).mean() <= missed
    assert np.array_equal(factors["identity"], identity[:600])


@pytest.mark.parametrize("side, size", [(28, 32), (8, 16), (8, 8)])
def test_one_shape_has_more_ink_the_bolder_it_is(side, size, monkeypatch):
    """Of ten shapes, each drawn a hundred times: every thin one against every normal one, these against bold ones.

    Noiseless, because between neighbouring hues the noise would count as ink.
    """
    monkeypatch.setattr(coloured, "NOISE", 0.0)
    shapes, identity = shapes_of(side)
    images, factors = coloured_digits(shapes[:10].repeat(100, 0), identity[:10].repeat(100), size, seed=4)
    mass = cover(images, factors).sum((1, 2))
    alone = factors["left"] + factors["right"] == 0
    for shape in range(10):
        of_shape = alone & (np.arange(1000) // 100 == shape)
        thin, normal, bold = (mass[of_shape & (factors["weight"] == w)] for w in range(len(WEIGHTS)))
        assert thin.max() < normal.min() and normal.max() < bold.min()


def test_noise_is_slight_and_centred():
    shapes, identity = shapes_of(28)
    images, factors = coloured_digits(shapes[:400], identity[:400], 32, seed=8)
    noise = images[:, 0].astype(float) - HUES[factors["background"]][:, None]  # no ink reaches the top row
    assert abs(noise.mean()) < 0.1
    assert noise.std() == pytest.approx(coloured.NOISE, rel=0.02)


@pytest.mark.parametrize("side, size", [(28, 32), (8, 16)])
def test_slant_is_the_sign_of_the_second_moment(side, size):
    """Covariance of ink between right and up, over the variance upwards: the shear, on the average of many digits."""
    shapes, identity = shapes_of(side)
    images, factors = coloured_digits(shapes, identity, size, seed=5)
    ink = np.clip(cover(images, factors), 0, 1) * (cover(images, factors) > 0.2)
    up, right = np.meshgrid(np.arange(size)[::-1], np.arange(size), indexing="ij")
    total = ink.sum((1, 2))
    mean_up, mean_right = (ink * up).sum((1, 2)) / total, (ink * right).sum((1, 2)) / total
    from_up, from_right = up - mean_up[:, None, None], right - mean_right[:, None, None]
    shear = (ink * from_up * from_right).sum((1, 2)) / (ink * from_up**2).sum((1, 2))
    alone = factors["left"] + factors["right"] == 0
    left, none, right_ = (shear[alone & (factors["slant"] == s)].mean() for s in range(len(SLANTS)))
    assert left < -0.15 and right_ > 0.15
    assert none - left == pytest.approx(coloured.SHEAR, abs=0.1)
    assert right_ - none == pytest.approx(coloured.SHEAR, abs=0.1)


def test_factors_are_independent():
    """No pair of factors, nor the digit with any, is associated on 5,000 rows; ink and background only never agree."""
    shapes, identity = shapes_of(8)
    rows = np.arange(5000) % len(shapes)
    _, factors = coloured_digits(shapes[rows], identity[rows], 8, seed=0)
    pairs = set(combinations(factors, 2)) - {("ink", "background")}
    assert len(pairs) == 20
    for a, b in pairs:
        table = np.zeros((factors[a].max() + 1, factors[b].max() + 1))
        np.add.at(table, (factors[a], factors[b]), 1)
        assert chi2_contingency(table).pvalue > 1e-3, (a, b)
    colours = np.zeros((8, 8))
    np.add.at(colours, (factors["ink"], factors["background"]), 1)
    assert not colours.diagonal().any()
    assert chisquare(colours[~np.eye(8, dtype=bool)]).pvalue > 1e-3
    for name, n in (("weight", 3), ("slant", 3), ("left", 2), ("right", 2)):
        assert chisquare(np.bincount(factors[name], minlength=n)).pvalue > 1e-3


def test_a_row_depends_on_the_seed_and_on_the_rows_before_it(monkeypatch):
    shapes, identity = shapes_of(8)
    images, factors = coloured_digits(shapes[:90], identity[:90], 16, seed=1)
    monkeypatch.setattr(coloured, "CHUNK", 37)
    fewer, of_fewer = coloured_digits(shapes[:50], identity[:50], 16, seed=1)
    assert np.array_equal(images[:50], fewer)
    for name, values in factors.items():
        assert np.array_equal(values[:50], of_fewer[name])
    others, of_others = coloured_digits(shapes[:50], identity[:50], 16, seed=2)
    assert not np.array_equal(factors["ink"][:50], of_others["ink"])
    assert (images[:50] != others).any((1, 2, 3)).all()


def test_neighbours_keep_their_distance_from_the_digit(monkeypatch):
    """With and without them, noiseless: only columns beyond one empty one change, on the sides that the factors say."""
    shapes, identity = shapes_of(28)
    monkeypatch.setattr(coloured, "NOISE", 0.0)
    images, factors = coloured_digits(shapes[:400], identity[:400], 32, seed=6)
    for name in ("_at_the_left", "_at_the_right"):
        monkeypatch.setattr(coloured, name, lambda mask, digit, gap: np.zeros_like(mask))
    alone, _ = coloured_digits(shapes[:400], identity[:400], 32, seed=6)
    changed = (images != alone).any((1, 3))  # [N, column]
    inked = (alone != alone[:, :1, :1]).any((1, 3))
    assert (alone[:, 0, 0] == HUES[factors["background"]]).all()
    column = np.arange(32)
    first, last = inked.argmax(1)[:, None], 31 - inked[:, ::-1].argmax(1)[:, None]
    assert not (changed & (column > first - 2) & (column < last + 2)).any()
    at_left, at_right = (changed & (column < first)).any(1), (changed & (column > last)).any(1)
    assert not at_left[factors["left"] == 0].any() and not at_right[factors["right"] == 0].any()
    assert at_left[factors["left"] == 1].mean() > 0.9 and at_right[factors["right"] == 1].mean() > 0.9
