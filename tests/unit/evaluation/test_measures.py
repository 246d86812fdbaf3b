"""What is measured of models of bits: the bits, bounds, active units, and a complete run's record."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from genclust.data import DataSet, Split
from genclust.evaluation import measures, registry
from genclust.evaluation.likelihood import bound, log_likelihood, log_weights
from genclust.evaluation.trained import encoder_input
from genclust.experiments import declaration, execution, workers
from genclust.experiments.configuration import RunConfig
from genclust.experiments.store import Store
from genclust.experiments.training_run import TrainingRun
from genclust.models import MODELS
from genclust.models.cagem import CaGeM, CaGeMSettings
from genclust.models.gumbel import GumbelClustering, GumbelSettings
from genclust.models.iwae import IWAE, IWAESettings
from genclust.settings import SettingError
from genclust.streams import Noise, noise_on
from genclust.training.batch_norm import recalibrate_batch_norm

from .test_likelihood import LinearGaussian, TwoClasses, X

TABLE = declaration.load("cagem-table1")
N = 20_000


def cagem(replicas: int = 1, **settings) -> CaGeM:
    model = CaGeM(replicas, 4, CaGeMSettings(3, 2, 2, 6, batch_norm=False, init="pytorch", **settings))
    model.initialise(Noise(list(range(replicas)), "test").generators)
    return model.eval()


# ---- the bits


def grey(x: np.ndarray) -> DataSet:
    return DataSet("grey", {"train": Split(x, None), "test": Split(x, None)})


@pytest.mark.parametrize("kind", ["bytes", "floats"])
@pytest.mark.parametrize("divisor", [255, 256])
def test_a_pixel_is_on_as_often_as_its_grey_value_says(divisor, kind):
    """Constant images: within four standard errors of g over the divisor; white is always on at 255, black never."""
    values = np.array([0, 1, 37, 128, 254, 255], dtype=np.uint8)
    x = np.tile(values, (N, 1))
    data = grey(x if kind == "bytes" else x.astype(np.float32) / 255)
    bits = encoder_input(cagem(divisor=divisor), data, "test")
    on = 255 if kind == "bytes" else 1
    assert set(bits.unique().tolist()) == {0, on}
    p = values / divisor
    errors = np.abs((bits == on).double().mean(0).numpy() - p)
    assert (errors <= 4 * np.sqrt(p * (1 - p) / N)).all()  # exactly, where p is 0 or 1


@pytest.mark.parametrize("kind", ["bytes", "floats"])
def test_bits_are_drawn_once_for_every_split_by_itself(kind):
    """The same at every call and for every model, whatever its seed; and not the same bits for two splits."""
    x = np.random.default_rng(0).integers(0, 256, (50, 4), dtype=np.uint8)
    data = grey(x if kind == "bytes" else x.astype(np.float32) / 255)
    iwae = IWAE(2, 4, IWAESettings())
    first = encoder_input(cagem(), data, "test")
    assert torch.equal(first, encoder_input(cagem(), data, "test"))
    assert torch.equal(first, encoder_input(iwae, data, "test"))
    assert not torch.equal(first, encoder_input(cagem(), data, "train"))


def test_other_models_see_the_data_as_they_are():
    x = np.random.default_rng(0).integers(0, 256, (50, 4), dtype=np.uint8)
    gumbel = GumbelClustering(1, 4, GumbelSettings(3, 2, 2, (4,)))
    assert np.array_equal(encoder_input(gumbel, grey(x), "test").numpy(), x)


# ---- the bound against the number of samples


def test_the_bound_averages_over_disjoint_sets_of_samples():
    log_w = torch.randn(7, 4, dtype=torch.float64)
    for size, sets in ((1, 7), (2, 3), (3, 2), (7, 1)):
        each = [
            math.log(sum(math.exp(log_w[s * size + i, image]) for i in range(size)) / size)
            for s in range(sets)
            for image in range(4)
        ]
        assert bound(log_w, [size])[0] == pytest.approx(np.mean(each), rel=1e-12)


@pytest.mark.parametrize("known", [LinearGaussian(2.0), TwoClasses(), cagem()], ids=["gaussian", "classes", "cagem"])
def test_with_all_samples_the_bound_is_the_likelihood(known):
    """From the same seeds, cut into the same chunks, the last ones smaller."""
    x = X if isinstance(known, LinearGaussian) else (X[:, : 3 if isinstance(known, TwoClasses) else 4] > 0).float()
    cut, seeds = {"samples_at_once": 70, "images_at_once": 8}, list(range(known.replicas))
    found = log_likelihood(known, x, seeds, 230, **cut)
    log_w = log_weights(known, x, seeds, 230, **cut)
    assert log_w.shape == (230, known.replicas, 30)
    for r in seeds:
        ends = bound(log_w[:, r], [1, 230])
        assert ends[0] == pytest.approx(float(found.elbo[r].double().mean()), abs=2e-5)
        assert ends[1] == pytest.approx(float(found.log_prob[r].double().mean()), abs=2e-5)
    torch.testing.assert_close(log_w.double().logsumexp(0) - math.log(230), found.log_prob.double(), rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("known", "x"),
    [(LinearGaussian(4.0), X), (TwoClasses(), torch.tensor([[0.0, 1, 0], [1, 1, 1], [1, 0, 0]]))],
    ids=["gaussian", "classes"],
)
def test_the_bound_rises_to_the_likelihood_and_not_above_it(known, x):
    """By no more than its standard error, that of the mean over images and disjoint sets about the known values."""
    sizes, truth = [1, 2, 5, 10, 100], known.log_prob(x).double()
    log_w = log_weights(known, x, list(range(known.replicas)), 10_000)[:, 0].double()
    found = bound(log_w, sizes)
    assert (np.diff(found) > 0).all()
    for size, value in zip(sizes, found, strict=True):
        error = log_w.unflatten(0, (-1, size)).logsumexp(1) - math.log(size) - truth
        standard_error = float((error - error.mean(0)).std()) / error.numel() ** 0.5
        assert value < float(truth.mean()) + standard_error
    assert found[-1] == pytest.approx(float(truth.mean()), abs=0.02)
    assert found[0] < float(truth.mean()) - 0.1


@torch.no_grad()
def test_summing_y_out_changes_the_bound_and_not_what_it_converges_to():
    """One sample with y summed out is worth more than one with y drawn, by Jensen's inequality; many agree."""
    model, bits = cagem(), torch.randint(2, (5, 4), generator=torch.Generator().manual_seed(0)).float()
    for parameter in (*model.p_x.parameters(), *model.q_y.parameters()):
        parameter.mul_(2)
    (results,) = measures.bounds(model, bits, [3], 5000, "float32")
    assert results.metrics == {}
    found = results.arrays
    assert found["bound_samples"].tolist() == [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000]
    assert found["bound"].shape == (12,)
    assert found["bound_enumerated"].shape == (9,)  # up to 500
    assert (np.diff(found["bound"][:6]) > 0).all()
    assert found["bound_enumerated"][0] > found["bound"][0] + 0.05
    assert found["bound_enumerated"][-1] == pytest.approx(found["bound"][-1], abs=0.05)
    enumerated = log_weights(model, bits, [3], 500, enumerate_y=True)
    np.testing.assert_array_equal(
        found["bound_enumerated"], bound(enumerated[:, 0], [1, 2, 5, 10, 20, 50, 100, 200, 500])
    )


