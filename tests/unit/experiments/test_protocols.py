"""The two protocols: fitted to the training split, or to all that is scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from genclust.data import catalogue
from genclust.experiments import declaration, execution, planning
from genclust.experiments.configuration import RunConfig
from genclust.experiments.execution import run, task_for
from genclust.experiments.store import Record, Store
from genclust.experiments.training_run import fitted_rows, total_steps
from genclust.settings import SettingError

BASELINE = declaration.load("baselines").row("kmeans-usps")
MODEL = declaration.load("simple-table1").row("proposed-mnist")
ALL = {"data": {"fit_on": "all"}}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))


def config(**more: Any) -> RunConfig:
    return MODEL.config("demo", ALL | more)


def recorded(row: declaration.Row, changes: dict[str, Any], store: Path) -> Record:
    task = replace(task_for(row, "demo", [2], changes), evaluations=("clustering",))
    (record,) = run(task, Store(store), progress=False)
    return record


def test_what_was_the_only_protocol_leaves_no_trace_in_the_address() -> None:
    assert MODEL.config("demo", {"data": {"fit_on": "train"}}) == MODEL.config("demo")
    assert config().hash != MODEL.config("demo").hash


def test_all_are_the_rows_of_the_splits_that_are_scored() -> None:
    data, _ = execution.prepare(config())
    sizes = {name: len(split) for name, split in data.splits.items()}
    assert sizes == {"train": 1150, "validation": 288, "test": 359}  # as they are under the other protocol
    rows = fitted_rows(config(), data)
    assert np.array_equal(rows, np.concatenate([data.splits[name].x for name in ("train", "validation", "test")]))
    assert fitted_rows(MODEL.config("demo"), data) is data.splits["train"].x
    extra = replace(data, splits={**data.splits, "extra": data.splits["train"]})
    assert len(fitted_rows(config(), extra)) == 1797  # no split that is not scored


def test_a_baseline_is_fitted_to_all_points_and_scored_on_each_split(tmp_path: Path) -> None:
    record = recorded(BASELINE, ALL, tmp_path / "records")
    data, _ = execution.prepare(BASELINE.config("demo", ALL))
    x = {name: split.x.astype(np.float32) / 255 for name, split in data.splits.items()}
    rows = np.concatenate([x["train"], x["validation"], x["test"]])
    peer = KMeans(10, n_init=10, random_state=2).fit(rows)
    arrays = record.arrays()
    for name, part in x.items():
        assert np.array_equal(arrays[f"clusters_{name}"], peer.predict(part))
    alone = recorded(BASELINE, {}, tmp_path / "records")
    assert not np.array_equal(alone.arrays()["clusters_test"], arrays["clusters_test"])


@pytest.mark.parametrize("row", [BASELINE, MODEL], ids=["baseline", "model"])
def test_a_fit_depends_on_test_rows_under_one_protocol_only(tmp_path: Path, row: declaration.Row) -> None:
    """The training rows' clusters move with the test rows where all are fitted, and else they do not."""
    random = np.random.default_rng(0)
    x_train, *tests = (random.integers(0, 255, (n, 20), dtype=np.uint8) for n in (150, 90, 90))
    found: dict[str, list[np.ndarray]] = {"train": [], "all": []}
    for i, x_test in enumerate(tests):
        np.savez(tmp_path / f"{i}.npz", x_train=x_train, x_test=x_test)
        for on, clusters in found.items():
            data = {"name": str(tmp_path / f"{i}.npz"), "fit_on": on, "test_fraction": 0, "validation_fraction": 0.2}
            changes: dict[str, Any] = {"data": data}
            if row is MODEL:
                changes |= {"training": {"epochs": 3, "batch_size": 20, "snapshots": []}}
            clusters.append(recorded(row, changes, tmp_path / "records").arrays()["clusters_train"])
    assert np.array_equal(*found["train"])
    assert not np.array_equal(*found["all"])


def test_a_model_takes_the_steps_of_all_rows(tmp_path: Path) -> None:
    short = {"training": {"epochs": 2, "snapshots": []}}
    record = recorded(MODEL, ALL | short, tmp_path / "records")
    (state,) = (tmp_path / "cache" / "runs").rglob("*.ckpt")
    assert torch.load(state, weights_only=False)["step"] == 2 * 18 == total_steps(config(**short), 1797)
    assert record.data["sizes"] == {"train": 1150, "validation": 288, "test": 359}


def test_labels_and_all_points_do_not_go_together() -> None:
    row = declaration.load("cagem-table1").row("cagem-100")
    with pytest.raises(SettingError, match=r"data\.fit_on = all .* leave data\.n_labels at 0"):
        row.config("demo", ALL)


@pytest.mark.parametrize("name", ["digits", "arcs"])
@pytest.mark.parametrize("validation", [0.0, 0.2])
@pytest.mark.parametrize("on", ["train", "all"])
def test_the_plan_knows_how_many_rows_that_are(name: str, validation: float, on: str) -> None:
    """Digits have one split of their own, arcs have three."""
    if name == "digits":
        data = {"name": name, "fit_on": on, "test_fraction": 0.2, "validation_fraction": validation or 0.1}
    else:
        data = {"name": name, "fit_on": on, "test_fraction": 0, "validation_fraction": validation}
    asked = BASELINE.config("demo", {"data": data})
    rows = fitted_rows(asked, execution.prepare(asked)[0])
    assert planning.training_rows(asked, catalogue.source_of(name)) == len(rows)


def test_costs_of_one_protocol_do_not_stand_for_the_other() -> None:
    """A step of a model costs the same; the fit of a baseline does not."""
    about = {"sizes": {"train": 1150, "validation": 288, "test": 359}}

    def paced(config: RunConfig) -> dict[str, float]:
        made = {"device": "x86_64", "threads": 1}
        record = Record(
            {"data": config.data, "model": config.model, "training": config.training},
            *(0, {}, [], {"clustering": 1}, None, about, made, 3600.0),
        )
        return planning.paces([record])

    assert paced(BASELINE.config("demo")).keys() != paced(BASELINE.config("demo", ALL)).keys()
    (by_train,), (by_all,) = (paced(c).values() for c in (MODEL.config("demo"), config()))
    assert paced(MODEL.config("demo")).keys() == paced(config()).keys()
    assert by_train == 3600 / (100 * 12) and by_all == 3600 / (100 * 18)
