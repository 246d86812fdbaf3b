"""Nearest-neighbour errors against scikit-learn's classifier and by hand."""

from __future__ import annotations

from operator import attrgetter

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from genclust.data import DataSet, Split
from genclust.evaluation import measures
from genclust.evaluation.neighbours import knn_classes
from genclust.evaluation.results import Results


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scikit_learns_classifier_for_each_k(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    train, test = rng.normal(size=(300, 5)).astype(dtype), rng.normal(size=(200, 5)).astype(dtype)
    # labels with gaps and only loosely tied to the features: many votes end in a tie
    train_labels = 3 * (train[:, 0] > 0) + 2 * rng.integers(3, size=len(train))
    ks = (1, 2, 3, 4, 5, 10)
    voted = knn_classes(train, train_labels, test, ks)
    assert list(voted) == list(ks)
    for k in ks:
        classifier = KNeighborsClassifier(k, algorithm="brute").fit(train, train_labels)
        np.testing.assert_array_equal(voted[k], classifier.predict(test))


def test_tied_votes_go_to_the_lowest_label() -> None:
    train, train_labels = np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([7, 2, 2, 7])
    origin = np.array([[0.0]])
    assert knn_classes(train, train_labels, origin, (1, 2, 3, 4)) == {1: [7], 2: [2], 3: [2], 4: [2]}


def test_test_label_that_was_never_trained_counts_as_an_error() -> None:
    """Of two test points beside class 0, one is of class 5, which no other split has."""
    splits = {"train": Split(np.zeros((10, 1)), np.zeros(10, int)), "test": Split(np.zeros((2, 1)), np.array([0, 5]))}
    found = measures.neighbours(DataSet("two", splits), {"z": {name: split.x for name, split in splits.items()}})
    assert found.metrics == {f"test.knn_error_z_{k}": 50 for k in (3, 5, 10)}


@pytest.mark.parametrize(("others", "ks"), [(9, (3, 5)), (10, (3, 5, 10)), (2, ())])
def test_only_numbers_of_neighbours_that_there_are_are_scored(others: int, ks: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    splits = {"train": Split(rng.random((others - 1, 2)), rng.integers(3, size=others - 1))}
    splits |= {name: Split(rng.random((1, 2)), rng.integers(3, size=1)) for name in ("validation", "test")}
    features = {name: split.x for name, split in splits.items()}
    found = measures.neighbours(DataSet("few", splits), {"z": features})
    assert list(found.metrics) == [f"test.knn_error_z_{k}" for k in ks]
    train, labels = (np.concatenate([part(splits[name]) for name in ("train", "validation")]) for part in (X_OF, Y_OF))
    for k, voted in zip(ks, found.arrays.get("votes_z", ()), strict=True):
        peer = KNeighborsClassifier(k, algorithm="brute").fit(train, labels)
        np.testing.assert_array_equal(voted, peer.predict(splits["test"].x))
    assert (
        measures.neighbours(DataSet("few", splits), {"z": features | {"test": features["test"] * np.nan}}).metrics == {}
    )


X_OF, Y_OF = attrgetter("x"), attrgetter("y")


X, Y = np.eye(12), np.arange(12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y[:-1], X), "train_labels"),
        ((X, Y.astype(float), X), "train_labels"),
        ((X, Y, X[:, :3]), "one width"),
        ((np.full((12, 2), np.nan), Y, X), "train_features"),
        ((X, Y, X[:0]), "test_features"),
        ((X[0], Y, X), "train_features"),
        ((X, Y, X, (3, 13)), "ks"),
        ((X, Y, X, (0,)), "ks"),
        ((X, Y, X, ()), "ks"),
    ],
)
def test_bad_input_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        knn_classes(*arguments)


def test_all_points_that_are_not_test_points_are_neighbours() -> None:
    """Training points lie far off; only the validation points beside the test points know the classes right."""
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    features = {
        "train": rng.normal(size=(40, 3)) + 100,
        "validation": rng.normal(size=(40, 3)) + 10 * labels[:, None],
        "test": rng.normal(size=(40, 3)) + 10 * labels[:, None],
    }
    wrong = 1 - labels  # in the training split, so that without the others every test point is wrong
    splits = {name: Split(x, wrong if name == "train" else labels) for name, x in features.items()}
    found = measures.neighbours(DataSet("three", splits), {"z_mean": features})
    assert found.metrics == {f"test.knn_error_z_mean_{k}": 0 for k in (3, 5, 10)}
    assert np.array_equal(found.arrays["votes_z_mean"], [labels] * 3)
    splits["validation"] = Split(features["validation"], wrong)
    found = measures.neighbours(DataSet("three", splits), {"z_mean": features})
    assert found.metrics == {f"test.knn_error_z_mean_{k}": 100 for k in (3, 5, 10)}
    unlabelled = DataSet("three", splits | {"test": Split(features["test"], None)})
    assert measures.neighbours(unlabelled, {"z_mean": features}) == Results({}, {})
