"""t-SNE keeps groups together, repeats itself for a seed, and refuses what it cannot project."""

from __future__ import annotations

import numpy as np
import pytest

from genclust.evaluation.projection import tsne


def test_groups_stay_together_and_a_seed_repeats() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 60)
    features = (rng.normal(size=(120, 8)) + 20 * group[:, None]).astype(np.float32)
    xy = tsne(features, seed=3)
    assert xy.shape == (120, 2)
    assert xy.dtype == np.float32
    distances = np.linalg.norm(xy[:, None] - xy[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    assert (group[distances.argmin(axis=1)] == group).all()
    np.testing.assert_array_equal(xy, tsne(features, seed=3))


@pytest.mark.parametrize("bad", [np.zeros((30, 4)), np.zeros((50, 1)), np.zeros(50), np.full((50, 4), np.nan)])
def test_bad_features_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="features must be"):
        tsne(bad, seed=0)
