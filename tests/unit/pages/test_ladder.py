"""The ladder of methods: small hand-made records in a store of their own, and answers by hand."""

import math
from importlib import import_module

import numpy as np
import pytest

from genclust.experiments import declaration
from genclust.experiments.store import Record, Store
from genclust.experiments.verdicts import apart
from genclust.pages import ladder
from genclust.pages.ladder import Rung
from genclust.pages.tables import with_ends
from genclust.settings import SettingError

CPU, GPU = {"device": "x86_64", "threads": 2}, {"device": "NVIDIA H200", "threads": 8}
A, B = "test.acc_hungarian", "all.acc_hungarian"


@pytest.fixture
def store(tmp_path, monkeypatch):
    """An empty store in the place of the published one."""
    empty = Store(tmp_path)
    monkeypatch.setattr(import_module("genclust.experiments.verdicts"), "published", lambda: empty)
    return empty


def publish(store, place, scores, profile="paper", minutes=3.0, clusters=None, provenance=CPU, seeds=None):
    """Write a record per seed of a row: ``scores`` has its metrics, by name one value for each seed.

    The first values belong to all seeds that there are none for.
    """
    experiment, name = place.split("/")
    row = declaration.load(experiment).row(name)
    config = row.config(profile)
    for at, seed in enumerate(row.seeds(profile) if seeds is None else seeds):
        metrics = {metric: of[at] if at < len(of) else of[0] for metric, of in scores.items()}
        sections = {"data": config.data, "model": config.model, "training": config.training}
        about = {"name": config.data["name"], "digest": "0" * 64, "variant": "", "sizes": {}}
        arrays = {} if clusters is None else {"clusters_test": np.array(clusters[at % len(clusters)], np.uint8)}
        store.write(Record(sections, seed, metrics, [], {}, None, about, provenance, minutes * 30), arrays)


def rung(found: list[Rung], method: str) -> Rung:
    (one,) = [each for each in found if each.method == method]
    return one


def line(table, label, column="Method"):
    (one,) = table[table[column] == label].to_dict("records")
    return one


def test_without_records_every_method_is_not_run(store):
    for dataset in ladder.DATA:
        found = ladder.rungs(dataset)
        steps = ladder.steps(found)
        assert set(steps["A: test split"]) == {"not run"} and set(steps["B: all points"]) <= {"not run", "–"}
        assert set(steps["Seeds, A / B"]) == {"not run"}
        assert f"None of the {len(found)} methods has been run yet." in ladder.finding(dataset, found)
        assert ladder.drawn(found) == {}
    ladders = {dataset: ladder.rungs(dataset) for dataset in ladder.DATA}
    assert ladder.protocols(ladders).empty and ladder.unpaired(ladders).startswith("Run under both protocols: 0 of 45 ")
    assert set(ladder.contests(ladders)["USPS"]) == {"not run"}
    assert set(ladder.parts_left_out()["each seed"]) == {"not run"}
    assert set(ladder.on_the_test_split()["Seeds"]) == {"not run"}


def test_a_ladder_begins_with_k_means_and_ends_with_today(store):
    labels = [one.label for one in ladder.rungs("mnist")]
    assert labels[0] == "k-means" and labels[-2:] == ["IMSAT", "Split and merge"]
    assert {"Proposed", "GMVAE", "CaGeM"} <= set(labels) and len(labels) == len(set(labels))
    assert "GMVAE" not in [one.label for one in ladder.rungs("usps")]
    assert all(one.family in ladder.FAMILIES.values() for dataset in ladder.DATA for one in ladder.rungs(dataset))


def test_an_unknown_data_set_is_refused():
    with pytest.raises(SettingError, match="no data set of the ladder 'mnsit'; did you mean 'mnist'"):
        ladder.rungs("mnsit")


def test_a_line_of_the_ladder_by_hand(store):
    """Ten seeds, two of which agree fully with each other and not at all with what the rest find."""
    publish(store, "baselines/kmeans-usps", {A: [60, 62], B: [65]}, clusters=[[0, 0, 1, 1], [1, 1, 0, 0]])
    publish(store, "baselines/kmeans-usps-all", {B: [70]})
    found = line(ladder.steps(ladder.rungs("usps")), "k-means")
    assert found == {
        "Method": "k-means",
        "A: test split": "60.2 ± 0.6",
        "B: all points": "70.0 ± 0.0",
        "sources": "66.82",
        "agreement of seeds (A)": "1.00",
        "core-minutes per seed (A)": "3",
        "Seeds, A / B": "10 / 10",
    }