def test_units_are_active_whose_posterior_means_vary():
    """Over 101 images: an alternation of ±a has the unbiased variance a² (1 + 1/100) about its mean of a / 101."""
    signs = torch.tensor([1.0, -1.0]).repeat(51)[:101]
    variance = float(signs.double().var())

    def unit(wanted: float, mean: float = 0.0) -> torch.Tensor:
        return signs * (wanted / variance) ** 0.5 + mean

    still, barely, just, much = unit(0.0, 5.0), unit(0.0099), unit(0.0101, -3.0), unit(4.0)
    z1 = torch.stack([torch.stack([still, barely, just, much], 1), torch.stack([still, still, barely, barely], 1)])
    z2 = torch.stack([torch.stack([just], 1), torch.stack([much], 1)])
    found = measures.units({"z1_mean": z1, "z2_mean": z2})
    assert [results.metrics for results in found] == [
        {"test.active_z1": 2.0, "test.active_z2": 1.0},
        {"test.active_z1": 0.0, "test.active_z2": 1.0},
    ]
    variances = [([0, 0.0099, 0.0101, 4], [0.0101]), ([0, 0, 0.0099, 0.0099], [4])]
    for results, (of_z1, of_z2) in zip(found, variances, strict=True):
        assert results.arrays["variances_z1"] == pytest.approx(of_z1, rel=1e-4)
        assert results.arrays["variances_z2"] == pytest.approx(of_z2, rel=1e-4)


