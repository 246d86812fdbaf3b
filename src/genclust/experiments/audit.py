"""Audit of records: their scores are recomputed from their arrays and the data's labels by independent code.

The runs score with scikit-learn and SciPy's dense assignment; here every score follows from its definition and a
contingency table.  Labels are not in a record, so the data has to be in the data folder.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import min_weight_full_bipartite_matching
from scipy.special import comb
from scipy.stats import entropy

from genclust.data import DataError, DataSet, Split
from genclust.experiments.execution import prepare
from genclust.experiments.store import Record, StoreError

State = Literal["in full", "in part", "not", "wrong"]
#: Relative difference that float64 sums in another order may have.
ROUNDING = 1e-9
CHANCE_PERMUTATIONS = 20
#: Thresholds of the definitions, the variance of an active unit and the information of a leading attribute in per cent.
ACTIVE_VARIANCE, LEADING_INFORMATION = 0.01, 10.0

#: Prefixes of the names of arrays from which scores are computed.
KEPT = ("clusters_", "votes_", "log_likelihood_", "elbo_", "variances_", "classes_")

Counts = Float[np.ndarray, "K T"]
Scores = dict[str, float | tuple[float, float]]


@dataclass(frozen=True)
class Audit:
    """Result of the audit of one record: which of its scores agree, differ or cannot be recomputed.

    Attributes:
        record: the record.
        agreeing: names of the scores whose recomputed value agrees.
        wrong: recorded and recomputed value of each score that differs, by name.
        unknown: names of the scores that cannot be recomputed from the record's arrays.
        fault: reason why the record is wrong as a whole or could not be audited, or empty.
    """

    record: Record
    agreeing: tuple[str, ...] = ()
    wrong: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    fault: str = ""

    @property
    def state(self) -> State:
        """``wrong`` if any score differs; otherwise how many were recomputed, ``in full``, ``in part`` or ``not``."""
        if self.wrong or (self.fault and not self.unknown):
            return "wrong"
        if self.unknown:
            return "in part" if self.agreeing else "not"
        return "in full"


def keeps_something(record: Record) -> bool:
    """Whether a record has arrays from which some of its scores can be recomputed; older records have none."""
    return any(name.startswith(KEPT) for name in record.arrays())


def audit(records: Iterable[Record]) -> Iterator[Audit]:
    """Recompute the scores of every record from its arrays and the labels of its data.

    The data are read if a record has such arrays, and must be those that the record was computed from.
    """
    at_hand: dict[str, tuple[DataSet, str] | DataError] = {}
    for record in records:
        try:
            has_arrays = keeps_something(record)
        except StoreError as error:
            yield Audit(record, fault=str(error))
            continue
        key = json.dumps(record.config["data"])
        if has_arrays and key not in at_hand:
            try:
                at_hand[key] = prepare(record.run_config)
            except DataError as error:
                at_hand[key] = error
        data = at_hand.get(key)
        if data is None:
            yield Audit(record, unknown=tuple(record.metrics))
        elif isinstance(data, DataError):
            yield Audit(record, unknown=tuple(record.metrics), fault=f"its data is not at hand: {data}")
        elif record.data["variant"] != data[0].variant:
            forms = f"the form {record.data['variant']!r} of {record.data['name']}, and {data[0].variant!r} is at hand"
            yield Audit(record, unknown=tuple(record.metrics), fault=f"it is of {forms}")
        elif record.data["digest"] != data[1]:
            yield Audit(record, fault=f"it is of other data named {record.data['name']} than is at hand")
        else:
            yield _compare(record, data[0])


def _compare(record: Record, data: DataSet) -> Audit:
    try:
        arrays = record.arrays()
        settings = _settings(record)
        recomputed = settings | _clusterings(arrays, data) | _votes(arrays, data) | _likelihoods(arrays)
        recomputed |= _units(arrays) | _classes(arrays, data) | _layers(arrays, data.splits["test"], record)
    except KeyError as error:
        return Audit(record, fault=f"its arrays lack {error}")
    except (StoreError, ValueError, IndexError) as error:
        return Audit(record, fault=f"its arrays do not fit its data: {error}")
    agreeing, wrong = [], {}
    for name, value in record.metrics.items():
        if name not in recomputed:
            continue
        anew = recomputed[name]
        anew, tolerance = anew if isinstance(anew, tuple) else (anew, ROUNDING * max(1.0, abs(anew)))
        if abs(value - anew) > tolerance:
            wrong[name] = (value, anew)
        elif name not in settings:
            agreeing.append(name)
    return Audit(record, tuple(agreeing), wrong, tuple(record.metrics.keys() - recomputed.keys()))


def _settings(record: Record) -> Scores:
    """Metrics that are settings, not scores: the number of importance samples and the seed of the test bits.

    They are checked, but not counted as scores.
    """
    samples = [float(name.removeprefix("likelihood-")) for name in record.evaluations if name.startswith("likelihood-")]
    return {"test.log_likelihood_samples": samples[0], "test.binarisation_seed": 0.0} if samples else {}


def _counts(labels: Int[np.ndarray, " N"], clusters: Int[np.ndarray, " N"]) -> Counts:
    """Contingency table ``[K, T]``: the number of points of each class in each cluster that is not empty."""
    if labels.shape != clusters.shape:
        raise ValueError(f"{len(clusters)} clusters for {len(labels)} labels")
    table = csr_matrix((np.ones(len(labels)), (clusters, labels)), dtype=float).toarray()
    return table[table.sum(1) > 0]


def _many_to_one(counts: Counts) -> float:
    return 100 * float(counts.max(1).sum() / counts.sum())


def _hungarian(counts: Counts) -> float:
    rows, columns = min_weight_full_bipartite_matching(csr_matrix(counts + 1), maximize=True)  # zero would be no edge
    return 100 * float(counts[rows, columns].sum() / counts.sum())


def _nmi(counts: Counts, mean: Callable[[float, float], float]) -> float:
    of_clusters, of_labels = float(entropy(counts.sum(1))), float(entropy(counts.sum(0)))
    shared = of_clusters + of_labels - float(entropy(counts.ravel()))
    if of_clusters == of_labels == 0:
        return 100.0
    return 100 * shared / mean(of_clusters, of_labels) if of_clusters and of_labels else 0.0


def _arithmetic(a: float, b: float) -> float:
    return (a + b) / 2


def _geometric(a: float, b: float) -> float:
    return math.sqrt(a * b)


def _ari(counts: Counts) -> float:
    """Adjusted Rand index of Hubert and Arabie from numbers of pairs, in per cent."""
    together, of_clusters, of_labels = (float(comb(n, 2).sum()) for n in (counts, counts.sum(1), counts.sum(0)))
    expected = of_clusters * of_labels / max(1.0, float(comb(counts.sum(), 2)))  # a single point has no pairs
    largest = (of_clusters + of_labels) / 2
    return 100 * (together - expected) / (largest - expected) if largest != expected else 100.0


def _clusterings(arrays: Mapping[str, np.ndarray], data: DataSet) -> Scores:
    parts = {
        name: (split.y, arrays[f"clusters_{name}"], arrays[f"exemplars_{name}"])
        for name, split in data.splits.items()
        if split.y is not None and f"clusters_{name}" in arrays
    }
    for name, (_, clusters, exemplars) in parts.items():
        if f"confidence_{name}" in arrays:
            _refuse_a_less_confident_exemplar(clusters, exemplars, arrays[f"confidence_{name}"])
    if parts and "exemplars_all" in arrays:
        labels, clusters = (np.concatenate([part[i] for part in parts.values()]) for i in (0, 1))
        parts["all"] = labels, clusters, arrays["exemplars_all"]
    scores: Scores = {}
    for name, (labels, clusters, exemplars) in parts.items():
        counts = _counts(labels, clusters)
        scores |= {
            f"{name}.acc_hungarian": _hungarian(counts),
            f"{name}.acc_many_to_one": _many_to_one(counts),
            f"{name}.acc_exemplar": 100 * float(np.mean(labels[exemplars[clusters]] == labels)),
            f"{name}.nmi_geometric": _nmi(counts, _geometric),
            f"{name}.nmi_arithmetic": _nmi(counts, _arithmetic),
            f"{name}.ari": _ari(counts),
            f"{name}.clusters_used": float(len(counts)),
        }
    return scores


def _refuse_a_less_confident_exemplar(clusters: np.ndarray, exemplars: np.ndarray, confidence: np.ndarray) -> None:
    """Raise ValueError unless each exemplar in its own cluster has the highest confidence there (half precision)."""
    for k in np.unique(clusters):
        if clusters[exemplars[k]] == k and confidence[exemplars[k]] < confidence[clusters == k].max():
            raise ValueError(f"the exemplar of cluster {k} is not its most confident point")


def _votes(arrays: Mapping[str, np.ndarray], data: DataSet) -> Scores:
    y = data.splits["test"].y
    return {
        f"test.knn_error_{name.removeprefix('votes_')}_{k}": 100 * float(np.mean(classes != y))
        for name, votes in arrays.items()
        if name.startswith("votes_")
        for k, classes in zip((3, 5, 10), votes, strict=False)  # of few points only the smaller numbers fit
    }


def _likelihoods(arrays: Mapping[str, np.ndarray]) -> Scores:
    """Means and standard errors of the likelihood bounds in nats, each with its tolerance for half precision."""
    scores: Scores = {}
    for name in ("log_likelihood", "elbo"):
        if f"{name}_test" in arrays:
            of_images = arrays[f"{name}_test"].astype(np.float64)
            mean, spread = float(of_images.mean()), float(of_images.std(ddof=1)) if len(of_images) > 1 else math.nan
            steps = np.spacing(np.abs(arrays[f"{name}_test"])).astype(np.float64)
            rounding = math.sqrt(float(np.square(steps).mean()) / (12 * len(of_images)))
            scores[f"test.{name}"] = mean, 5 * rounding
            scores[f"test.{name}_se"] = spread / math.sqrt(len(of_images)), 5 * rounding
    return scores


def _units(arrays: Mapping[str, np.ndarray]) -> Scores:
    return {
        f"test.active_{name.removeprefix('variances_')}": float((variances > ACTIVE_VARIANCE).sum())
        for name, variances in arrays.items()
        if name.startswith("variances_")
    }


def _classes(arrays: Mapping[str, np.ndarray], data: DataSet) -> Scores:
    y = data.splits["test"].y
    return {
        f"test.error_{name.removeprefix('classes_')}": 100 * float(np.mean(classes != y))
        for name, classes in arrays.items()
        if name.startswith("classes_")
    }


def _layers(arrays: Mapping[str, np.ndarray], test: Split, record: Record) -> Scores:
    """Agreement of each layer with each factor, the same by chance, and the number of factors that lead a layer."""
    factors = ({} if test.y is None else {"identity": test.y}) | dict(test.factors)
    layers = {
        name.removeprefix("clusters_test_"): clusters
        for name, clusters in arrays.items()
        if name.startswith("clusters_test_")
    }
    if not layers:
        return {}
    sizes = {name: np.unique(labels, return_counts=True)[1] for name, labels in factors.items()}
    scores: Scores = {f"test.floor_{name}": 100 * float(n.max() / n.sum()) for name, n in sizes.items()}
    leading: dict[str, set[str]] = {}
    for layer, clusters in layers.items():
        information = {}
        for name, labels in factors.items():
            counts = _counts(labels, clusters)
            information[name] = _nmi(counts, _arithmetic)
            scores[f"test.acc_many_to_one_{layer}_{name}"] = _many_to_one(counts)
            scores[f"test.nmi_arithmetic_{layer}_{name}"] = information[name]
            if "chance" in record.evaluations:
                rng = np.random.default_rng(0)
                drawn = [_counts(rng.permutation(labels), clusters) for _ in range(CHANCE_PERMUTATIONS)]
                scores[f"test.chance_many_to_one_{layer}_{name}"] = float(np.mean([_many_to_one(c) for c in drawn]))
                scores[f"test.chance_nmi_{layer}_{name}"] = float(np.mean([_nmi(c, _arithmetic) for c in drawn]))
        scores[f"test.clusters_used_{layer}"] = float(len(np.unique(clusters)))
        telling = {name: value for name, value in information.items() if len(np.unique(factors[name])) > 1}
        first = max(telling, key=telling.__getitem__, default=None)
        led = leading.setdefault(f"test.leading_{layer[0]}", set())
        if first is not None and telling[first] >= LEADING_INFORMATION:
            led.add(first)
    return scores | {name: float(len(led)) for name, led in leading.items()}