def test_a_row_with_a_seed_missing_is_not_run(store):
    publish(store, "baselines/kmeans-usps", {A: [60]}, seeds=range(9))
    assert line(ladder.steps(ladder.rungs("usps")), "k-means")["A: test split"] == "not run"


def test_a_smaller_profile_is_named(store):
    publish(store, "gmvae-table1/gmvae-k10-m1", {A: [60], B: [60]}, profile="quick")
    found = ladder.rungs("mnist")
    assert line(ladder.steps(found), "GMVAE")["Seeds, A / B"] == "5, quick"
    assert list(ladder.drawn(found)) == ["GMVAE (quick)"]


def test_numbers_of_sources_say_whose_they_are_and_what_they_are_of(store):
    steps = ladder.steps(ladder.rungs("mnist"))
    assert line(steps, "AE + k-means")["sources"] == "81.82; IDEC-toy 82.90; DEC-keras 87.90 ± 3.8"
    assert line(steps, "GMVAE")["sources"] == "–"  # an exemplar accuracy
    assert line(steps, "Split and merge")["sources"] == "–"  # a target of our own
    of_imsat = next(n for n in declaration.load("today").row("imsat-mnist").reported)
    assert line(steps, "IMSAT")["sources"].endswith("<sup>t</sup>") == (of_imsat.metric != B)


def test_agreement_is_the_mean_over_pairs(tmp_path, store):
    """Indices of the three pairs by hand: 1, and twice -0.5."""
    publish(store, "today/split-merge-usps", {A: [90]}, clusters=[[0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 0, 0]])
    records = rung(ladder.rungs("usps"), "split-merge").fitted
    assert ladder.mean_agreement(records[:3]) == pytest.approx(0)
    assert ladder.mean_agreement([records[0], records[2]]) == pytest.approx(1)
    assert math.isnan(ladder.mean_agreement(records[:1])) and math.isnan(ladder.mean_agreement([]))


def test_agreement_is_unknown_where_a_record_keeps_no_clusters(store):
    publish(store, "baselines/kmeans-usps", {A: [60]})
    assert math.isnan(ladder.mean_agreement(rung(ladder.rungs("usps"), "kmeans").fitted))


def test_cost_is_threads_times_minutes_and_unknown_on_a_gpu(store):
    """Half a minute a unit on two threads; a GPU's cost is in no table and in no figure."""
    publish(store, "baselines/kmeans-usps", {A: [60]}, minutes=3)
    publish(store, "baselines/gmm-tied-usps", {A: [60]}, provenance=GPU)
    publish(store, "baselines/dec-usps", {A: [60]}, provenance=CPU | {"training": [CPU, CPU | {"threads": 4}]})
    found = ladder.rungs("usps")
    assert rung(found, "kmeans").minutes == [3.0] * 10 and rung(found, "dec").minutes == [6.0] * 10
    assert line(ladder.steps(found), "GMM, tied")["core-minutes per seed (A)"] == "–"
    assert ladder.drawn(found) == {
        "k-means": ("no network", [3.0] * 10, [60] * 10),
        "DEC": ("autoencoder", [6.0] * 10, [60] * 10),
    }


def test_one_slow_seed_does_not_make_a_method_dear(store):
    publish(store, "baselines/kmeans-usps", {A: [60]}, minutes=1)
    publish(store, "baselines/kmeans-usps", {A: [60]}, minutes=500, seeds=[3])
    assert line(ladder.steps(ladder.rungs("usps")), "k-means")["core-minutes per seed (A)"] == "1"


def test_the_finding_names_the_best_and_what_is_cheapest_near_it(store):
    publish(store, "baselines/kmeans-usps", {A: [60]}, minutes=1)
    publish(store, "baselines/umap-gmm-usps", {A: [94.5]}, minutes=4)
    publish(store, "today/split-merge-usps", {A: [96]}, minutes=30)
    publish(store, "baselines/dec-usps", {A: [93.9]}, minutes=2)  # cheaper, and too far below
    said = ladder.finding("usps", ladder.rungs("usps"))
    assert said == (
        "**USPS.** 4 of the 17 methods are measured under protocol A. The simplest, k-means, is at 60.0 % for 1 "
        "core-minutes per seed. The most accurate so far is Split and merge, at 96.0 % for 30 core-minutes per seed. "
        "Within 2 points of it, the cheapest is UMAP + GMM, at 94.5 % for 4 core-minutes per seed."
    )