@torch.no_grad()
def test_an_error_counts_over_all_images():
    """More than are classified at once; every classifier of both replicas made to give one answer throughout."""
    model, answers = cagem(2), {"q": (0, 1), "p": (2, 0)}
    for classifier, of_replicas in zip((model.q_y, model.p_y), answers.values(), strict=True):
        for r, answer in enumerate(of_replicas):
            classifier.heads["logits"].bias[r, ..., answer] += 50
    y = np.repeat([0, 1, 2], [600, 300, 221])
    data = DataSet("many", {"test": Split(np.zeros((1121, 4), np.uint8), y)})
    found = measures.classifiers(model, data, torch.zeros(1121, 4), [3, 4], torch.device("cpu"))
    wrong = {0: 521, 1: 821, 2: 900}  # by the answer
    for r, results in enumerate(found):
        assert results.metrics == {
            f"test.error_{name}": pytest.approx(100 * wrong[of_replicas[r]] / 1121)
            for name, of_replicas in answers.items()
        }
        assert {name: classes.tolist() for name, classes in results.arrays.items()} == {
            f"classes_{name}": [of_replicas[r]] * 1121 for name, of_replicas in answers.items()
        }


# ---- what a declaration may ask for


@pytest.mark.parametrize("place", ["experiment", "row", "profile"])
@pytest.mark.parametrize(
    "evaluation",
    [
        *(
            "likelihood",
            "likelihood-x",
            "bound",
            "clustering-5",
            "likelyhood-5",
            "layers-2",
            "resampling-3",
            "chance-2",
        ),
        *("kmeans", "kmeans-", "kmeans-0", "kmeans-x", "kmeans--3", "kmeans-2.5"),
    ],
)
def test_evaluations_that_mean_nothing_are_refused(evaluation, place):
    row, declared = {"label": "a", "dataset": "mnist", "settings": {}}, {"settings": {}}
    asked = {"evaluate": ["units", evaluation]}
    if place == "profile":
        declared["profiles"] = {"demo": asked}
    else:
        (declared if place == "experiment" else row).update(asked)
    with pytest.raises(SettingError, match=f"no evaluation, asked for by here/this, '{evaluation}'"):
        declaration._row("here", "this", row, declared)


@pytest.mark.parametrize("evaluation", ["likelihood-0", "clustering-x", "units-"])
def test_evaluations_that_would_fail_after_training_or_do_nothing_are_refused(evaluation):
    row = {"label": "a", "dataset": "mnist", "settings": {}, "evaluate": [evaluation]}
    with pytest.raises(SettingError, match=f"no evaluation, asked for by here/this, '{evaluation}'"):
        declaration._row("here", "this", row, {})


def test_evaluations_with_a_number_of_samples_are_taken():
    row = {"label": "a", "dataset": "mnist", "settings": {}, "evaluate": ["likelihood-5000", "bound-1", "clustering"]}
    assert declaration._row("here", "this", row, {}).evaluated == ("likelihood-5000", "bound-1", "clustering")


