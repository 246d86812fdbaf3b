"""Reruns with changed settings or data of one's own: called by what was run, and refused before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genclust.data import DataError
from genclust.experiments import Asked, Record, Runs, access, load, names
from genclust.experiments.configuration import RunConfig
from genclust.experiments.execution import Task
from genclust.experiments.naming import as_run, is_published_form
from genclust.experiments.unlabelled import classes_or_clusters, held_out_bound, sizes
from genclust.pages import columns
from genclust.pages.comparisons import seeds_and_paper
from genclust.pages.learning_curves import accuracies
from genclust.pages.tables import by_data, by_title, comparison, every_seed
from genclust.settings import SettingError


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Files of one's own: images and rows without labels, and images of another size with three classes."""
    random = np.random.default_rng(0)
    contents: dict[str, dict[str, np.ndarray]] = {
        "images": {"x_train": random.integers(0, 255, (60, 8, 8), dtype=np.uint8)},
        "rows": {"x_train": random.random((60, 13)).astype(np.float32)},
        "foreign": {
            "x_train": random.integers(0, 255, (60, 12, 10), dtype=np.uint8),
            "y_train": np.arange(60) % 3,
        },
    }
    for name, arrays in contents.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)  # type: ignore[arg-type]
    return {name: str(tmp_path / f"{name}.npz") for name in contents}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[Task]:
    """Tasks that would be run; nothing is."""
    tasks: list[Task] = []

    def run(task: Task, *_: Any, **__: Any) -> list[Record]:
        tasks.append(task)
        return [record(task.config, seed) for seed in task.seeds]

    monkeypatch.setattr(access, "run", run)
    access._say.cache_clear()
    return tasks


def record(config: RunConfig, seed: int = 0, **more: Any) -> Record:
    about = {"name": config.data["name"], "digest": "", "variant": "", "sizes": {"train": 100}, "image_shape": None}
    fields: dict[str, Any] = {"metrics": {}, "curve": [], "evaluations": {"clustering": 1}, "failed_at_step": None}
    return Record(config=asdict(config), seed=seed, data=about, provenance={}, seconds=1.0, **fields | more)


def kept(found: Record, **arrays: np.ndarray) -> Record:
    """The record with arrays, without a file."""
    object.__setattr__(found, "arrays", lambda: arrays)
    return found


# ---- what rows are called


def test_a_label_states_the_declared_settings_where_they_were_run() -> None:
    rows = [row for name in names() for row in load(name).runnable]
    for row in rows:
        for profile in row.profiles:
            config = row.config(profile)  # type: ignore[arg-type]
            shown = as_run(row, config)
            assert shown == row if is_published_form(row, config) else shown.reported == () or not _any_number(shown)


def _any_number(row: Any) -> bool:
    return any(number.mean is not None or number.below is not None for number in row.reported)


@pytest.mark.parametrize(
    ("place", "profile", "changes", "label"),
    [
        ("gmvae-figure2/eta1-alpha0", "paper", {"model": {"eta": 0.5, "alpha": 1.5}}, "η = 0.5, α = 1.5"),
        ("gmvae-figure2/eta1-alpha0", "demo", {}, "η = 1, α = 0 (the plain bound)"),
        ("gmvae-table1/gmvae-k16-m1", "demo", {"model": {"n_clusters": 7}}, "GMVAE, K = 7, M = 1"),
        ("cagem-table1/cagem-100", "demo", {"data": {"n_labels": 50}}, "CaGeM-50"),
        ("cagem-table2/cagem-500", "demo", {}, "CaGeM-100"),
        ("simple-tries/usps-se-5", "demo", {}, "cross-entropy, w_G = 2"),
        ("simple-figure4/k7", "demo", {}, "7 clusters"),
        ("cagem-table1/iwae-k50", "quick", {"training": {"epochs": 1}}, "IWAE, two layers, IW = 50"),
    ],
)
def test_a_label_states_the_settings_that_were_run(place: str, profile: Any, changes: Any, label: str) -> None:
    row = load(place.split("/")[0]).row(place.split("/")[1])
    assert as_run(row, row.config(profile, changes)).label == label


def test_rows_that_coincide_appear_once_and_are_found_by_every_name(trained: list[Task]) -> None:
    found = Asked(model={"eta": 0.5, "alpha": 1.5}).rows("gmvae-figure2")
    assert [runs.row.label for runs in found.values()] == [
        "η = 0.5, α = 1.5",
        "η = 0.5, α = 1.5, with batch normalisation",
        "η = 0.5, α = 1.5, with 5,000 points",
    ]
    assert len(trained) == 3 and found["eta1-alpha2"] is found["eta1-alpha0"]


