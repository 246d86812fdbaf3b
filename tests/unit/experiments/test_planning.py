"""The plan of what is lacking, and what is said of what runs."""

import json
import os
import re
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save as tensors_as_bytes
from typer.testing import CliRunner

from genclust.cli import app
from genclust.data import catalogue
from genclust.experiments import declaration, execution, locks, planning, status, store, training_run
from genclust.experiments.configuration import RunConfig
from genclust.experiments.execution import task_for
from genclust.experiments.planning import plan
from genclust.experiments.store import Record, own, published
from genclust.experiments.workers import Unfinished

#: Of 1,150 images, 12 steps an epoch; 48 in all.
DECLARED = """
paper: simple
table: Table
title: Two configurations, asked for by four rows
evaluate: [clustering]
settings:
  data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2}
  model: {name: gumbel, n_clusters: 10, hidden: [12, 10], feature_dim: 8, latent_dim: 3}
  training: {epochs: 4, batch_size: 100, learning_rate: 0.001, temperature: 1}
profiles:
  demo: {seeds: 0-1}
rows:
  ours: {label: ours, dataset: digits, settings: {model: {w_gaussian: 3}}}
  papers:
    label: a paper's
    dataset: digits
    settings: {model: {w_gaussian: 2}}
    reported: [{name: ACC, metric: test.acc_hungarian, mean: 80}]
  again: {label: the same, dataset: digits, evaluate: [style], settings: {model: {w_gaussian: 2}}}
  quoted: {label: another's, dataset: digits, quoted: true}
"""
MORE = """
paper: simple
table: Figure
title: The same configuration, with another seed and evaluation, and one of data that are not there
settings:
  data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2}
  model: {name: gumbel, n_clusters: 10, hidden: [12, 10], feature_dim: 8, latent_dim: 3, w_gaussian: 2}
  training: {epochs: 4, batch_size: 100, learning_rate: 0.001, temperature: 1}
profiles:
  demo: {seeds: 1-2, evaluate: [neighbours]}
rows:
  figure: {label: figure, dataset: digits, settings: {}}
  mnist: {label: mnist, dataset: mnist, settings: {data: {name: mnist}}, profiles: {paper: {seeds: "0"}}}
"""


