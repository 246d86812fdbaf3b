"""Models that an experiment trained, as estimators; which seed is published, and what its card says."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from genclust import data, load
from genclust.estimators.saving import DESCRIPTION, card_of
from genclust.evaluation.clustering import hungarian_accuracy
from genclust.experiments import declaration, execution, published_models
from genclust.experiments.store import Record, Store, find, published
from genclust.paths import root
from genclust.settings import SettingError


@pytest.fixture(autouse=True)
def checkpoints_elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the checkpoints of these runs out of the cache folder of whoever runs the tests."""
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path_factory.mktemp("cache")))


def kept_run(row: declaration.Row, store: Store, seeds: list[int], **training: float) -> list[Record]:
    task = execution.task_for(row, "demo", seeds, {"training": training})
    return execution.run(replace(task, keep_weights=True), store, progress=False)


def test_a_kept_model_clusters_as_its_record_says(tmp_path: Path) -> None:
    row = declaration.load("simple-table1").row("proposed-mnist")
    records = kept_run(row, Store(tmp_path), [0, 1], epochs=2)
    test = data.load("digits").splits["test"]
    for record in records:
        model = load(execution.weights_of(record))
        assert model.seeds_ == [record.seed]
        accuracy = hungarian_accuracy(test.y, model.predict(test.x.reshape(-1, 8, 8)))
        assert accuracy == pytest.approx(record.metrics["test.acc_hungarian"], abs=1e-9)
        last = record.curve[-1]
        assert model.bound_ == -(last["reconstruction"] + last["kl_z"] + last["kl_c"])
        falling = record.config["training"]["temperature"]  # by the declaration, not by the estimator's own default
        after_two = falling["start"] * (falling["end"] / falling["start"]) ** (2 / falling["epochs"])
        assert model.scheduled_ == {"temperature": pytest.approx(after_two)}


def test_a_record_without_weights_is_made_again_with_them_and_is_the_same(tmp_path: Path) -> None:
    row, store = declaration.load("simple-table1").row("proposed-mnist"), Store(tmp_path)
    task = execution.task_for(row, "demo", [0], {"training": {"epochs": 2}})
    (without,) = execution.run(task, store, progress=False)
    assert not execution.weights_of(without).exists()
    (again,) = kept_run(row, store, [0], epochs=2)
    assert execution.weights_of(again).is_dir()
    assert again.metrics == without.metrics
    assert [record.seed for record in store.every()] == [0]


def test_a_seed_that_diverges_is_kept_without_a_bound(tmp_path: Path) -> None:
    """In its first epoch, before anything was measured."""
    row = declaration.load("simple-table1").row("proposed-mnist")
    (record,) = kept_run(row, Store(tmp_path), [0], epochs=2, learning_rate=1e20)
    assert record.failed_at_step is not None and record.curve == []
    assert np.isnan(load(execution.weights_of(record)).bound_)
    assert "on held-out rows: none, since training diverged (seed 0)" in card_of(execution.weights_of(record))


def test_a_whole_training_of_which_some_epochs_were_measured_is_not_called_interrupted(tmp_path: Path) -> None:
    """Eleven of twelve: each of the first ten, and the last."""
    row = declaration.load("simple-table1").row("proposed-mnist")
    (record,) = kept_run(row, Store(tmp_path), [0], epochs=12)
    model, card = load(execution.weights_of(record)), card_of(execution.weights_of(record))
    assert len(model.history_) == 11 and "for 12 epochs, with 1 seed" in card


def test_models_that_no_estimator_reads_are_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execution, "TrainingRun", None)
    row = declaration.load("vlac-table1").row("gm-dgm")
    with pytest.raises(SettingError, match="Weights of the model gmdgm cannot be kept"):
        kept_run(row, Store(tmp_path), [0], epochs=1)


