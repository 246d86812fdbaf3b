"""Nearest-neighbour errors against scikit-learn's classifier and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from genclust.data import DataSet, Split
from genclust.evaluation import measures
from genclust.evaluation.neighbours import knn_errors
from genclust.evaluation.results import Results


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_scikit_learns_classifier_for_each_k(seed: int, dtype: type) -> None:
    rng = np.random.default_rng(seed)
    train, test = rng.normal(size=(300, 5)).astype(dtype), rng.normal(size=(200, 5)).astype(dtype)
    # labels with gaps and only loosely tied to the features: many votes end in a tie
    train_labels, test_labels = (3 * (x[:, 0] > 0) + 2 * rng.integers(3, size=len(x)) for x in (train, test))
    ks = (1, 2, 3, 4, 5, 10)
    errors = knn_errors(train, train_labels, test, test_labels, ks)
    assert list(errors) == list(ks)
    for k in ks:
        classifier = KNeighborsClassifier(k, algorithm="brute").fit(train, train_labels)
        assert errors[k] == pytest.approx(100 * np.mean(classifier.predict(test) != test_labels))


def test_tied_votes_go_to_the_lowest_label() -> None:
    train, train_labels = np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([7, 2, 2, 7])
    origin = np.array([[0.0]])
    assert knn_errors(train, train_labels, origin, np.array([7]), (1, 2, 3, 4)) == {1: 0, 2: 100, 3: 100, 4: 100}
    assert knn_errors(train, train_labels, origin, np.array([2]), (1, 2, 3, 4)) == {1: 100, 2: 0, 3: 0, 4: 0}


def test_test_label_that_was_never_trained_counts_as_an_error() -> None:
    errors = knn_errors(np.eye(3), np.array([0, 0, 1]), np.eye(3), np.array([0, 0, 5]), (1,))
    assert errors == {1: pytest.approx(100 / 3)}


X, Y = np.eye(12), np.arange(12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y[:-1], X, Y), "train_labels"),
        ((X, Y, X, Y.astype(float)), "test_labels"),
        ((X, Y, X[:, :3], Y), "one width"),
        ((np.full((12, 2), np.nan), Y, X, Y), "train_features"),
        ((X, Y, X[:0], Y[:0]), "test_features"),
        ((X[0], Y, X, Y), "train_features"),
        ((X, Y, X, Y, (3, 13)), "ks"),
        ((X, Y, X, Y, (0,)), "ks"),
        ((X, Y, X, Y, ()), "ks"),
    ],
)
def test_bad_input_is_refused(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        knn_errors(*arguments)


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