@pytest.fixture
def stores(tmp_path, monkeypatch):
    """A repository of two experiments and nothing published, and an empty cache."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "table.yaml").write_text(DECLARED)
    (tmp_path / "experiments" / "figure.yaml").write_text(MORE)
    (tmp_path / "papers.yaml").write_text("simple: {title: Simple}\ncagem: {title: CaGeM}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))


def config(row="papers") -> RunConfig:
    return declaration.load("table").row(row).config("demo")


def record(config, seed, evaluations=("clustering",), device="x86_64", threads=1, seconds=10.0, failed=None) -> Record:
    sizes = {"train": 1150, "validation": 288, "test": 359}
    about = {"name": "digits", "digest": "0" * 64, "variant": "", "sizes": sizes}
    made = {"device": device, "threads": threads, "source": "0123456789ab"}
    return Record(asdict(config), seed, {}, [], dict.fromkeys(evaluations, 1), failed, about, made, seconds)


def found(*arguments, **options):
    return [(unit.config, unit.seed) for unit in plan(*arguments, **options)]


def test_a_unit_is_a_seed_of_a_configuration_with_all_that_any_row_measures(stores):
    units = plan(profile="demo")
    shared = {unit.seed: unit for unit in units if unit.config == config()}
    assert shared.keys() == {0, 1, 2}
    assert shared[0].evaluations == ("clustering", "style")
    assert shared[0].rows == ("table/papers, demo", "table/again, demo")
    assert shared[1].evaluations == ("clustering", "neighbours", "style")
    assert set(shared[1].rows) == {"table/papers, demo", "table/again, demo", "figure/figure, demo"}
    assert shared[2].evaluations == ("neighbours",)


def test_an_experiment_of_a_profile_is_planned_alone_but_served_with_the_others(stores):
    units = plan(["figure"], "demo")
    assert [(unit.config.data["name"], unit.seed) for unit in units] == [
        ("digits", 1),
        ("digits", 2),
        ("mnist", 1),
        ("mnist", 2),
    ]
    assert units[0].evaluations == ("clustering", "neighbours", "style")


def test_the_most_faithful_comes_first_then_what_a_paper_reports(stores):
    units = plan()
    assert units[0].rows == ("figure/mnist, paper",)
    firsts = list(dict.fromkeys(unit.rows[0] for unit in units))
    assert firsts.index("table/papers, demo") == 1
    assert firsts.index("table/ours, demo") == len(firsts) - 1


def test_what_a_store_has_is_not_lacking_until_a_row_asks_for_more_of_it(stores):
    asked = [(config(), 0), (config(), 1), (config("ours"), 0), (config("ours"), 1)]
    assert found(["table"]) == asked
    published().write(record(config(), 0, ("clustering", "style")), {})
    own().write(record(config("ours"), 1), {})
    own().write(record(config(), 1, ("neighbours",)), {})
    assert found(["table"]) == [(config(), 1), (config("ours"), 0)]
    own().write(record(config(), 1, ("clustering", "neighbours")), {})  # pictures are of the first seed alone
    assert found(["table"]) == [(config("ours"), 0)]


def test_seeds_that_wait_for_their_row_are_not_lacking_and_not_trained_again(stores):
    own().write(record(config("ours"), 1), {})
    kept = CliRunner().invoke(app, ["keep"])
    assert (kept.exit_code, kept.stdout.split()) == (0, [f"waiting/{config('ours').address}/seed-0001"])
    elsewhere = own().read(config("ours"), 1)
    own().delete(elsewhere)
    assert found(["table"]) == [(config(), 0), (config(), 1), (config("ours"), 0)]
    task = task_for(declaration.load("table").row("ours"), "demo", [1])
    assert execution.run(task, own(), progress=False, also_look_in=store.in_repository())[0].path == (
        store.waiting().read(config("ours"), 1).path
    )
    refused = CliRunner().invoke(app, ["publish", "table", "--row", "ours", "--profile", "demo"])
    assert refused.exit_code == 1 and "lacks seed 0 of table/ours" in " ".join(refused.output.split())
    own().write(record(config("ours"), 0), {})
    assert CliRunner().invoke(app, ["publish", "table", "--row", "ours", "--profile", "demo"]).exit_code == 0
    assert sorted(one.seed for one in published().every()) == [0, 1]
    assert not list(store.waiting().every())


def test_costs_are_scaled_from_records_of_the_same_network_on_the_same_data(stores):
    other = RunConfig(config().data, config().model | {"w_gaussian": 7.0}, config().training | {"epochs": 8})
    for seed, seconds in ((0, 96.0), (1, 192.0), (2, 1e6)):  # 2, 4 and far more core-seconds per step of 96
        published().write(record(other, seed, seconds=seconds, threads=2), {})
    own().write(record(other, 3, seconds=1e-3, device="NVIDIA H200"), {})
    own().write(record(other, 4, seconds=1e-3, failed=5), {})
    wider = RunConfig(config().data, config().model | {"hidden": [120, 100]}, config().training)
    own().write(record(wider, 0, seconds=1e-3), {})
    unit = plan(["table"])[0]
    assert (unit.steps, unit.basis) == (48, "records")
    assert unit.core_minutes == pytest.approx(48 * 4 / 60)


def test_where_no_record_tells_a_checkpoint_does_and_else_nothing(stores):
    task = task_for(declaration.load("table").row("papers"), "demo", [0])
    with pytest.raises(Unfinished):
        execution.run(task, own(), minutes=1e-9, progress=False)
    begun, other = plan(["table"])[:2]
    state = training_run.checkpoints.load(training_run.checkpoint_path(task.config, 0))
    assert (begun.steps, begun.basis, begun.seed) == (47, "checkpoint", 0)
    assert begun.core_minutes == pytest.approx(47 * state["seconds"] * state["legs"][0]["threads"] / 60)
    assert (other.steps, other.basis, other.core_minutes) == (48, "", None)


def test_what_nothing_tells_can_be_measured_and_records_tell_better(stores):
    units = plan(["table"])
    assert {unit.basis for unit in units} == {""}
    began = time.monotonic()
    planning.measure(units)
    took = time.monotonic() - began
    measured = plan(["table"])
    assert {unit.basis for unit in measured} == {"measured"}
    assert all(0 < unit.core_seconds < took / 5 for unit in measured)  # five steps at least were made in that time
    planning.measure(measured)
    assert plan(["table"])[0].core_seconds == measured[0].core_seconds, "what is known is not measured again"
    published().write(record(RunConfig(config().data, config().model | {"w_gaussian": 7.0}, config().training), 0), {})
    assert {unit.basis for unit in plan(["table"])} == {"records"}


def test_damaged_paces_tell_nothing(stores):
    paces = execution.cache_folder() / planning.PACES
    paces.parent.mkdir(parents=True)
    for damaged in ("", "[1]", '{"shape": "fast"}', '{"shape": null}'):
        paces.write_text(damaged)
        assert plan(["table"])[0].basis == ""


def test_missing_data_and_known_memory_are_told(stores):
    peak = training_run.checkpoint_path(config(), 0).with_name(planning.PEAK)
    peak.parent.mkdir(parents=True)
    peak.write_text("700\n")
    units = plan()
    assert {unit.has_data for unit in units if unit.config.data["name"] == "mnist"} == {False}
    assert {unit.has_data for unit in units if unit.config.data["name"] == "digits"} == {True}
    assert {unit.memory_mb for unit in units if unit.config == config()} == {700}
    assert {unit.memory_mb for unit in units if unit.config == config("ours")} == {None}


def test_how_many_examples_a_run_trains_on_is_known_without_its_data():
    """Against what every published record says."""
    known = {json.dumps(r.config["data"], sort_keys=True): r for r in published().every()}
    assert len(known) > 15
    for one in known.values():
        source = catalogue.source_of(one.data["name"]).variant(one.data["variant"])
        config = RunConfig(**one.config)
        fitted = sum(one.data["sizes"][name] for name in config.fitted_splits)
        assert planning.training_rows(config, source) == fitted, one.path


@pytest.fixture
def invoke(stores):
    return lambda *arguments: CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def test_the_plan_as_json_is_all_that_a_job_needs(invoke):
    told = json.loads(invoke("plan", "table", "--json").stdout)
    assert subprocess.run([told["python"], "-c", "pass"]).returncode == 0
    for address, settings in told["configurations"].items():
        assert RunConfig(**settings).address == address
    (first, *_) = told["units"]
    assert (first["address"], first["seed"]) == (config().address, 0)
    assert first["evaluations"] == ["clustering", "style"]


def test_the_plan_as_a_table_ends_in_totals(invoke):
    own().write(
        record(RunConfig(config().data, config().model, config().training | {"epochs": 1}), 5, seconds=3600), {}
    )
    printed = invoke("plan").stdout
    assert f"{config().address}/0 " in printed
    # 300 seconds per step: four hours for each of the five seeds on digits.
    assert "8 seeds of 3 configurations are lacking. Training 5 of them will take about 20.0 core-hours" in printed
    assert "of 3 no record tells. 3 lack their data." in printed
    assert "--measure" not in printed, "nothing can be timed without data"


@pytest.mark.parametrize(
    "arguments, told",
    [(("plan", "tabel"), "did you mean 'table'"), (("plan", "--profile", "papr"), "did you mean 'paper'")],
)
def test_a_mistake_is_told_in_one_sentence(invoke, arguments, told):
    result = invoke(*arguments)
    assert result.exit_code == 1 and told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_status_tells_what_runs_what_was_killed_and_what_rests(invoke):
    task = task_for(declaration.load("table").row("papers"), "demo", [0, 1])
    with pytest.raises(Unfinished):
        execution.run(task, own(), minutes=1e-9, progress=False)
    (first, second) = (training_run.checkpoint_path(task.config, seed) for seed in (0, 1))
    unbegun = training_run.checkpoint_path(config("ours"), 0)
    state = training_run.checkpoints.load(first)
    with locks.hold([first, unbegun], 48):
        lock = second.with_suffix(locks.SUFFIX)
        lock.write_text(json.dumps(asdict(locks.holder(first.with_suffix(locks.SUFFIX))) | {"started": "1"}))
        (begun, waiting), (gone,) = status.status()[:2], status.status()[2:]
        lines = invoke("status").stdout.splitlines()
        lock.unlink()
        resting = status.status()[2]
    if waiting.step:
        begun, waiting = waiting, begun
    assert (begun.unit, begun.state, begun.step, begun.steps) == (f"{task.config.address}/0000", "running", 1, 48)
    assert begun.seconds == pytest.approx(2 * state["seconds"])  # a step of both takes twice the share of each
    assert begun.done == pytest.approx(max(time.time(), first.stat().st_mtime + 47 * begun.seconds), abs=60)
    assert (waiting.unit, waiting.seconds, waiting.done) == (f"{config('ours').address}/0000", None, None)
    assert (gone.unit, gone.state, gone.done) == (f"{task.config.address}/0001", "gone", None)
    assert (resting.unit, resting.state, resting.holder) == (gone.unit, "resting", None)
    assert len(lines) == 4 and all(f"{os.getpid()} on" in line for line in lines[1:])
    assert waiting.rows == ("table/ours, demo",)
    assert begun.rows == gone.rows == ("figure/figure, demo", "table/papers, demo", "table/again, demo")
    assert lines[3].endswith("  figure/figure, demo and 2 more")
    own().write(record(task.config, 0), {})
    own().write(record(task.config, 1), {})
    assert status.status() == []


@pytest.mark.parametrize(
    "content",
    [[1, 2], {"step": 3}, {"step": 3, "seconds": 1.0, "legs": []}, {"step": "3", "seconds": 1.0, "legs": [{}]}],
)
def test_an_incomplete_checkpoint_tells_nothing_and_stops_nothing(invoke, content):
    path = training_run.checkpoint_path(config(), 0)
    path.parent.mkdir(parents=True)
    torch.save(content, path)
    assert status.glance(path) == {}
    (one,) = status.status()
    assert (one.step, one.seconds) == (0, None)
    assert invoke("status").exit_code == invoke("plan").exit_code == 0


@pytest.mark.parametrize("whole", [True, False])
def test_status_tells_how_far_a_likelihood_is_after_the_training(invoke, whole):
    path = training_run.checkpoint_path(config(), 0)
    path.parent.mkdir(parents=True)
    path.touch()
    content = tensors_as_bytes({"estimates": torch.zeros(2, 1, 31)}, {"of": "whose", "images": "100"})
    path.with_suffix(".likelihood-5000.kept").write_bytes(content if whole else content[:-40])
    (one,) = status.status()
    assert one.likelihood == (31 if whole else None)
    assert (" likelihood 31 % " in invoke("status").stdout) == whole


def test_status_tells_that_settings_are_of_the_users_own(invoke):
    path = training_run.checkpoint_path(config(), 0)
    changed = path.parent.with_name("digits-gumbel-0123456789ab") / path.name
    changed.parent.mkdir(parents=True)
    changed.touch()
    (one,) = status.status()
    assert one.rows == () and invoke("status").stdout.splitlines()[1].endswith("  settings of your own")


def test_the_page_on_rerunning_shows_the_columns_that_are_printed(invoke):
    page = (Path(__file__).resolve().parents[3] / "book" / "rerun.md").read_text(encoding="utf8")
    shown = [re.split(r" {2,}", line.strip()) for line in page.splitlines()]
    for command in ("plan", "status"):
        printed = invoke(command).stdout
        heads = [re.split(r" {2,}", line.strip()) for line in printed.splitlines() if "configuration/seed" in line]
        assert len(heads) == 1 and heads[0] in shown, command