def test_equal_labels_are_told_apart_by_the_settings_that_differ(trained: list[Task], files: Mapping[str, str]) -> None:
    found = Asked("demo", data={"name": files["rows"]}).rows("simple-table1")
    labels = [runs.row.label for runs in found.values()]
    assert labels == [f"{kind}, K = {K}" for K in (10, 4) for kind in ("k-means", "GMM", "Proposed")]
    assert list(by_data(found)) == ["rows.npz"]
    proposed = by_title(runs for name, runs in found.items() if name.startswith("proposed"))
    assert list(proposed) == ["rows.npz, Proposed, K = 10", "rows.npz, Proposed, K = 4"]


def test_a_number_of_clusters_is_that_of_the_baselines_too(trained: list[Task]) -> None:
    Asked(model={"n_clusters": 7, "w_gaussian": 3.0}).rows("simple-table1", "kmeans-mnist,proposed-mnist")
    assert [task.config.model["n_clusters"] for task in trained] == [7, 7]


def test_a_change_of_one_model_takes_all_rows_to_the_same_profile(trained: list[Task]) -> None:
    """Else CaGeM on small digits would stand beside others on MNIST."""
    Asked(only_for={"cagem": {"model": {"alpha": 0.5}}}).rows("cagem-table1", "iwae-k1,cagem-100")
    assert [task.config.data["name"] for task in trained] == ["digits", "digits"]


# ---- the paper's numbers


def test_the_papers_numbers_stand_beside_its_data_and_settings_alone(trained: list[Task]) -> None:
    published = Asked().rows("simple-table1")
    again = Asked("quick").rows("simple-table1")
    assert list(published) == list(again) and again["vade-mnist"].row.quoted
    assert seeds_and_paper({"MNIST": published["proposed-mnist"]})[1]
    for changed in (Asked("demo"), Asked("quick", model={"w_gaussian": 3.0}), Asked(seeds="0")):
        found = changed.rows("simple-table1", "proposed-mnist,vade-mnist")
        assert not any(runs.row.quoted or _any_number(runs.row) for runs in found.values())
        shown = comparison(found, {"test.acc_hungarian": "ACC"})
        assert not [heading for heading in shown if "paper" in heading]
    # A settings' value that is the declared one changes nothing.
    same = Asked("quick", model={"w_gaussian": 5.0}).row("simple-table1", "proposed-mnist")
    assert _any_number(same.row)


# ---- the banner