# ---- complete runs


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Records and arrays of two seeds of a row with labels, and of one without, after one epoch."""
    small = {"model": {"hidden": 12, "z1_dim": 4, "z2_dim": 3}, "training": {"epochs": 1}}
    of_all = ("likelihood-20", "bound-20", "units", "clustering", "generation")
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        for name, asked in (("cagem-100", (*of_all, "classifiers")), ("cagem-0-k10", of_all)):
            folder = tmp_path_factory.mktemp(name)
            patch.setenv("GENCLUST_CACHE", str(folder / "cache"))
            task = replace(execution.task_for(TABLE.row(name), "demo", [0, 1], small), evaluations=asked)
            found[name] = execution.run(task, Store(folder / "records"), progress=False)
    return found


def test_a_record_holds_the_likelihood_and_what_goes_with_it(records):
    for record in (*records["cagem-100"], *records["cagem-0-k10"]):
        metrics = record.metrics
        assert all(map(math.isfinite, metrics.values()))
        assert metrics["test.log_likelihood_samples"] == 20
        assert metrics["test.elbo"] < metrics["test.log_likelihood"] < 0
        assert 0 < metrics["test.log_likelihood_se"] < 2
        assert metrics["test.active_z1"] in range(5)
        assert metrics["test.active_z2"] in range(4)
        assert {"test.acc_hungarian", "validation.acc_hungarian", "train.nmi_arithmetic"} <= metrics.keys()
        arrays = record.arrays()
        for name in ("log_likelihood", "elbo"):
            assert arrays[f"{name}_test"].shape == (359,)
            mean = arrays[f"{name}_test"].mean(dtype=np.float64)  # of images in half precision
            assert mean == pytest.approx(metrics[f"test.{name}"], abs=5e-3)
        for layer in ("z1", "z2"):
            assert (arrays[f"variances_{layer}"] > measures.ACTIVE).sum() == metrics[f"test.active_{layer}"]
        assert arrays["bound_samples"].tolist() == [1, 2, 5, 10, 20]
        assert arrays["bound"].shape == arrays["bound_enumerated"].shape == (5,)
        assert (np.diff(arrays["bound"]) > 0).all()
        assert (np.diff(arrays["bound_enumerated"]) > 0).all()
        for name in ("generated_inputs", "generated_rebuilt", "generated_samples"):
            assert arrays[name].shape == (64, 64)
            assert arrays[name].dtype == np.uint8
        assert set(np.unique(arrays["generated_inputs"]).tolist()) == {0, 255}
    a, b = records["cagem-100"]
    assert a.metrics["test.log_likelihood"] != b.metrics["test.log_likelihood"]
    assert np.array_equal(a.arrays()["generated_inputs"], b.arrays()["generated_inputs"])
    assert not np.array_equal(a.arrays()["generated_samples"], b.arrays()["generated_samples"])


def test_only_a_row_with_labels_has_classifier_errors(records):
    for record in records["cagem-100"]:
        for name in ("test.error_q", "test.error_p"):
            wrong = record.metrics[name] * 359 / 100  # of so many test images
            assert wrong == pytest.approx(round(wrong), abs=1e-6)
            assert 0 < wrong < 359
    for record in records["cagem-0-k10"]:
        assert not {name for name in record.metrics if "error" in name}
        assert not {name for name in record.arrays() if "classes" in name}


def test_classifiers_without_labels_are_refused():
    """Cluster k is not class k there."""
    registry.refuse_unsuited(["classifiers"], TABLE.row("cagem-100").config("demo"))
    with pytest.raises(SettingError, match="'classifiers' cannot be made of the model cagem without labels"):
        registry.refuse_unsuited(["units", "classifiers"], TABLE.row("cagem-0-k10").config("demo"))


def test_a_map_does_not_suit_a_model_without_the_setting_that_it_asks_for(monkeypatch):
    """Such as a model from elsewhere that has the method, and calls its dimensions otherwise."""
    monkeypatch.setitem(MODELS, "other", (CaGeM, GumbelSettings))
    assert not registry.suits("map", SimpleNamespace(model={"name": "other"}, data={}))
    for z2_dim, suits in ((2, True), (3, False)):
        assert registry.suits("map", TABLE.row("cagem-100").config("demo", {"model": {"z2_dim": z2_dim}})) is suits


def test_the_recorded_numbers_are_those_of_the_trained_model(records, tmp_path, monkeypatch):
    """Rebuilt from its checkpoint with its own statistics; likelihood by hand from weights, error from labels."""
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path))
    record = records["cagem-100"][1]
    config = RunConfig(**record.config)
    data, _ = execution.prepare(config)
    with workers.in_process(progress=False) as watch:
        model = TrainingRun(config, [1], data, watch).train()
    recalibrate_batch_norm(model, torch.from_numpy(data.splits["train"].x), [1], 100)
    bits = encoder_input(model, data, "test").float() / 255
    log_w = log_weights(model, bits, [1], 20)[:, 0].double()
    log_p = log_w.logsumexp(0) - math.log(20)
    assert record.metrics["test.log_likelihood"] == pytest.approx(float(log_p.mean()), abs=0.01)
    assert record.metrics["test.log_likelihood_se"] == pytest.approx(float(log_p.std()) / 359**0.5, abs=0.01)
    assert record.metrics["test.elbo"] == pytest.approx(float(log_w.mean()), abs=0.01)
    np.testing.assert_allclose(record.arrays()["bound"], bound(log_w[:, :200], [1, 2, 5, 10, 20]), atol=0.01)
    with torch.no_grad():
        found = model.classifiers(bits[None], measures.CLASSIFIER_SAMPLES, noise_on("cpu", [1], "classifier samples"))
    truth = torch.from_numpy(data.splits["test"].y)
    for name, log_prob in found.items():
        classes = record.arrays()[f"classes_{name}"]
        assert record.metrics[f"test.error_{name}"] == pytest.approx(100 * np.mean(classes != truth.numpy()))
        error = 100 * float((log_prob[0].argmax(-1) != truth).double().mean())
        assert record.metrics[f"test.error_{name}"] == pytest.approx(
            error, abs=0.6
        )  # rounding may turn an image or two
