"""The command line as a user meets it: what it prints, and one sentence for every mistake."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from genclust import __main__ as entry
from genclust import __version__, cli_data, cli_report
from genclust.cli import app
from genclust.experiments import declaration
from genclust.experiments.verdicts import published_records
from genclust.wording import signed

MISTAKES = {
    ("run", "simple-tabel1"): "did you mean 'simple-table1'",
    ("run", "simple-table1", "--row", "propsed-mnist"): "did you mean 'proposed-mnist'",
    ("run", "simple-table1", "--profile", "qick"): "did you mean 'quick'",
    ("run", "simple-table1", "--seeds", "3-1"): "0-9",
    ("run", "simple-table1", "--row", "proposed-mnist", "--set", "w_gausian=1"): "did you mean 'model.w_gaussian'",
    ("run", "simple-table1", "--row", "proposed-mnist", "--set", "w_gaussian=-1"): "between 0 and",
    ("run", "simple-table1", "--row", "proposed-mnist", "--set", "data.name=mnits"): "mnist",
    ("run", "simple-table1", "--row", "dec-mnist"): "another's result",
    ("run", "simple-table1", "--row", "proposed-mnist", "--device", "gpu"): "cpu",
    ("run", "simple-table1", "--row", "proposed-mnist", "--minutes", "-1"): "positive",
    ("list", "gmvae-phase"): "did you mean 'gmvae-phases'",
    ("show", "simple-table1", "--profile", "papr"): "did you mean 'paper'",
    ("show", "simple-table1", "--row", "proposed-mnist", "--profile", "long"): (
        "There is no profile of simple-table1/proposed-mnist 'long'"
    ),
    ("show", "simple-table1", "--profile", "long"): "There is no profile of simple-table1/",
    ("data", "fetch", "mnits"): "mnist",
}


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Invoke the command with caches of the test's own, on a wide terminal."""
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))
    return lambda *arguments: CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_is_told_in_one_sentence_and_nothing_is_computed(invoke, arguments, tmp_path):
    result = invoke(*arguments)
    assert result.exit_code == 1
    assert MISTAKES[arguments] in result.stderr
    assert "Traceback" not in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "cache").exists()