def test_a_banner_names_data_profile_and_changed_settings(
    trained: list[Task], files: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Asked(seeds="0-1", data={"name": files["rows"]}, model={"w_gaussian": 3.0}, training={"epochs": None})
    asked.rows("simple-table1", "proposed-mnist")
    asked.rows("simple-table1", "proposed-usps")  # said once
    assert capsys.readouterr().out == (
        "**A rerun.** Data: rows.npz; profile: demo; seeds: 0-1; changed settings: w_G = 3. "
        "The text between the results is that of the published page, with its numbers, and so are results of other "
        "settings beside these.\n"
    )
    Asked("demo").rows("gmvae-figure2", "eta1-alpha0")
    assert "Data: arcs; profile: demo." in capsys.readouterr().out


def test_what_is_published_has_no_banner(trained: list[Task], capsys: pytest.CaptureFixture[str]) -> None:
    Asked().rows("cagem-labels")
    Asked().at("demo").rows("cagem-labels")  # a page shows it beside the rest
    assert not Asked().at("demo").is_rerun and Asked("demo").is_rerun and Asked("quick").at("demo").is_rerun
    assert capsys.readouterr().out == ""


# ---- data that do not suit


@pytest.mark.parametrize(
    ("experiment", "needs", "file", "sentence"),
    [
        ("gmvae-figure4", "images", "rows", "draws pictures, and rows.npz has no images"),
        ("simple-table2", "labels", "images", "compares with labels, and images.npz has none"),
        ("vlac-table1", "", "rows", "The model vlac needs images, but .*rows.npz holds rows of numbers"),
        ("cagem-labels", "", "images", "no labels to show to a model; leave data.n_labels at 0"),
        ("cagem-labels", "", "foreign", "100 labels cannot be drawn evenly from the 3 classes"),
    ],
)
def test_data_that_suit_no_row_are_refused_before_training(
    experiment: str, needs: Any, file: str, sentence: str, trained: list[Task], files: Mapping[str, str]
) -> None:
    with pytest.raises((DataError, SettingError), match=sentence) as refused:
        Asked("demo", data={"name": files[file]}, needs=needs).rows(experiment)
    assert not trained and len(str(refused.value).splitlines()) == 1


def test_rows_that_the_data_do_not_suit_are_left_out_and_named(
    trained: list[Task], files: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    found = Asked("demo", data={"name": files["images"]}).rows("cagem-table1", "iwae-k1,cagem-20,cagem-100")
    assert list(found) == ["iwae-k1"] and found["cagem-100"] == [] and len(trained) == 1
    assert "**Left out:** CaGeM-20, CaGeM-100: The data set" in capsys.readouterr().out


# ---- what is known without labels


@pytest.fixture
def unlabelled(files: Mapping[str, str]) -> Runs:
    row = load("gmvae-table1").row("gmvae-k10-m1")
    config = row.config("demo", {"data": {"name": files["rows"]}})
    point = {"epoch": 2, "reconstruction": 5.0, "kl_z": 1.0, "kl_w": 0.5, "consistency_violation": 3.0}
    arrays = {
        "clusters_test": np.array([0, 0, 0, 4, 4, 7]),
        "confidence_test": np.array([0.5, 1.0, 0.6, 0.6, 0.6, 0.3]),
    }
    runs = [
        kept(record(config, seed, metrics={"test.clusters_used": 3.0 + seed}, curve=[point | {"kl_z": 1.0 + seed}]))
        for seed in (0, 1)
    ]
    return Runs(as_run(row, config), [kept(run, **arrays) for run in runs])


def test_the_bound_is_that_of_the_model_without_its_penalties(unlabelled: Runs) -> None:
    assert [held_out_bound(run) for run in unlabelled] == [-6.5, -7.5]
    assert math.isnan(held_out_bound(replace(unlabelled[0], failed_at_step=3)))
    assert math.isnan(held_out_bound(replace(unlabelled[0], curve=[])))  # k-means
    assert sizes(unlabelled[0]) == "3, 2, 1"


def test_tables_show_what_is_known_without_labels(unlabelled: Runs) -> None:
    (line,) = comparison({"": unlabelled}, {"test.acc_exemplar": "ACC"}).to_dict("records")
    assert line == {
        "Method": "GMVAE, K = 10, M = 1",
        "clusters in use": "3.5",
        "mean confidence (%)": "60",
        "held-out bound (nats)": "−7.00",
        "Seeds": "2, changed settings, rows.npz",
    }
    seeds = every_seed(unlabelled, ["test.acc_exemplar"]).to_dict("records")
    assert seeds[1]["cluster sizes (test)"] == "3, 2, 1" and seeds[1]["held-out bound (nats)"] == "−7.50"
    shown = columns.table({"": unlabelled}, {"": columns.label, **columns.scores("acc_hungarian")})
    assert list(shown) == ["", "mean confidence (%)", "held-out bound (nats)"]
    assert columns.scored(unlabelled[0], "test.acc_exemplar") == "" and columns.labelled({"": unlabelled}) == {}
    assert seeds_and_paper({"": unlabelled}, "test.acc_exemplar") == ({}, {})


def test_curves_are_of_the_bound_without_labels(unlabelled: Runs) -> None:
    title, (curves, epochs) = accuracies({"a": unlabelled})
    assert title == "Bound on validation data (nats)" and epochs.tolist() == [2]
    assert curves["a"].tolist() == [[-6.5], [-7.5]]
    scored = [replace(run, curve=[run.curve[0] | {"acc_hungarian": 50.0}]) for run in unlabelled]
    assert accuracies({"a": scored})[0] == "Validation accuracy (Hungarian, %)"


def test_points_are_coloured_by_class_or_by_cluster() -> None:
    points = {"tsne_x_hat_1": np.zeros((3, 2)), "clusters_test": np.array([2, 0, 2])}
    color: Callable[..., Any] = classes_or_clusters
    assert color(points).tolist() == [2, 0, 2]
    assert color(points | {"tsne_labels": np.array([1, 1, 0])}).tolist() == [1, 1, 0]
    assert color(points | {"clusters_test": np.zeros(9)}) is None  # of more points than are shown