def test_the_worth_of_a_protocol_and_its_two_parts_by_hand(store):
    """B is 72 on all points, A 60 on the test split and 65 on all: 12 in all, 5 from the points, 7 from the fit."""
    publish(store, "baselines/kmeans-usps", {A: [60], B: [65]})
    publish(store, "baselines/kmeans-usps-all", {B: [72]})
    publish(store, "baselines/gmm-full-usps", {A: [60], B: [59]})
    ladders = {"usps": ladder.rungs("usps")}
    assert ladder.protocols(ladders).to_dict("records") == [
        {
            "Data": "USPS",
            "Method": "k-means",
            "B − A": "12.0 [12.0, 12.0]",
            "other points scored": "5.0 [5.0, 5.0]",
            "more points fitted": "7.0 [7.0, 7.0]",
        },
        {
            "Data": "USPS",
            "Method": "GMM, full",
            "B − A": "not run",
            "other points scored": "−1.0 [−1.0, −1.0]",
            "more points fitted": "not run",
        },
    ]
    assert ladder.unpaired(ladders) == "Run under both protocols: 1 of 15 pairs of method and data set."


def test_differences_have_welchs_interval():
    """Means 2 apart, both with variance 2: the error is √2 on 2 degrees of freedom, t is 4.303."""
    assert with_ends(apart([4, 6], [2, 4])) == "2.0 [−4.1, 8.1]"
    assert with_ends(apart([4], [2, 4])) == "1.0"
    assert with_ends(apart([4, math.nan], [2, 4])) == "–"
    assert with_ends(apart([-0.01, -0.01], [0.0, 0.0])) == "0.0 [0.0, 0.0]"  # no minus before a zero


def test_contests_are_of_methods_by_data_set(store):
    publish(store, "baselines/kmeans-usps", {A: [60]})
    publish(store, "baselines/umap-gmm-usps", {A: [90]})
    found = ladder.contests({dataset: ladder.rungs(dataset) for dataset in ladder.DATA})
    first = line(found, "UMAP + GMM over k-means", "")
    assert (first["MNIST"], first["USPS"], first["RCV1-10k"]) == ("not run", "30.0 [30.0, 30.0]", "not run")
    assert line(found, "Split and merge over UMAP + GMM", "")["RCV1-10k"] == "–"  # it has no row there
    assert len(found) == len(ladder.CONTESTS)


def test_parts_left_out_are_compared_on_validation_data_of_the_same_seeds(store):
    """Of the whole ten seeds are there, of which the first three count."""
    whole = {"validation.acc_hungarian": [90, 92, 94, 10, 10, 10, 10, 10, 10, 10], A: [1]}
    publish(store, "today/split-merge-usps", whole)
    publish(store, "today/usps-one-head", {"validation.acc_hungarian": [80, 82, 84], A: [99]}, profile="quick")
    publish(store, "today/usps-without-views", {"validation.acc_hungarian": [80]}, profile="quick", seeds=[0, 1])
    found = ladder.parts_left_out()
    assert found.iloc[0].tolist() == ["the whole", "92.0 ± 2.0", "90.0, 92.0, 94.0", "–"]
    one_head = line(found, "one head", "")
    assert one_head["Validation ACC (Hungarian)"] == "82.0 ± 2.0"
    assert one_head["against the whole"].startswith("−10.00 [")
    assert line(found, "without views", "")["each seed"] == "not run"


def test_the_test_split_shows_the_lowest_seed_and_the_target(store):
    publish(store, "today/split-merge-usps", {A: [96, 91]})
    found = ladder.on_the_test_split()
    (usps,) = found[(found.Data == "USPS") & (found.Method == "Split and merge")].to_dict("records")
    assert (usps["lowest seed"], usps["target"], usps["Seeds"]) == ("91.0", "more than 95", "10")
    assert "without views" not in set(found.Method)


def test_a_surrogate_is_called_so_where_its_numbers_stand():
    assert ladder.caption("mnist") == "MNIST"
    assert ladder.caption("reuters10k") == "RCV1-10k (surrogate; the sources: REUTERS-10K)"
