"""Split and merge: information by scikit-learn and brute force, merges by hand, views and neighbours by search."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.special import xlogy
from sklearn.metrics import mutual_info_score
from sklearn.neighbors import NearestNeighbors

from genclust.models import neighbours
from genclust.models.augmentation import views
from genclust.models.bottleneck import merge
from genclust.models.splitmerge import SplitMerge, SplitMergeSettings
from genclust.settings import SettingError
from genclust.streams import Noise


def joint(n: int, seed: int = 0) -> np.ndarray:
    P = np.random.default_rng(seed).random((n, n)) ** 3
    return (P + P.T) / (P + P.T).sum()


def merged(P: np.ndarray, clusters: np.ndarray) -> np.ndarray:
    members = np.eye(clusters.max() + 1)[clusters]
    return members.T @ P @ members


# ---- the information bottleneck


def mutual_information(joint):
    """I(S;T) of a symmetric joint distribution, in nats."""
    return float(xlogy(joint, joint).sum() - 2 * xlogy(m := joint.sum(0), m).sum())


def test_mutual_information_is_that_of_scikit_learn():
    labels = np.random.default_rng(0).integers(0, 4, (2, 500))
    labels[1, :300] = labels[0, :300]
    counts = np.zeros((4, 4))
    np.add.at(counts, tuple(labels), 1)
    both_ways = np.concatenate([labels, labels[::-1]], 1)
    expected = mutual_info_score(both_ways[0], both_ways[1])
    assert mutual_information((counts + counts.T) / 1000) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_every_merge_is_the_one_that_loses_least(seed):
    P = joint(6, seed)
    best = np.arange(6)
    for n in (5, 4, 3, 2):
        tries = []
        for i, j in combinations(range(n + 1), 2):
            renumbered = np.delete(np.arange(n + 1), j)
            tries.append(np.array([np.flatnonzero(renumbered == (i if c == j else c))[0] for c in best]))
        best = max(tries, key=lambda clusters: mutual_information(merged(P, clusters)))
        found = merge(P, n)
        assert mutual_information(merged(P, found)) == pytest.approx(mutual_information(merged(P, best)), abs=1e-12)


@pytest.mark.parametrize("kind", ["uneven", "sharp", "in blocks", "with empty sub-clusters"])
def test_merges_are_those_of_losses_that_are_all_computed_anew(kind):
    """What is kept from merge to merge, against the information before and after each merge, for all pairs."""
    S, rng = 16, np.random.default_rng(0)
    P = rng.random((S, S)) ** (8 if kind == "sharp" else 1)
    if kind == "in blocks":
        P *= np.kron(np.eye(4), np.ones((4, 4))) + 0.01
    if kind == "with empty sub-clusters":
        P[[1, 5, 6]] = P[:, [1, 5, 6]] = 0
    P = (P + P.T) / (P + P.T).sum()
    clusters = np.arange(S)
    for n in range(S - 1, 1, -1):
        pairs = list(combinations(range(n + 1), 2))
        joined = [np.where(clusters == j, i, clusters - (clusters > j)) for i, j in pairs]
        lost = [mutual_information(merged(P, clusters)) - mutual_information(merged(P, one)) for one in joined]
        found = merge(P, n)
        k = next(k for k, one in enumerate(joined) if (one == found).all())  # it is one merge further
        assert lost[k] == pytest.approx(min(lost), abs=1e-13)
        clusters = found


def test_sub_clusters_that_go_together_are_merged_whatever_their_sizes():
    blocks = np.kron(np.diag([0.7, 0.2, 0.1]), np.ones((3, 3)) / 9)
    found = merge(0.99 * blocks + 0.01 / 81, 3)
    assert [len(set(found[i : i + 3])) for i in (0, 3, 6)] == [1, 1, 1] and len(set(found)) == 3


def test_more_sub_clusters_than_can_be_merged_are_refused():
    with pytest.raises(SettingError, match=r"^100 heads of 1000 sub-clusters have 100000 together, and more than 1000"):
        SplitMerge(1, 4, SplitMergeSettings(n_clusters=10, heads=100, subclusters=1000))


# ---- views and neighbours


def test_views_of_no_strength_are_the_images():
    x = torch.rand(2, 5, 8 * 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(views(x, (8, 6, 1), 0.0, Noise([0, 1], "views")), x, rtol=0, atol=1e-5)


def test_views_move_a_spot_by_at_most_what_is_declared_and_leave_it_there():
    x = torch.zeros(1, 300, 21, 21)
    x[:, :, 9:12, 9:12] = 1
    seen = views(x.flatten(2), (21, 21, 1), 1.0, Noise([0], "views"))[0].view(300, 21, 21)
    mass = seen.sum((1, 2))
    place = torch.arange(21.0) - 10
    moved = torch.stack([(seen.sum(2) * place).sum(1), (seen.sum(1) * place).sum(1)], 1) / mass[:, None]
    assert moved.abs().max() < 0.1 * 21 * 1.2 * 1.3 and moved.std(0).min() > 0.7  # a shift, stretched and sheared
    assert seen.min() >= 0 and seen.max() <= 1 + 1e-6
    assert mass.min() > 9 / 1.2**2 - 1 and mass.max() < 9 * 1.2**2 + 1  # no other size than the scale allows


def test_a_neighbour_is_the_nearest_in_one_of_the_tenths_and_never_the_row_itself():
    rows = torch.randn(200, 3, generator=torch.Generator().manual_seed(0))
    found = torch.stack(
        [neighbours.nearest(rows[None, :50], neighbours.tenths(rows), Noise([s], "n"))[0] for s in range(40)]
    )
    possible = [
        rows[r::10][NearestNeighbors(n_neighbors=2).fit(rows[r::10].numpy()).kneighbors(rows[:50].numpy())[1]]
        for r in range(10)
    ]
    candidates = torch.stack(possible).permute(1, 0, 2, 3).flatten(1, 2)  # of each row: two of every tenth
    match = (found.permute(1, 0, 2)[:, :, None] == candidates[:, None]).all(-1).any(-1)
    assert match.all()
    assert not (found == rows[:50]).all(-1).any()
    assert len({tuple(row) for row in found[:, 0].tolist()}) > 5  # not always the same


# ---- the model


def tiny_model(**changes) -> SplitMerge:
    settings = {"n_clusters": 3, "heads": 2, "subclusters": 5, "hidden": (12,), "neighbours": False} | changes
    model = SplitMerge(1, 4, SplitMergeSettings(**settings))
    model.initialise(Noise([0], "test").generators)
    return model


def test_the_objective_is_minus_the_mutual_information_of_pairs_and_has_its_gradient():
    model, x = tiny_model(heads=1).eval(), torch.randn(1, 60, 4, generator=torch.Generator().manual_seed(0))
    loss = model.loss(x, {}, Noise([0], "test"))
    loss.objective.sum().backward()
    found = model.split.weight.grad.clone()
    q = model.q_s(x)[0, :, 0].double()
    P = q.T @ q / 60
    assert loss.objective.item() == pytest.approx(-mutual_information(P.detach().numpy()), abs=1e-6)
    model.zero_grad()
    m = P.sum(0)
    (-(P * (P / (m[:, None] * m)).log()).sum()).backward()
    torch.testing.assert_close(found, model.split.weight.grad, rtol=1e-3, atol=1e-7)


def test_clusters_add_the_probabilities_of_their_sub_clusters():
    model, x = tiny_model().eval(), torch.randn(1, 30, 4, generator=torch.Generator().manual_seed(0))
    model.groups.copy_(torch.tensor([[0, 0, 1, 1, 2, 2, 2, 1, 0, 0]]))
    q = model.q_s(x)[0]
    first = (q[:, 0, [0, 1]].sum(1) + q[:, 1, [3, 4]].sum(1)) / 2
    torch.testing.assert_close(model.cluster_posterior(x)[0, :, 0].exp(), first)


def test_merging_follows_what_the_pairs_of_training_showed():
    """Four far groups, no images: pairs are a row and itself or its neighbour; what is left is to be merged rightly."""
    y = torch.arange(400) % 4
    x = torch.eye(4)[y] * 8 + torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    model = tiny_model(n_clusters=4, neighbours=True, subclusters=8)
    model.initialise_from_data(x)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for step in range(250):
        loss = model.train().loss(x[None], {}, Noise([0], "train").at(step))
        optimiser.zero_grad()
        loss.objective.sum().backward()
        optimiser.step()
    clusters = model.eval().cluster_posterior(x[None])[0].argmax(-1)
    assert mutual_info_score(y, clusters) > 0.97 * np.log(4)


@pytest.mark.parametrize("sides", [(4, 5), (4, 0), (0, 4)])
def test_images_of_another_size_than_the_rows_are_refused(sides):
    height, width = sides
    with pytest.raises(SettingError, match=r"values?, not 16; set model\.height, model\.width and model\.colours"):
        SplitMerge(1, 16, SplitMergeSettings(n_clusters=2, height=height, width=width))
