"""The synthetic arcs, against what was measured on the points of the GMVAE authors."""

import numpy as np
import pytest

from genclust import data
from genclust.data.synthetic import arcs


@pytest.mark.parametrize("n", [5_000, 10_000])
def test_arcs_have_the_measured_shape(n: int) -> None:
    points = arcs(n, seed=1)
    assert points.x.shape == (n, 2) and points.x.dtype == np.float32
    phi = 2 * np.pi * points.y / 5
    from_centre = points.x - 0.6 * np.column_stack([np.cos(phi), np.sin(phi)])
    radius = np.linalg.norm(from_centre, axis=1)
    turn = np.angle(np.exp(1j * (np.arctan2(from_centre[:, 1], from_centre[:, 0]) - phi - np.pi / 2)))
    # Measured: radius 0.4, residual sd 0.0239; arc sd 0.506 on 5,000 points; no correlation.
    assert abs(radius.mean() - 0.4) < 0.002
    assert abs(radius.std() - 0.0239) < 0.001
    assert abs(turn.mean()) < 0.03
    assert abs(turn.std() - 0.506) < 0.025
    assert abs(np.corrcoef(radius, turn)[0, 1]) < 0.05
    # Classes are drawn point by point: about, but not exactly, a fifth each.
    counts = np.bincount(points.y, minlength=5)
    assert len(set(counts)) > 1
    assert np.abs(counts - n / 5).max() < 4 * np.sqrt(n * 0.2 * 0.8)


def test_arcs_depend_on_the_seed_alone() -> None:
    assert np.array_equal(arcs(100, 3).x, arcs(100, 3).x)
    assert not np.array_equal(arcs(100, 3).x, arcs(100, 4).x)


def test_arcs_are_loaded_by_name() -> None:
    loaded = data.load("arcs")
    assert np.array_equal(loaded.splits["train"].x, arcs(10_000, 0).x)
    assert data.verify("arcs").state == "unverified"


def test_half_as_many_arcs_are_scored_on_the_same_points() -> None:
    half, whole = data.load("arcs_5000"), data.load("arcs")
    assert np.array_equal(half.splits["train"].x, arcs(5_000, 0).x)
    for name in ("validation", "test"):
        assert np.array_equal(half.splits[name].x, whole.splits[name].x)
