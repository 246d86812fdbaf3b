"""The audit: scores of real runs come out again by another path, and what was tampered with is found."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from genclust import data
from genclust.evaluation.clustering import hungarian_accuracy, many_to_one_accuracy
from genclust.evaluation.results import as_small_integers
from genclust.experiments import audit as auditing
from genclust.experiments import declaration, execution
from genclust.experiments.store import Store

SHORT = {"training": {"epochs": 1}}
RUNS = {  # experiment, row, evaluations, overrides: together every score that a record can hold
    "gumbel": ("simple-table1", "proposed-mnist", ("clustering", "neighbours"), SHORT),
    "kmeans": ("simple-table1", "kmeans-mnist", ("clustering",), {}),
    "cagem": (
        *("cagem-table1", "cagem-100", ("clustering", "classifiers", "likelihood-20", "units")),
        SHORT | {"model": {"hidden": 16, "z1_dim": 4, "z2_dim": 2}},
    ),
    "vlac": (
        *("vlac-factors", "vlac", ("clustering", "layers", "chance", "kmeans-5")),
        SHORT | {"model": {"channels": [2, 2, 2], "dense": 4}},
    ),
}


@pytest.fixture(scope="module", autouse=True)
def data_sets_are_made_once():
    """Colouring digits takes seconds, and every run and audit of them asks for them anew."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(data, "load", cache(data.load))
        yield


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("GENCLUST_CACHE", str(folder / "cache"))
        for experiment, row, evaluations, overrides in RUNS.values():
            task = execution.task_for(declaration.load(experiment).row(row), "demo", [0], overrides)
            execution.run(replace(task, evaluations=evaluations), Store(folder / "records"), progress=False)
    return Store(folder / "records")


@pytest.fixture
def records(store):
    return {record.config["model"]["name"]: record for record in store.every()}


def audit(record):
    (found,) = auditing.audit([record])
    return found


@pytest.mark.parametrize("model", RUNS)
def test_every_score_of_a_run_comes_out_again(records, model):
    found = audit(records[model])
    assert (found.state, found.wrong, found.unknown, found.fault) == ("in full", {}, (), "")
    assert len(found.agreeing) > 20


@pytest.mark.parametrize("model", RUNS)
def test_every_score_that_is_changed_is_found(records, model):
    """By a twentieth of a per cent or nat; half precision blurs the mean of some hundred likelihoods by a hundredth."""
    found = audit(replace(records[model], metrics={k: value + 0.05 for k, value in records[model].metrics.items()}))
    assert found.state == "wrong" and found.agreeing == ()
    assert found.wrong.keys() == records[model].metrics.keys()


def test_a_score_without_what_it_is_made_of_is_not_taken_on_trust(records, tmp_path):
    record = records["gumbel"]
    arrays = {name: array for name, array in record.arrays().items() if not name.startswith("votes")}
    found = audit(Store(tmp_path).write(record, arrays))
    assert found.state == "in part"
    assert found.unknown and all("knn_error" in name for name in found.unknown)
    bare = audit(Store(tmp_path / "bare").write(record, {}))
    assert (bare.state, bare.agreeing) == ("not", ())


def damaged(record, name, change, folder):
    arrays = record.arrays()
    arrays[name] = change(arrays[name].copy())
    return Store(folder).write(record, arrays)


def one_more(array):
    array.ravel()[0] = (array.ravel()[0] + 1) % 10
    return array


@pytest.mark.parametrize(
    "model, name", [("gumbel", "clusters_test"), ("gumbel", "clusters_train"), ("vlac", "clusters_test_y3")]
)
def test_a_point_in_another_cluster_is_found(records, tmp_path, model, name):
    assert audit(damaged(records[model], name, one_more, tmp_path)).state == "wrong"


@pytest.mark.parametrize("change", [lambda a: a[:-1], lambda a: a[:, None], lambda a: a.astype(float) + 0.5])
def test_arrays_that_do_not_fit_the_data_are_a_fault(records, tmp_path, change):
    found = audit(damaged(records["gumbel"], "clusters_test", change, tmp_path))
    assert found.state == "wrong" and "do not fit" in found.fault


def test_arrays_without_exemplars_are_a_fault(records, tmp_path):
    arrays = {name: array for name, array in records["gumbel"].arrays().items() if name != "exemplars_test"}
    found = audit(Store(tmp_path).write(records["gumbel"], arrays))
    assert found.state == "wrong" and found.fault == "its arrays lack 'exemplars_test'"


def test_two_clusterings_of_one_point_agree():
    assert auditing._ari(np.ones((1, 1))) == 100 * adjusted_rand_score([0], [0])


def test_an_exemplar_has_to_be_the_most_confident_point_of_its_cluster(records, tmp_path):
    record = records["gumbel"]
    clusters, confidence = (record.arrays()[f"{name}_test"] for name in ("clusters", "confidence"))
    largest = np.bincount(clusters).argmax()
    members = np.flatnonzero(clusters == largest)
    least = members[confidence[members].argmin()]

    def point_at_the_least(exemplars):
        exemplars[largest] = least
        return exemplars

    found = audit(damaged(record, "exemplars_test", point_at_the_least, tmp_path))
    assert f"exemplar of cluster {largest}" in found.fault


def test_a_record_of_other_data_is_a_fault(records):
    record = records["gumbel"]
    found = audit(replace(record, data=record.data | {"digest": "0" * 64}))
    assert found.state == "wrong" and "other data named digits" in found.fault


def test_a_record_of_another_form_of_its_data_is_left_unaudited(records):
    record = records["gumbel"]
    found = audit(replace(record, data=record.data | {"variant": "bicubic", "digest": "0" * 64}))
    assert found.state == "not" and "the form 'bicubic' of digits" in found.fault


def test_data_that_is_not_at_hand_leaves_a_record_unaudited(records, tmp_path, monkeypatch):
    monkeypatch.setenv("GENCLUST_DATA", str(tmp_path))
    row = declaration.load("simple-table1").row("proposed-mnist")
    of_mnist = replace(records["gumbel"], config=records["gumbel"].config | {"data": row.config("paper").data})
    found = audit(of_mnist)
    assert found.state == "not" and "not at hand" in found.fault


@pytest.mark.parametrize("seed", range(20))
def test_the_scores_agree_with_other_libraries(seed):
    """Also where clusters are empty, more or fewer than classes, or a single one."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(1 + seed % 6, size=80)
    clusters = np.where(rng.random(80) < 0.5, labels, rng.integers(1 + seed % 9, size=80)) + seed % 3
    counts = auditing._counts(labels, clusters)
    assert auditing._hungarian(counts) == pytest.approx(hungarian_accuracy(labels, clusters))
    assert auditing._many_to_one(counts) == pytest.approx(many_to_one_accuracy(labels, clusters))
    assert auditing._ari(counts) == pytest.approx(100 * adjusted_rand_score(labels, clusters))
    for mean, name in ((auditing._arithmetic, "arithmetic"), (auditing._geometric, "geometric")):
        expected = 100 * normalized_mutual_info_score(labels, clusters, average_method=name)
        assert auditing._nmi(counts, mean) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("largest, kind", [(9, np.uint8), (255, np.uint8), (256, np.uint16), (70_000, np.uint32)])
def test_whole_numbers_are_kept_in_the_smallest_type_that_holds_them(largest, kind):
    kept = as_small_integers(np.array([[0, 3], [largest, 1]]))
    assert kept.tolist() == [[0, 3], [largest, 1]] and kept.dtype == kind
