"""What cannot be used is refused in one sentence that says what is wrong, before anything is trained."""

import datetime
import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import NotFittedError

from estimators.tiny import CLUSTERERS, DENSITIES, GENERATIVE, NAMES, images, rows, tiny
from genclust.estimators import base


@pytest.fixture(autouse=True)
def untrained(monkeypatch):
    """Nothing trains, and nothing is left of a fit that was refused."""

    def never(*args, **kwargs):
        raise AssertionError("Training began.")

    monkeypatch.setattr(base, "Training", never)


def refused(match, function, *args, **kwargs):
    with pytest.raises(ValueError) as raised:
        function(*args, **kwargs)
    message = str(raised.value)
    assert re.search(match, message), message
    assert "\n" not in message and len(message) < 300 and message[-1] in ".?", message


def refuses(estimator, X, match, **kwargs):
    refused(match, estimator.fit, X, **kwargs)
    assert not [name for name in vars(estimator) if name.endswith("_")]


def changed(value, at=(3, 5)):
    X = rows(20)
    X[at] = value
    return X


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("X", "match"),
    [
        (rows(4), "n_samples=4, too few"),
        (changed(np.nan), "NaN or infinity, first in row 3, column 5"),
        (changed(-np.inf), "NaN or infinity, first in row 3, column 5"),
        (changed(np.nan).reshape(20, 8, 8), "NaN or infinity, first in row 3, column 5"),
        (sparse.csc_array(changed(np.inf)), "NaN or infinity, first in row 3, column 5"),
        (pd.DataFrame(changed(np.nan)), "NaN or infinity, first in row 3, column 5"),
        (torch.tensor(changed(np.nan)), "NaN or infinity, first in row 3, column 5"),
        (changed(1e39), "too large for float32"),
        (np.ones((20, 6)), "All rows of X are alike; there is nothing to learn"),
        (np.tile(np.arange(6.0), (20, 1)), "All rows of X are alike"),
        (np.zeros((20, 6), np.uint8), "All rows of X are alike"),
        (sparse.csr_array((20, 6)), "All rows of X are alike"),
    ],
)
def test_rows_that_nothing_can_be_learned_from(name, X, match):
    refuses(tiny(name), X, match)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_that_are_no_table(name):
    for X in (np.ones(9), np.ones((3, 2, 2, 3, 2)), np.empty((0, 8)), np.empty((0, 8, 8)), [[1, 2], [3]], 5, "text"):
        with pytest.raises(ValueError):
            tiny(name).fit(X)


@pytest.mark.parametrize("name", NAMES)
def test_columns_of_text(name):
    table = pd.DataFrame(rows(20)).rename(columns=str).assign(colour=["red", "blue"] * 10)
    refuses(tiny(name), table, "^X holds text, such as 'red' in the column 'colour'; encode it as numbers")
    refuses(tiny(name), [[1, "a"]] * 20, "^X holds text, such as 'a'; encode it")
    refuses(tiny(name), np.array([["a)", "b"]] * 20), r"^X holds text, such as 'a\)'; encode it")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"epochs": 0}, r"\.epochs must lie between 1 and"),
        ({"epochs": 1.5}, r"\.epochs must be a whole number, not 1\.5"),
        ({"epochs": "3"}, r"\.epochs must be a whole number"),
        ({"epochs": True}, r"\.epochs must be a whole number"),
        ({"batch_size": 1}, r"\.batch_size must lie between 2"),
        ({"n_init": 0}, r"\.n_init must lie between 1"),
        ({"n_init": None}, r"\.n_init must be a whole number"),
        ({"validation_fraction": 1}, r"\.validation_fraction must lie between 0\.001 and 0\.9, not 1"),
        ({"validation_fraction": 0}, r"\.validation_fraction must lie between"),
        ({"validation_fraction": np.nan}, r"\.validation_fraction must lie between"),
        ({"learning_rate": -0.1}, r"\.learning_rate must be a positive number"),
        ({"learning_rate": 0}, r"\.learning_rate must be a positive number"),
        ({"learning_rate": (0.1, 0)}, r"\.learning_rate must be a positive number"),
        ({"learning_rate": (0.1, 0.1, 0.1)}, r"\.learning_rate must be a positive number"),
        ({"learning_rate": np.inf}, r"\.learning_rate must be a positive number"),
        ({"learning_rate": "fast"}, r"\.learning_rate must be a positive number"),
        ({"scale": "max"}, r"There is no \w+\.scale called 'max'; did you mean 'minmax'"),
        ({"scale": None}, r"There is no \w+\.scale called 'None'"),
        ({"precision": "float16"}, r"\.precision must be 'float32' or 'bf16', not 'float16'"),
        ({"precision": "faster"}, r"\.precision must be 'float32' or 'bf16'"),
        ({"device": "gpu"}, "There is no device 'gpu'"),
        ({"device": "mps"}, "The device 'mps' is not supported"),
        ({"device": 0}, r"\.device must be text"),
    ],
    ids=str,
)
def test_parameters_of_all(name, parameters, match):
    refuses(tiny(name, **parameters), rows(60), match)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_where_there_is_none(name):
    refuses(tiny(name, device="cuda"), rows(60), "No CUDA device was found")


