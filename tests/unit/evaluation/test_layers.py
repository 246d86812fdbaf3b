"""What layers are about: agreement against other implementations, figures, labels that are not there, declarations."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import completeness_score, homogeneity_score, normalized_mutual_info_score

from genclust.data import DataSet, Split
from genclust.evaluation import pictures as drawn
from genclust.evaluation.layers import (
    by_chance,
    clusters_by_layer,
    factors_of,
    kmeans_by_layer,
    scores_by_factor,
)
from genclust.evaluation.registry import evaluate, refuse_unsuited
from genclust.evaluation.results import Results
from genclust.evaluation.trained import Trained
from genclust.experiments import declaration
from genclust.experiments.configuration import RunConfig
from genclust.models.vlac import GMDGM, VLAC, VLAE, GMDGMSettings, VLACSettings, VLAESettings
from genclust.settings import SettingError
from genclust.streams import Noise

IMAGE = {"height": 4, "width": 4, "colours": 3}
D = 48
LADDER = IMAGE | {"channels": (3,), "dense": 6, "z_dims": (2, 3)}
#: More clusters in the lower layer, so that the scored one is not the top one.
K = (4, 3)
SEEDS = [3, 5]
CPU = torch.device("cpu")


def initialised(model: VLAC, seeds: list[int]) -> VLAC:
    """With weights of each seed's own, large enough that the layers' clusters differ from image to image."""
    model.initialise(Noise(seeds, "test").generators)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name and "p_z" not in name:
                parameter.mul_(3)
    return model.eval()


def vlac(seeds: list[int] = SEEDS, **changes) -> VLAC:
    return initialised(VLAC(len(seeds), D, VLACSettings(**(LADDER | {"n_clusters": K} | changes))), seeds)


def vlae(seeds: list[int] = SEEDS) -> VLAC:
    return initialised(VLAE(len(seeds), D, VLAESettings(**LADDER)), seeds)


def gmdgm(seeds: list[int] = SEEDS) -> VLAC:
    """Its second layer alone has z and y."""
    return initialised(GMDGM(len(seeds), D, GMDGMSettings(**IMAGE, channels=(3, 4), n_clusters=4, z_dim=2)), seeds)


def images(model: VLAC, data: DataSet, seeds: list[int], device: torch.device) -> list[dict[str, np.ndarray]]:
    return [found.arrays for found in drawn.layers(Trained(model, data, seeds, [{}, {}], device, "float32"))]


def pictures(n: int, seed: int, labelled: bool = True) -> Split:
    """Images of 4 × 4 in one of two inks, upon noise; ``y`` of three classes, the last of them first to come."""
    rng = np.random.default_rng(seed)
    ink, side = rng.integers(2, size=(2, n))
    x = rng.integers(100, size=(n, 4, 4, 3))
    for i in range(n):
        x[i, :, 2 * side[i] : 2 * side[i] + 2, ink[i]] += 150
    y = (2 - np.arange(n)) % 3
    return Split(x.reshape(n, D).astype(np.uint8), *((y, {"ink": ink, "side": side}) if labelled else (None, {})))


def data(n_train: int = 60, n_test: int = 40, labelled: bool = True) -> DataSet:
    splits = {"train": pictures(n_train, 0, labelled), "test": pictures(n_test, 1, labelled)}
    return DataSet("pictures", splits, (4, 4, 3), ("0", "1", "2") if labelled else ())


DATA = data()
X = {name: torch.from_numpy(split.x) for name, split in DATA.splits.items()}
FACTORS = {"identity": DATA.splits["test"].y, **DATA.splits["test"].factors}


def seen(model: VLAC, split: str = "test") -> torch.Tensor:
    """The images of a split as the model sees them."""
    x = X[split].double().div(255).float()
    return x.expand(model.replicas, *x.shape)


def purity(labels: np.ndarray, clusters: np.ndarray) -> float:
    return 100 * pd.crosstab(clusters, labels).max(axis=1).sum() / len(labels)


def v_measure(labels: np.ndarray, clusters: np.ndarray) -> float:
    """What the information is of the arithmetic mean of the entropies, by another way."""
    h, c = homogeneity_score(labels, clusters), completeness_score(labels, clusters)
    return 100 * 2 * h * c / (h + c) if h + c else 0.0


def scores(factors: Mapping[str, np.ndarray], clusters: Mapping[str, np.ndarray]) -> dict[str, float]:
    """All that depends on one layer and one factor, from scikit-learn and pandas."""
    found = {}
    for name, labels in factors.items():
        found[f"test.floor_{name}"] = 100 * pd.Series(labels).value_counts(normalize=True).iloc[0]
        for layer, assigned in clusters.items():
            found[f"test.acc_many_to_one_{layer}_{name}"] = purity(labels, assigned)
            found[f"test.nmi_arithmetic_{layer}_{name}"] = v_measure(labels, assigned)
    return found | {f"test.clusters_used_{layer}": len(set(assigned.tolist())) for layer, assigned in clusters.items()}


def same(found: Mapping[str, float], expected: Mapping[str, float]) -> None:
    """The same metrics, except how many factors lead."""
    assert {name for name in found if "leading" not in name} == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name


def made_of(found: Results, clusters: Mapping[str, np.ndarray]) -> None:
    """The metrics of these clusters, and the clusters themselves."""
    same(found.metrics, scores(FACTORS, clusters))
    assert {name: kept.tolist() for name, kept in found.arrays.items()} == {
        f"clusters_test_{layer}": assigned.tolist() for layer, assigned in clusters.items()
    }


# ---- agreement


@pytest.mark.parametrize("seed", range(10))
def test_agreement_is_what_others_compute(seed):
    rng = np.random.default_rng(seed)
    y, ink, slant = (rng.integers(n, size=90) for n in (10, 8, 3))
    clusters = {
        "y1": np.where(rng.random(90) < 0.6, ink, rng.integers(20, size=90)),
        "y3": rng.permutation(7)[np.where(rng.random(90) < 0.4, slant, rng.integers(7, size=90))],
    }
    factors = {"identity": y, "ink": ink, "slant": slant}
    split = Split(np.zeros((90, 1), np.uint8), y, {"ink": ink, "slant": slant})
    found = scores_by_factor(split, clusters)
    same(found, scores(factors, clusters))
    assert all(type(value) is float for value in found.values())
    for layer, assigned in clusters.items():
        for name, labels in factors.items():
            expected = 100 * normalized_mutual_info_score(labels, assigned, average_method="arithmetic")
            assert found[f"test.nmi_arithmetic_{layer}_{name}"] == pytest.approx(expected)


def test_a_floor_is_the_accuracy_of_one_single_cluster():
    ink = np.array([0, 0, 0, 1, 2, 2, 0, 1])
    split = Split(np.zeros((8, 1), np.uint8), np.arange(8) % 2, {"ink": ink})
    found = scores_by_factor(split, {"y2": np.full(8, 5)})
    assert found["test.floor_ink"] == found["test.acc_many_to_one_y2_ink"] == 50
    assert found["test.floor_identity"] == found["test.acc_many_to_one_y2_identity"] == 50
    assert found["test.nmi_arithmetic_y2_ink"] == found["test.leading_y"] == 0
    assert found["test.clusters_used_y2"] == 1


BIT = np.arange(400)[:, None] >> np.arange(3) & 1  # three independent halvings of 400 rows
HALVES = Split(np.zeros((400, 1), np.uint8), BIT[:, 0], {"ink": BIT[:, 1], "weight": BIT[:, 2]})
IDENTITY, INK, WEIGHT = BIT.T
NOTHING = np.zeros(400, np.int64)


def agreeing(labels: np.ndarray, n: int) -> np.ndarray:
    """Two clusters that are those of the labels in ``n`` of 100 rows."""
    clusters = labels.copy()
    for value in (0, 1):
        rows = np.flatnonzero(labels == value)
        clusters[rows[: len(rows) * (100 - n) // 100]] = 1 - value
    return clusters


@pytest.mark.parametrize(
    ("clusters", "leading"),
    [
        ({"y1": INK, "y2": INK}, 1),
        ({"y1": INK, "y2": 1 - INK}, 1),
        ({"y1": INK, "y2": WEIGHT}, 2),
        ({"y1": INK, "y2": WEIGHT, "y3": IDENTITY}, 3),
        ({"y1": INK, "y2": WEIGHT, "y3": INK}, 2),
        ({"y1": NOTHING, "y2": INK}, 1),
        ({"y1": NOTHING, "y2": NOTHING}, 0),
        ({"y1": INK + 2 * WEIGHT + 4 * agreeing(IDENTITY, 60)}, 1),
        ({"y1": INK ^ WEIGHT}, 0),
    ],
)
def test_factors_that_lead_some_layer_are_counted_once(clusters, leading):
    assert scores_by_factor(HALVES, clusters)["test.leading_y"] == leading


@pytest.mark.parametrize(("n", "leads"), [(50, False), (68, False), (70, True), (100, True)])
def test_a_factor_leads_from_a_tenth_of_the_entropy_on(n, leads):
    """1 - H(0.68) is 9.6 % of a bit, and 1 - H(0.70) is 11.9 %; two halvings of a bit each."""
    found = scores_by_factor(HALVES, {"y1": agreeing(INK, n)})
    p = np.array([n, 100 - n]) / 100
    expected = 100 * (1 + (p[p > 0] * np.log2(p[p > 0])).sum())
    assert found["test.nmi_arithmetic_y1_ink"] == pytest.approx(expected, abs=1e-9)
    assert (expected >= 10) == leads == found["test.leading_y"]


def test_a_layer_is_led_by_the_factor_it_knows_most_of():
    """Both layers know most of the ink and something, more than a tenth, of the weight."""
    mixed = INK + 2 * agreeing(WEIGHT, 80)
    found = scores_by_factor(HALVES, {"y1": mixed, "y2": mixed})
    assert found["test.nmi_arithmetic_y1_ink"] > found["test.nmi_arithmetic_y1_weight"] > 10
    assert found["test.leading_y"] == 1
    assert scores_by_factor(HALVES, {"y1": mixed, "y2": WEIGHT + 2 * agreeing(INK, 80)})["test.leading_y"] == 2


def test_clusters_of_means_are_told_from_clusters_of_the_model():
    found = scores_by_factor(HALVES, {"z1": INK, "z2": WEIGHT})
    assert found["test.leading_z"] == 2
    assert "test.leading_y" not in found


def test_nothing_is_scored_without_labels():
    x = np.zeros((400, 1), np.uint8)
    assert scores_by_factor(Split(x, None), {"y1": INK, "y2": NOTHING}) == {
        "test.clusters_used_y1": 2,
        "test.clusters_used_y2": 1,
    }
    assert factors_of(Split(x, None)) == {}
    only = scores_by_factor(Split(x, None, {"ink": INK}), {"y1": INK})
    assert {name for name in only if "identity" in name} == set()
    assert only["test.acc_many_to_one_y1_ink"] == 100
    assert only["test.leading_y"] == 1


# ---- clusters of the model


@pytest.mark.parametrize("build", [vlac, gmdgm])
@torch.no_grad()
def test_clusters_are_the_most_probable_ones_of_every_layer(build):
    model = build()
    found = clusters_by_layer(model, DATA, X["test"])
    posteriors = model.layer_posteriors(seen(model))
    assert list(posteriors) == (["y1", "y2"] if build is vlac else ["y2"])
    assert len(found) == 2
    for r, results in enumerate(found):
        assigned = {name: log_q[r].numpy().argmax(-1) for name, log_q in posteriors.items()}
        assert max(len(set(a.tolist())) for a in assigned.values()) > 1  # else there would be nothing to see
        made_of(results, assigned)
    assert found[0].metrics != found[1].metrics


def equal(found: Results, expected: Results) -> None:
    """Up to the rounding of the metrics."""
    assert found.metrics == pytest.approx(expected.metrics)
    assert found.arrays.keys() == expected.arrays.keys()
    assert all(np.array_equal(found.arrays[name], kept) for name, kept in expected.arrays.items())


@pytest.mark.parametrize("build", [vlac, vlae, gmdgm])
def test_a_replica_among_others_is_measured_as_alone(build):
    together = build()
    for r, seed in enumerate(SEEDS):
        alone = build([seed])
        if build is not vlae:
            equal(clusters_by_layer(together, DATA, X["test"])[r], clusters_by_layer(alone, DATA, X["test"])[0])
        equal(kmeans_by_layer(together, DATA, X, SEEDS, 3)[r], kmeans_by_layer(alone, DATA, X, [seed], 3)[0])
        of_both, of_one = images(together, DATA, SEEDS, CPU)[r], images(alone, DATA, [seed], CPU)[0]
        assert of_both.keys() == of_one.keys()
        for name, image in of_one.items():
            off = np.abs(of_both[name].astype(int) - image)
            assert off.max() <= 1 and off.mean() < 0.01, name  # a sum in another order may round to the other side


@pytest.mark.filterwarnings("ignore:Number of distinct clusters")
def test_a_failed_replica_is_one_single_cluster_and_the_others_are_as_before():
    model, sound = vlac(), vlac()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter[0] = math.nan
    for found, before, layers in (
        (clusters_by_layer(model, DATA, X["test"]), clusters_by_layer(sound, DATA, X["test"]), ("y1", "y2")),
        (kmeans_by_layer(model, DATA, X, SEEDS, 3), kmeans_by_layer(sound, DATA, X, SEEDS, 3), ("z1", "z2")),
    ):
        made_of(found[0], {layer: np.zeros(40, int) for layer in layers})
        assert found[0].metrics[f"test.leading_{layers[0][0]}"] == 0
        equal(found[1], before[1])
    failed, other = images(model, DATA, SEEDS, CPU)
    assert not failed["resampled_z1"].any()
    assert np.array_equal(other["resampled_z1"], images(sound, DATA, SEEDS, CPU)[1]["resampled_z1"])


# ---- k-means in the means


@torch.no_grad()
@pytest.mark.parametrize("build", [vlac, vlae, gmdgm])
def test_kmeans_is_fitted_to_the_training_means_of_every_layer(build):
    model = build()
    found = kmeans_by_layer(model, DATA, X, SEEDS, 3)
    train, test = (model.embed(seen(model, split)) for split in ("train", "test"))
    for r, seed in enumerate(SEEDS):
        assigned = {
            name[:2]: KMeans(3, n_init=3, random_state=seed).fit(train[name][r].numpy()).predict(test[name][r].numpy())
            for name in train
        }
        assert list(assigned) == (["z2"] if build is gmdgm else ["z1", "z2"])
        made_of(found[r], assigned)


def test_two_blobs_of_means_are_found(monkeypatch):
    """The means of one layer lie apart by ink and those of the other by side, both read from the pixels."""
    model = vlac()

    def far_apart(x):
        of_side = x[..., 6] + x[..., 7] + x[..., 8] - x[..., 0] - x[..., 1] - x[..., 2] > 0
        of_ink = x[..., 0::3].sum(-1) > x[..., 1::3].sum(-1)
        return {
            f"z{layer}_mean": 50 * which[..., None].float() + x[..., :3] for layer, which in ((1, of_ink), (2, of_side))
        }

    monkeypatch.setattr(model, "embed", far_apart)
    for results in kmeans_by_layer(model, DATA, X, SEEDS, 2):
        found = results.metrics
        assert found["test.acc_many_to_one_z1_ink"] == found["test.nmi_arithmetic_z1_ink"] == pytest.approx(100)
        assert found["test.acc_many_to_one_z2_side"] == found["test.nmi_arithmetic_z2_side"] == pytest.approx(100)
        assert found["test.nmi_arithmetic_z1_side"] < 10 and found["test.nmi_arithmetic_z2_ink"] < 10
        assert found["test.leading_z"] == 2
    test = DATA.splits["test"]
    red = DataSet("red", DATA.splits | {"test": test.rows(np.flatnonzero(test.factors["ink"] == 0))}, (4, 4, 3))
    of_red = {"train": X["train"], "test": torch.from_numpy(red.splits["test"].x)}
    for results in kmeans_by_layer(model, red, of_red, SEEDS, 2):
        assert results.metrics["test.clusters_used_z1"] == 1  # fitted to the test split, both would be used
        assert results.metrics["test.clusters_used_z2"] == 2


def test_there_may_be_more_clusters_than_test_points():
    few = data(n_test=4)
    parts = {name: torch.from_numpy(split.x) for name, split in few.splits.items()}
    for results in kmeans_by_layer(vlac(), few, parts, SEEDS, 7):
        assert 1 <= results.metrics["test.clusters_used_z1"] <= 4
        assert results.metrics["test.floor_identity"] == 50  # of classes 2, 1, 0, 2


# ---- images


SHAPES = {
    vlac: {"resampled_z1": 7, "resampled_z2": 7, "components_y1": 4, "components_y2": 3},
    vlae: {"resampled_z1": 7, "resampled_z2": 7},
    gmdgm: {"resampled_z2": 7, "components_y2": 4},
}


@pytest.mark.parametrize("build", [vlac, vlae, gmdgm])
def test_images_of_every_layer_are_bytes_of_known_shapes(build):
    found = images(build(), DATA, SEEDS, CPU)
    assert len(found) == 2
    for arrays in found:
        assert {name: images.shape for name, images in arrays.items()} == {"layer_inputs": (3, D)} | {
            name: (3, 7, D) if name.startswith("resampled") else (n, 4, D) for name, n in SHAPES[build].items()
        }
        assert {images.dtype for images in arrays.values()} == {np.dtype(np.uint8)}


def test_layers_without_clusters_have_no_components():
    found = images(vlac(n_clusters=(1, 3)), DATA, SEEDS, CPU)
    assert found[0].keys() == {"layer_inputs", "resampled_z1", "resampled_z2", "components_y2"}


def test_one_image_of_each_class_is_shown():
    test = DATA.splits["test"]
    assert test.y[:3].tolist() == [2, 1, 0]
    for arrays in images(vlac(), DATA, SEEDS, CPU):
        assert np.array_equal(arrays["layer_inputs"], test.x[[2, 1, 0]])
    two = DataSet("two", {"train": test, "test": test.rows(np.flatnonzero(test.y != 1))}, (4, 4, 3))
    for arrays in images(vlac(), two, SEEDS, CPU):
        assert np.array_equal(arrays["layer_inputs"], test.x[[2, 0]])
        assert arrays["resampled_z1"].shape == (2, 7, D)


@torch.no_grad()
def test_a_resampled_layer_is_drawn_from_its_prior_and_the_others_are_those_of_the_image():
    """With one point for a prior in layer 2, what is drawn is known whatever the noise."""
    model = vlac()
    model.p_z["2"].mean[:] = torch.tensor([1.0, -2.0, 0.5])
    model.p_z["2"].log_var.fill_(-100)
    found = images(model, DATA, SEEDS, CPU)
    shown = seen(model)[:, [2, 1, 0]]
    z1 = model.embed(shown)["z1_mean"]
    expected = 255 * model.decode({1: z1, 2: torch.tensor([1.0, -2.0, 0.5]).expand(2, 3, 3)})
    for r, arrays in enumerate(found):
        off = np.abs(arrays["resampled_z2"] - expected[r, :, None].numpy())
        assert off.max() < 0.51
        assert not (arrays["resampled_z1"] == arrays["resampled_z1"][:, :1]).all()
        differ = np.abs(arrays["components_y2"].astype(int) - arrays["components_y2"][0, 0]).max()
        assert differ == 0  # all components are the same point, and the other layer has one draw


def test_draws_depend_on_the_seed_alone():
    first, again = (images(vlac(), DATA, SEEDS, CPU) for _ in range(2))
    other = images(vlac(), DATA, [3, 6], CPU)
    for name in SHAPES[vlac]:
        assert np.array_equal(first[0][name], again[0][name])
        assert np.array_equal(first[0][name], other[0][name])
        assert not np.array_equal(first[1][name], other[1][name])


# ---- without labels, and all together


LAYERS = ("clustering", "layers", "kmeans-3", "resampling")
#: The arrays of all of them: of pictures, of the model's clusters and of k-means.
CLUSTERS = {"clusters_train", "clusters_test", "confidence_test"}
ARRAYS = {
    vlac: SHAPES[vlac].keys() | CLUSTERS | {f"clusters_test_{layer}" for layer in ("y1", "y2", "z1", "z2")},
    vlae: SHAPES[vlae].keys() | {"clusters_test_z1", "clusters_test_z2"},
    gmdgm: SHAPES[gmdgm].keys() | CLUSTERS | {"clusters_test_y2", "clusters_test_z2"},
}


def evaluated(model: VLAC, of: DataSet, evaluations: tuple[str, ...] = LAYERS) -> list[Results]:
    return evaluate(model, of, SEEDS, [{}, {}], evaluations, CPU)


@pytest.mark.parametrize("build", [vlac, vlae, gmdgm])
def test_data_without_labels_have_no_scores_but_images(build):
    plain = data(labelled=False)
    for result in evaluated(build(), plain, LAYERS if build is not vlae else ("kmeans-3", "resampling")):
        names = {"test.clusters_used_z2"}
        names |= set() if build is gmdgm else {"test.clusters_used_z1"}
        names |= {vlac: {"test.clusters_used_y1", "test.clusters_used_y2"}, gmdgm: {"test.clusters_used_y2"}}.get(
            build, set()
        )
        names |= {"train.clusters_used", "test.clusters_used"} if build is not vlae else set()
        assert result.metrics.keys() == names
        assert result.arrays.keys() == ARRAYS[build] | {"layer_inputs"}
        assert np.array_equal(result.arrays["layer_inputs"], plain.splits["test"].x[:3])


@pytest.mark.parametrize("build", [vlac, gmdgm])
def test_everything_is_measured_together(build):
    model = build()
    found = evaluated(model, DATA)
    clusters, means = clusters_by_layer(model, DATA, X["test"]), kmeans_by_layer(model, DATA, X, SEEDS, 3)
    scored = "y1" if build is vlac else "y2"
    for r, result in enumerate(found):
        layers = clusters[r].metrics | means[r].metrics
        assert result.metrics == pytest.approx(result.metrics | layers)
        rest = result.metrics.keys() - layers.keys()
        assert {name.partition(".")[0] for name in rest} == {"train", "test", "all"}
        assert all(type(value) in (int, float) and math.isfinite(value) for value in result.metrics.values())
        for measure in ("acc_many_to_one", "nmi_arithmetic"):
            assert result.metrics[f"test.{measure}"] == pytest.approx(
                result.metrics[f"test.{measure}_{scored}_identity"]
            )
        assert result.metrics["test.clusters_used"] == result.metrics[f"test.clusters_used_{scored}"]
        exemplars = {f"exemplars_{name}" for name in ("train", "test", "all")}
        assert result.arrays.keys() == ARRAYS[build] | exemplars | {"layer_inputs"}
        for name, kept in (clusters[r].arrays | means[r].arrays).items():
            assert np.array_equal(result.arrays[name], kept)
        assert np.array_equal(result.arrays["clusters_test"], result.arrays[f"clusters_test_{scored}"])


def test_only_what_is_asked_for_is_measured():
    for asked, leading, arrays in (
        ("layers", {"test.leading_y"}, {"clusters_test_y1", "clusters_test_y2"}),
        ("kmeans-3", {"test.leading_z"}, {"clusters_test_z1", "clusters_test_z2"}),
        ("resampling", set(), SHAPES[vlac].keys() | {"layer_inputs"}),
    ):
        for result in evaluated(vlac(), DATA, (asked,)):
            assert {name for name in result.metrics if "leading" in name} == leading
            assert bool(result.metrics) == bool(leading)
            assert result.arrays.keys() == arrays


def test_the_number_of_clusters_is_that_of_the_name():
    for n in (1, 2, 5):
        for result in evaluated(vlac(), DATA, (f"kmeans-{n}",)):
            assert max(result.metrics["test.clusters_used_z1"], result.metrics["test.clusters_used_z2"]) == n


@pytest.mark.parametrize("asked", ["layers", "chance", "kmeans-3", "resampling"])
def test_layers_are_measured_only_of_models_that_have_them(asked):
    def config(experiment: str, row: str) -> RunConfig:
        return declaration.load(experiment).row(row).config("demo")

    refuse_unsuited([asked], config("vlac-factors", "gm-dgm"))
    refused = [config("simple-table1", "proposed-mnist")]
    if asked in ("layers", "chance"):  # those of the clusters, and a ladder has none
        refused.append(config("vlac-factors", "vlae"))
    else:
        refuse_unsuited([asked], config("vlac-factors", "vlae"))
    for other in refused:
        fault = f"'{asked}' cannot be made of the model {other.model['name']}; possible are "
        with pytest.raises(SettingError, match=fault):
            refuse_unsuited(["projection", asked], other)


# ---- declarations


def test_evaluations_of_layers_are_taken():
    asked = ["clustering", "layers", "kmeans-20", "kmeans-3", "resampling"]
    row = {"label": "a", "dataset": "mnist", "settings": {}, "evaluate": asked}
    assert declaration._row("here", "this", row, {}).evaluated == tuple(asked)


def test_chance_is_given_for_every_layer_and_factor_and_stays_below_what_is_known():
    y = np.arange(300) % 3
    split = Split(np.zeros((300, D), np.uint8), y, {"ink": (y + np.arange(300) // 150) % 2})
    found = by_chance(split, {"y1": y, "y2": np.zeros(300, int)})
    layers_and_factors = [(layer, factor) for layer in ("y1", "y2") for factor in ("identity", "ink")]
    assert found.keys() == {f"test.chance_{k}_{a}_{f}" for k in ("many_to_one", "nmi") for a, f in layers_and_factors}
    assert 33.3 < found["test.chance_many_to_one_y1_identity"] < 45 and found["test.chance_nmi_y1_identity"] < 3
    assert found["test.chance_many_to_one_y2_identity"] == pytest.approx(100 / 3)
    by_the_model = clusters_by_layer(vlac(), DataSet("d", {"test": pictures(40, 0)}), torch.rand(40, D), by_chance)
    assert all("test.chance_nmi_y2_identity" in each.metrics for each in by_the_model)
    assert len(by_the_model) == len(SEEDS)