def test_every_path_may_begin_with_the_home_folder(invoke, monkeypatch, tmp_path):
    """Of options with = the shell leaves the sign for it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    paths = 0
    for command in (*app.registered_commands, *cli_data.app.registered_commands):
        for kind in get_type_hints(command.callback, include_extras=True).values():
            if Path in (getattr(kind, "__origin__", kind), *getattr(getattr(kind, "__origin__", kind), "__args__", ())):
                assert kind.__metadata__[0].callback(Path("~/a")) == tmp_path / "a"
                paths += 1
    assert paths == 11
    assert f"There is no store {tmp_path / 'mine'};" in invoke("audit", "--store=~/mine").stderr


def test_missing_data_are_told_with_their_cure(invoke, monkeypatch, tmp_path):
    monkeypatch.setenv("GENCLUST_DATA", str(tmp_path / "nothing"))
    result = invoke("run", "simple-table1", "--row", "proposed-usps", "--profile", "quick", "--seeds", "77")
    assert result.exit_code == 1
    assert "genclust data fetch usps" in result.stderr
    assert "Traceback" not in result.stderr


def test_run_prints_seeds_and_keeps_records(invoke, tmp_path):
    arguments = ["run", "simple-figure3", "--row", "w1", "--profile", "demo", "--seeds", "70-71", "--set", "epochs=2"]
    result = invoke(*arguments, "--quiet")
    assert result.exit_code == 0, result.stderr
    assert "mean ± sd" in result.stdout
    assert "not on the paper's mnist" in result.stdout
    assert "< 40" not in result.stdout, "a bound on the paper's data and settings"
    assert "demo, epochs=2" in result.stdout and "seed-0071.json" in result.stdout
    assert len(list((tmp_path / "cache" / "results").rglob("seed-007?.json"))) == 2


def test_of_data_without_labels_is_printed_what_is_known(invoke, tmp_path):
    np.savez(tmp_path / "mine.npz", x_train=np.random.default_rng(0).random((100, 13)).astype(np.float32))
    arguments = ["run", "simple-table1", "--row", "proposed-mnist", "--seeds", "3", "--set", "epochs=2", "--quiet"]
    result = invoke(*arguments, "--set", f"data.name={tmp_path / 'mine.npz'}")
    assert result.exit_code == 0, result.stderr
    (path,) = (tmp_path / "cache" / "results").rglob("seed-0003.json")
    point = json.loads(path.read_text())["curve"][-1]
    bound = -(point["reconstruction"] + point["kl_z"] + point["kl_c"])
    for known in ("clusters in use", "mean confidence", signed(bound), "cluster sizes", str(path)):
        assert known in result.stdout
    assert "85.75" not in result.stdout and "acc_hungarian" not in result.stdout
    assert "Measured on mine.npz, not on the paper's mnist." in result.stdout


def test_seeds_of_which_one_diverged_are_printed_without_a_mean(capsys, monkeypatch):
    """A published row of which one seed lost its likelihood: the others are shown, and a sentence says why no mean."""
    row = declaration.load("cagem-table1").row("cagem-100")
    _, (first, *others) = published_records(row)
    metrics = {name: value for name, value in first.metrics.items() if name != "test.log_likelihood"}
    monkeypatch.setattr(cli_report, "console", Console(width=200))
    cli_report.print_records("a row", row, [replace(first, metrics=metrics, failed_at_step=3), *others])
    shown = capsys.readouterr().out
    assert signed(others[0].metrics["test.log_likelihood"]) in shown
    assert f"Seed {first.seed} diverged at step 3 and has no test.log_likelihood, so its row has no mean" in shown
    assert re.search(r"mean ± sd\W+–", shown)


def test_where_no_reported_metric_was_measured_others_are_shown_without_the_papers(capsys, monkeypatch):
    row = declaration.load("simple-table1").row("proposed-mnist")
    profile, (first, *_) = published_records(row)
    monkeypatch.setattr(cli_report, "console", Console(width=200))
    cli_report.print_records("a row", row, [replace(first, metrics={"test.ari": 51.0}, failed_at_step=3)])
    shown = capsys.readouterr().out
    assert profile == "paper" and "test.ari" in shown and "51.00" in shown
    assert "test.acc_hungarian" not in shown and "85.75" not in shown


def test_a_table_for_people_has_minus_signs_and_its_json_numbers(invoke):
    """Log-likelihoods of Table 1 of CaGeM; names of rows have hyphens."""
    table, lines = invoke("verdicts").stdout, json.loads(invoke("verdicts", "--json").stdout)
    mean = next(line["measured_mean"] for line in lines if line["row"] == "cagem-table1/cagem-0-k10")
    assert mean < 0 and f"−{-mean:.2f}" in table and not re.search(r"-\d+\.\d", table)


def test_the_papers_numbers_are_printed_beside_its_data_and_settings_alone(invoke):
    show = ["show", "simple-table1", "--row", "proposed-mnist"]
    assert "85.75" in invoke(*show, "--profile", "paper").stdout
    for profile in ("quick", "demo"):
        assert "85.75" not in invoke(*show, "--profile", profile).stdout


@pytest.mark.parametrize(("experiment", "profile"), [("baselines", "quick"), ("vlac-table1", "long")])
def test_a_profile_that_some_rows_lack_is_run_of_the_others(invoke, monkeypatch, tmp_path, experiment, profile):
    """Without data the first of them says what it lacks; the rows without the profile are not asked for it."""
    monkeypatch.setenv("GENCLUST_DATA", str(tmp_path / "nothing"))
    having = [row for row in declaration.load(experiment).runnable if profile in row.profiles]
    assert 0 < len(having) < len(declaration.load(experiment).runnable)
    result = invoke("run", experiment, "--profile", profile, "--seeds", "77", "--quiet")
    assert result.exit_code == 1 and f"Data set '{having[0].config(profile).data['name']}' is not in" in result.stderr


def test_show_of_all_rows_leaves_out_those_without_the_profile(invoke):
    shown = invoke("show", "vlac-table1", "--profile", "long")
    assert shown.exit_code == 0
    for row in declaration.load("vlac-table1").runnable:
        assert (f"\n{row.name}  " in shown.stdout) == ("long" in row.profiles)


def test_a_budget_says_how_to_go_on(invoke):
    arguments = ["run", "simple-figure3", "--row", "w1", "--profile", "demo", "--seeds", "70", "--set", "epochs=5000"]
    result = invoke(*arguments, "--minutes", "0.02", "--quiet")
    assert result.exit_code == 3
    assert "the same command goes on" in result.stderr


def test_the_version_is_that_of_the_library(invoke):
    assert invoke("--version").stdout == f"genclust {__version__}\n"


def test_list_names_every_experiment(invoke):
    output = invoke("list").stdout
    for name in ("simple-table1", "proposed-mnist", "cagem-table1"):
        assert name in output
    assert "dec-mnist" not in output  # quoted rows cannot be run


def test_list_folds_a_long_experiment_until_it_is_asked_for(invoke):
    assert "bn-eta4-alpha8" not in invoke("list").stdout
    assert "75 rows" in invoke("list").stdout
    alone = invoke("list", "gmvae-phases").stdout
    assert "bn-eta4-alpha8" in alone and "simple-table1" not in alone


def test_show_gives_settings_and_the_command_that_runs_them(invoke):
    output = invoke("show", "simple-figure3", "--row", "w3", "--profile", "paper").stdout
    assert "w_gaussian: 3" in output
    assert "shape: exponential" in output


def test_verdicts_as_json_have_the_promised_fields(invoke):
    lines = json.loads(invoke("verdicts", "--json").stdout)
    promised = {"paper", "table", "row", "dataset", "metric", "reported_mean", "reported_sd", "measured_mean"}
    promised |= {"measured_sd", "n_seeds", "profile", "fidelity", "stand_in", "verdict"}
    for line in lines:
        assert promised <= line.keys()
    proposed = {(line["dataset"], line["name"]) for line in lines if line["label"] == "Proposed"}
    assert proposed == {(d, n) for d in ("mnist", "usps", "reuters10k") for n in ("ACC", "NMI")}


def test_verdicts_as_a_table(invoke):
    result = invoke("verdicts")
    assert result.exit_code == 0
    assert "simple-table1" in result.stdout
    assert "proposed-mnist" in result.stdout


def test_claims_as_a_table_and_as_json(invoke):
    table, lines = invoke("claims").stdout, json.loads(invoke("claims", "--json").stdout)
    assert {line["paper"] for line in lines} == {"simple", "gmvae", "cagem", "vlac"}
    assert all(line["evidence"] and line["where"] for line in lines)
    holds = next(line for line in lines if line["anchor"] == "claim-cagem-table1-clusters")
    assert "The more labels, the better the likelihood." in table and holds["evidence"][0]["profile"] == "long"


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files")
def test_a_disk_that_is_full_is_told_in_one_sentence(tmp_path):
    """A checkpoint that finds no room: no trace, no record, nothing half-written."""
    import resource

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    run = ["run", "simple-table1", "--row", "proposed-mnist", "--profile", "demo", "--seeds", "0"]
    short = ["--set", "training.epochs=1", "--quiet", "--store", str(tmp_path / "records")]
    done = subprocess.run(
        [sys.executable, "-m", "genclust", *run, *short],
        env=os.environ | {"GENCLUST_CACHE": str(tmp_path / "cache")},
        preexec_fn=small_files,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert re.fullmatch(r"genclust: .*seed-0000.ckpt: File too large; what was finished is kept.\n", done.stderr)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_an_interrupt_while_the_library_is_imported_is_a_sentence(monkeypatch, capsys):
    class Interrupted:
        def find_spec(self, name, path, target=None):
            if name == "genclust.cli":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "genclust.cli")
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    with pytest.raises(SystemExit) as stopped:
        entry.main()
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "genclust: Interrupted before anything was done.\n"