@pytest.mark.parametrize("name", NAMES)
def test_seeds_that_are_none(name):
    for state in ("a", -1, 1.5):
        with pytest.raises(ValueError):
            tiny(name, random_state=state).fit(rows(60))


@pytest.mark.parametrize(
    ("name", "parameters", "match"),
    [
        ("GumbelClustering", {"n_clusters": 0}, r"\.n_clusters must lie between 1"),
        ("GumbelClustering", {"n_clusters": 61}, "more than the 60 rows of X; a cluster should hold many rows"),
        ("GMVAE", {"n_clusters": np.int64(61)}, "n_clusters=61 is more than the 60 rows"),
        ("CaGeM", {"n_clusters": 61}, "n_clusters=61 is more than the 60 rows"),
        ("VLAC", {"n_clusters": 61}, "n_clusters=61 is more than the 60 rows"),
        ("VLAC", {"n_clusters": (1, 61)}, "n_clusters=61 is more than the 60 rows"),
        ("GumbelClustering", {"n_clusters": "ten"}, r"\.n_clusters must be a whole number"),
        ("GMVAE", {"n_clusters": 2.5}, r"\.n_clusters must be a whole number"),
        ("CaGeM", {"n_clusters": True}, r"\.n_clusters must be a whole number"),
        ("GumbelClustering", {"likelihood": "poisson"}, r"likelihood called 'poisson'; .*bernoulli"),
        ("GMVAE", {"likelihood": "poisson"}, r"likelihood called 'poisson'; .*bernoulli"),
        ("GumbelClustering", {"temperature": 0}, r"\.temperature must be a positive number"),
        ("GumbelClustering", {"hidden": 8}, r"\.hidden must be a list, such as"),
        ("GumbelClustering", {"hidden": (8, 0)}, r"an entry of GumbelClustering\.hidden must lie between 1"),
        ("GumbelClustering", {"feature_dim": 1}, r"\.feature_dim must lie between 2"),
        ("SplitMerge", {"n_clusters": 9}, "8 sub-clusters in all cannot be merged into n_clusters=9"),
        ("SplitMerge", {"neighbours": False}, "nothing to pair a row with"),
        ("SplitMerge", {"image_shape": 8}, r"SplitMerge\.image_shape must be height, width and colours, not 8"),
        ("GMVAE", {"network": "mnist"}, "network 'mnist' takes images of 28 × 28"),
        ("GMVAE", {"alpha": -1}, r"\.alpha must lie between 0"),
        ("CaGeM", {"warm_up": 2}, r"\.warm_up must lie between 0 and 1"),
        ("LVAE", {"warm_up": "slow"}, r"\.warm_up must lie between 0 and 1"),
        ("LVAE", {"hidden": (8,)}, "one width for each layer"),
        ("VAE", {"z_dims": ()}, "one width for each layer"),
        ("VAE", {"z_dims": 2}, r"\.z_dims must be a list"),
        ("IWAE", {"samples": 0}, r"\.samples must lie between 1"),
        ("VLAC", {"z_dims": 2}, r"\.z_dims must be a list"),
        ("VLAC", {"channels": 8}, r"\.channels must be a list"),
        ("VLAC", {"channels": (2,) * 5}, "gives one number for each of 2 layers"),
        ("VLAC", {"image_shape": (7, 9)}, r"have 63 values, not 64; set VLAC\.image_shape as in the data"),
        ("SplitMerge", {"image_shape": (7, 9)}, r"have 63 values, not 64; set SplitMerge\.image_shape as in the data"),
        ("SplitMerge", {"image_shape": (0, 8)}, r"\.image_shape must be height, width and colours, not \(0, 8\)"),
        ("SplitMerge", {"hidden": ()}, r"^SplitMerge\.hidden must give the width of one layer or more"),
        ("GumbelClustering", {"hidden": []}, r"^GumbelClustering\.hidden must give the width of one layer or more"),
        ("GumbelClustering", {"n_clusters": 100.0}, "n_clusters=100 is more than the 60 rows"),
        ("VLAC", {"n_clusters": 100.0}, "n_clusters=100 is more than the 60 rows"),
        ("IWAE", {"hidden": (2, 3)}, r"^IWAE\.hidden gives one width for each layer of IWAE\.z_dims, not 2 for 1"),
        ("VLAC", {"image_shape": 8}, r"\.image_shape must be height, width and colours, not 8"),
        ("VLAC", {"image_shape": (64,)}, r"\.image_shape must be height, width and colours"),
        ("VLAC", {"image_shape": ()}, r"\.image_shape must be height, width and colours"),
        ("VLAC", {"scored_layer": 1}, "scored_layer must be a layer with clusters"),
        ("VLAC", {"sigma": 0}, r"\.sigma must lie between"),
    ],
    ids=str,
)  # fmt: skip
def test_parameters_of_one(name, parameters, match):
    refuses(tiny(name, **parameters), rows(60), match)