def records_with(bounds: list[float | None]) -> dict[int, Record]:
    row = declaration.load("gmvae-figure2").row("eta1-alpha2")
    (some, *_) = find(row.config("paper"), [0], [published()]).values()
    return {
        seed: replace(some, seed=seed, failed_at_step=3 if bound is None else None, curve=[curve(bound or 0.0)])
        for seed, bound in enumerate(bounds)
    }


def curve(bound: float) -> dict[str, float]:
    """A last point whose terms sum to minus the bound; the violation is none of them."""
    terms = {"reconstruction": 1.0 - bound, "conditional_prior": -3.0, "kl_w": 1.5, "kl_z": 0.5}
    return {"epoch": 10, "acc_hungarian": 90.0, "confidence": 0.9, "consistency_violation": 100.0} | terms


@pytest.mark.parametrize(
    ("bounds", "median"),
    [([5.0], 0), ([3.0, 1.0, 2.0], 2), ([4.0, 1.0, 2.0, 3.0], 2), ([None, 1.0, 2.0], 1), ([1.0, 1.0, 1.0], 1)],
)
def test_the_seed_with_the_median_bound_is_published(bounds: list[float | None], median: int) -> None:
    assert published_models.median_seed(records_with(bounds)) == median


def test_the_bound_leaves_the_violation_out() -> None:
    assert published_models.rank_of(records_with([-7.25])[0]) == pytest.approx(-7.25)


def test_the_card_of_a_single_seed_states_no_spread() -> None:
    row = declaration.load("gmvae-figure2").row("eta1-alpha2")
    (one,) = find(row.config("paper"), [0], [published()]).values()
    value = f"{one.metrics[row.reported[0].metric]:.2f}"
    lines = published_models.card(row, "paper", one, {0: one}).splitlines()
    assert any(f"| {value} | {value} | {value} | " in line for line in lines)


PUBLISHED = sorted(path.parent for path in (root() / "models").rglob(DESCRIPTION))


def test_all_published_models_together_stay_below_12_megabytes() -> None:
    assert PUBLISHED
    assert sum(path.stat().st_size for path in (root() / "models").rglob("*")) < 12_000_000


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda path: path.name)
def test_a_published_model_is_read_by_its_name_and_is_its_rows_median_seed(folder: Path) -> None:
    name = folder.relative_to(root() / "models").as_posix()
    model, card = load(name), (folder / "card.md").read_text(encoding="utf8")
    experiment, _, row_name = name.partition("/")
    row = declaration.load(experiment).row(row_name)
    stated = re.search(r"profile `(\w+)`", card)
    assert stated is not None
    config = row.config(declaration.parse_profile(stated[1]))
    records = find(config, row.seeds(stated[1]), [published()])
    assert model.seeds_ == [published_models.median_seed(records)]
    written = json.loads(card.split("```json\n")[1].split("```")[0])
    assert written["model"] == config.model
    assert f"`{next(iter(records.values())).data['digest']}`" in card
    assert all(heading in card for heading in ("## Data", "Terms of use", "## What it is not for"))
    x = np.random.default_rng(0).random((20, model.n_features_in_)).astype(np.float32)
    np.testing.assert_allclose(model.predict_proba(x).sum(1), 1, rtol=1e-5)
    assert model.sample(2, random_state=0, cluster=0).shape[0] == 2


@pytest.mark.data
@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda path: path.name)
def test_a_published_model_in_half_precision_scores_as_its_card_says(folder: Path) -> None:
    card = (folder / "card.md").read_text(encoding="utf8")
    written = json.loads(card.split("```json\n")[1].split("```")[0])
    stated = re.search(r"accuracy, Hungarian, test \(%\) \| ([\d.]+)", card)
    if stated is None:
        pytest.skip("its card states no accuracy of this kind")
    if data.verify(written["data"]["name"]).state == "missing":
        pytest.skip("the data are not in the data folder")
    test = data.load(written["data"]["name"]).splits["test"]
    model = load(folder)
    accuracy = hungarian_accuracy(test.y, model.predict(test.x))
    assert accuracy == pytest.approx(float(stated[1]), abs=0.2)  # a few of the test images lie on an edge
