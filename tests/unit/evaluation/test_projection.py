"""t-SNE keeps groups together, repeats itself for a seed, and refuses what it cannot project."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.manifold import TSNE

from genclust.data import DataSet, Split
from genclust.evaluation import measures
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


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((30, 4)),
        np.zeros((50, 1)),
        np.zeros(50),
        np.full((50, 4), np.nan),
        np.full((200, 2), 0.3, np.float32),  # of these, scikit-learn's t-SNE kills the process
        1e-30 * np.random.default_rng(0).normal(size=(120, 64)),
        1e25 * np.random.default_rng(0).normal(size=(120, 3)),
    ],
)
def test_bad_features_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="features must"):
        tsne(bad, seed=0)


def test_the_projection_is_scikit_learns_from_the_same_seed() -> None:
    """Beyond 500 features the principal components it starts from are approximated, with random numbers."""
    features = np.random.default_rng(0).normal(size=(60, 600))
    found = [tsne(features, seed) for seed in (0, 3)]
    for xy, seed in zip(found, (0, 3), strict=True):
        peer = TSNE(perplexity=30, init="pca", random_state=seed).fit_transform(features)
        np.testing.assert_array_equal(xy, peer.astype(np.float32))
    assert not np.array_equal(*found)


def test_snapshots_without_a_projection_are_left_out() -> None:
    """One that is not finite as of a diverged seed, one of one feature, one of dead units; and all of few points."""
    rng = np.random.default_rng(0)
    x, labels = rng.random((40, 3)), np.arange(40) % 2
    data = DataSet("forty", {"test": Split(x, labels)})
    good = torch.from_numpy(x)
    lost = good.clone()
    lost[7, 1] = torch.inf
    found = measures.projection({"z_1": good, "z_2": lost, "z_3": good[:, :1], "z_4": 0 * good}, data, 3)
    assert found.arrays.keys() == {"tsne_z_1", "tsne_labels"}
    np.testing.assert_array_equal(found.arrays["tsne_z_1"], tsne(good.float().numpy(), 3))
    np.testing.assert_array_equal(found.arrays["tsne_labels"], labels)
    assert (
        measures.projection({"z_2": lost}, data, 3).arrays
        == {}
        == measures.projection({"z": good[:30]}, data, 3).arrays
    )