@pytest.mark.parametrize("name", NAMES)
def test_too_little_left_to_train_on(name):
    small = {"n_clusters": 2} if name in CLUSTERERS else {}
    refuses(tiny(name, validation_fraction=0.9, **small), rows(5), "validation_fraction=0.9 leaves less than two of 5")


@pytest.mark.parametrize("name", ["CaGeM", "VAE", "IWAE", "LVAE", "VLAC"])
def test_values_that_a_model_of_the_unit_interval_cannot_have(name):
    for scale in ("none", "standard"):
        refuses(tiny(name, scale=scale), rows(20) * 3 - 1, r"needs values in \[0, 1\], and X spans -1 to 2; take scale")


@pytest.mark.parametrize("name", ["GumbelClustering", "GMVAE"])
def test_values_that_are_no_bits(name):
    estimator = tiny(name, likelihood="bernoulli", scale="none")
    refuses(estimator, rows(20) * 3 - 1, r"needs values in \[0, 1\], and X spans -1 to 2; take scale")
    with pytest.raises(AssertionError, match="Training began"):  # of which a Gaussian can do anything
        tiny(name, likelihood="auto", scale="standard").fit(np.random.default_rng(0).random((20, 6)))


def test_a_constant_column_under_a_learned_variance():
    X = np.random.default_rng(0).normal(size=(20, 6))
    X[:, 4] = 2
    for data in (X, sparse.csr_array(X), pd.DataFrame(X)):
        refuses(tiny("GMVAE"), data, r"1 column of X .*\(first: column 4\)")
    with pytest.raises(AssertionError, match="Training began"):
        tiny("GumbelClustering").fit(X)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.full(20, -1), "name the class of two rows at least"),
        (np.where(np.arange(20) == 3, 1, -1), "name the class of two rows at least"),
        (np.full(20, 3), "a whole number from 0 to 2"),
        (np.full(20, -2), "a whole number from 0 to 2"),
        (np.full(20, 0.5), "a whole number from 0 to 2"),
        ([0, 1, np.inf] + 17 * [0], "a whole number from 0 to 2"),
        ([True, None] * 10, "a whole number from 0 to 2"),
        ([[0], [1, 2]] * 10, "a whole number from 0 to 2"),
        (np.zeros((20, 1), int), r"of shape \(20,\), one class for each row, not of shape \(20, 1\)"),
        (3, r"^labels must be a list or an array of shape \(20,\), one class for each row, not 3\."),
        ("abc", "must be a list or an array of shape .*, not 'abc'"),
        (["a"] + [""] * 19, "name the class of two rows at least; it is empty text"),
        (list("abcd") * 5, "labels name 4 classes, and n_clusters=3"),
        ([3, *"abcdefghijklmnopqrs"], "text or whole numbers and not both; there is 3 beside text"),
        (
            [None, "a", float("nan"), pd.NA, -1, "-1", " ", "N/A", *[""] * 12],
            "name the class of two rows at least; it is empty text",
        ),
        (["a"] * 19, "X has 20 rows, but there are 19 labels"),
        ([None] * 20, "a whole number from 0 to 2"),
        ([], "a whole number from 0 to 2"),
        (np.zeros(19, int), "X has 20 rows, but there are 19 labels"),
        (np.zeros(21, int), "X has 20 rows, but there are 21 labels"),
    ],
)
def test_labels(labels, match):
    refuses(tiny("CaGeM"), rows(20), match, labels=labels)


