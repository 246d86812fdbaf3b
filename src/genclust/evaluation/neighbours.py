"""Classification by k nearest neighbours in a representation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

#: Numbers of neighbours in table 2 of "Is Simple Better?".
NEIGHBOURS = (3, 5, 10)


def knn_classes(
    train_features: Float[np.ndarray, "N F"],
    train_labels: Int[np.ndarray, " N"],
    test_features: Float[np.ndarray, "M F"],
    ks: Sequence[int] = NEIGHBOURS,
) -> dict[int, Int[np.ndarray, " M"]]:
    """Class of each test point by majority vote of its k nearest neighbours, for each k.

    Euclidean distance, every neighbour one vote, as table 2 of "Is Simple Better?". One search for the
    largest k serves all of them. Of classes with equally many votes the lowest label wins, as in
    scikit-learn; which of several training points at exactly the same distance is the nearer one is
    left to scikit-learn's search.

    Args:
        train_features: features of the training points; float32 is enough.
        train_labels: classes of the training points.
        test_features: features of the points to classify.
        ks: numbers of neighbours.

    Returns:
        The classes for each of ``ks``.

    Raises:
        ValueError: for features that are not finite matrices of one width, labels that are not integers or
            not as many as their points, or a k outside 1 … N.
    """
    train_features, train_labels = _points("train", train_features, train_labels)
    test_features, _ = _points("test", test_features, np.zeros(len(test_features), np.int64))
    if train_features.shape[1] != test_features.shape[1]:
        raise ValueError(
            "train_features and test_features must have one width, "
            f"not {train_features.shape[1]} and {test_features.shape[1]}"
        )
    if not ks or min(ks) < 1 or max(ks) > len(train_features):
        raise ValueError(f"ks must lie between 1 and the {len(train_features)} training points, not {tuple(ks)}")

    from sklearn.neighbors import NearestNeighbors  # here, as it takes half a second to import

    search = NearestNeighbors(n_neighbors=max(ks), algorithm="brute").fit(train_features)
    neighbours = search.kneighbors(test_features, return_distance=False)
    classes, train_classes = np.unique(train_labels, return_inverse=True)
    ballots = train_classes[neighbours][:, :, None] == np.arange(len(classes))  # [M, k, class]
    return {k: classes[ballots[:, :k].sum(1).argmax(1)] for k in ks}


def _points(name: str, features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    features, labels = np.asarray(features), np.asarray(labels)
    if features.ndim != 2 or features.size == 0 or not np.isfinite(features).all():
        raise ValueError(f"{name}_features must be a non-empty, finite matrix [N, F]; its shape is {features.shape}")
    if labels.shape != features.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{name}_labels must be one integer for each of the {len(features)} points, "
            f"not {labels.dtype} of shape {labels.shape}"
        )
    return features, labels