@pytest.mark.parametrize("random_state", [-1, 2**32, 1.5, "a", np.random.default_rng(0)])
def test_random_state(random_state):
    match = r"^GumbelClustering\.random_state must be a whole number from 0 to 4294967295, a NumPy RandomState or None"
    refuses(tiny("GumbelClustering", random_state=random_state), rows(20), match)


def test_labels_do_not_hide_a_wrong_number_of_clusters():
    refuses(tiny("CaGeM", n_clusters="ten"), rows(20), "n_clusters must be a whole number", labels=np.zeros(20, int))


# ---- use


@pytest.fixture(scope="module")
def fitted():
    return {name: tiny(name).fit(images(30) if name == "VLAC" else rows(30)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_nothing_works_before_fitting(name, tmp_path):
    estimator, X = tiny(name), rows(9)
    calls = dict.fromkeys(("transform", "score"), (X,)) | {"save": (tmp_path / "a",)}
    if name in GENERATIVE:
        calls |= {"reconstruct": (X,), "sample": (3,)}
    if name in CLUSTERERS:
        calls |= {"predict": (X,), "predict_proba": (X,)}
    if name in DENSITIES:
        calls |= {"score_samples": (X,)}
    if name == "VLAC":
        calls |= {"predict_layers": (X,)}
    refuses(estimator, rows(4), "too few")  # no more after a fit that was refused
    for method, arguments in calls.items():
        with pytest.raises(NotFittedError, match="is not fitted yet"):
            getattr(estimator, method)(*arguments)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_the_model_does_not_know(fitted, name):
    for method in {"transform", "reconstruct", "score", "predict", "predict_proba", "score_samples"} & set(
        dir(fitted[name])
    ):
        function = getattr(fitted[name], method)
        refused("X has 63 features, but .* is expecting 64", function, rows(5)[:, 1:])
        refused("NaN or infinity, first in row 3, column 5", function, changed(np.nan))
        refused("too large for float32", function, changed(1e300))
    with pytest.raises(ValueError, match=r"0 sample"):
        fitted[name].transform(np.empty((0, 64)))


def test_images_of_another_size(fitted):
    refused(
        "Images of 4 × 16 cannot be shown to a model of images of 8 × 8",
        fitted["VLAC"].predict,
        images(5).reshape(5, 4, 16),
    )
    refused("X has 49 features", fitted["VLAC"].predict, images(5)[:, :7, :7])


@pytest.mark.parametrize("name", GENERATIVE)
def test_samples(fitted, name):
    for n in (0, -1, 2.0, "3", None, True):
        refused("n_samples must be a whole number of 1 or more", fitted[name].sample, n)
        if name in DENSITIES:
            refused("n_samples must be a whole number of 1 or more", fitted[name].score_samples, rows(5), n)
    refused("^random_state must be a whole number from 0 to 4294967295, ", fitted[name].sample, 2, random_state=-1)
    for cluster in (3, -1, 1.0, "1", True) if name in CLUSTERERS else ():
        refused("cluster must be a whole number from 0 to 2", fitted[name].sample, 2, cluster=cluster)


@pytest.mark.parametrize(
    "dates",
    [
        pd.date_range("2020-01-01", periods=20),
        pd.date_range("2020-01-01", periods=20, tz="UTC"),
        pd.date_range("2020-01-01", periods=20) - pd.Timestamp("2019-01-01"),
        pd.period_range("2020-01-01", periods=20),
        [datetime.date(2020, 1, 1)] * 20,
    ],
)
def test_dates(dates):
    match = "^X holds dates or times in the column 'when'; give numbers"
    refuses(tiny("GumbelClustering"), pd.DataFrame({"a": np.arange(20.0), "when": dates}), match)
    refuses(tiny("GumbelClustering"), pd.DataFrame({"when": dates}), match)


def test_dates_without_columns():
    refuses(tiny("GumbelClustering"), np.arange(20).astype("M8[D]")[:, None], "^X holds dates or times; give numbers")


def test_two_columns_of_one_name():
    table = pd.DataFrame(rows(20)[:, :3], columns=list("aab"))
    refuses(tiny("GumbelClustering"), table, "^X has more than one column 'a'; rename them")


@pytest.mark.parametrize("no", [False, np.False_])
def test_nothing_to_pair_a_row_with(no):
    refuses(tiny("SplitMerge", neighbours=no, augmentation=0), rows(20), "^SplitMerge has nothing to pair a row with")


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_outputs_is_not_known_before_a_fit(name):
    with pytest.raises(NotFittedError):
        tiny(name).n_outputs()
