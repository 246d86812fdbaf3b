"""Own records beside the published ones."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from genclust.cli import app
from genclust.experiments import declaration, moves
from genclust.experiments.store import Store, StoreError
from genclust.experiments.verdicts import published_records

ROW = declaration.load("gmvae-figure2").row("eta1-alpha2")
_, KNOWN = published_records(ROW)


def store_of(folder, shift: float, seeds: int, metric: str = "test.ari") -> Store:
    """The published records of a row, with a metric that moved by ``shift``."""
    store = Store(folder)
    for record in KNOWN[:seeds]:
        store.write(replace(record, metrics=record.metrics | {metric: record.metrics[metric] + shift}), {})
    return store


def only(found: list[moves.Move], metric: str = "test.ari") -> moves.Move:
    (move,) = [move for move in found if move.metric == metric]
    return move


def test_the_same_records_do_not_move(tmp_path):
    found = moves.compare(store_of(tmp_path, 0.0, 10))
    assert not any(move.moved for move in found) and only(found).difference == 0
    assert only(found).row == "gmvae-figure2/eta1-alpha2, paper and 1 more" and only(found).seeds == (10, 10)


def test_the_tolerance_is_welchs_interval_over_all_lines(tmp_path):
    """Checked against the formula: t at 1 - 0.05 / (2 · lines), with Welch's degrees of freedom."""
    found = moves.compare(store_of(tmp_path, -60.0, 5))
    old = np.array([record.metrics["test.ari"] for record in KNOWN])
    new = old[:5] - 60
    a, b = old.var(ddof=1) / len(old), new.var(ddof=1) / len(new)
    freedom = (a + b) ** 2 / (a**2 / (len(old) - 1) + b**2 / (len(new) - 1))
    expected = stats.t.ppf(1 - 0.025 / len(found), freedom) * (a + b) ** 0.5
    assert only(found).tolerance == pytest.approx(expected, rel=1e-9)
    assert only(found).moved == (abs(new.mean() - old.mean()) > expected)
    assert only(found).difference == pytest.approx(new.mean() - old.mean())


def test_one_seed_is_held_against_the_spread_of_the_published(tmp_path):
    found = moves.compare(store_of(tmp_path, 0.0, 1))
    old = np.array([record.metrics["test.ari"] for record in KNOWN])
    expected = stats.t.ppf(1 - 0.025 / len(found), 9) * old.std(ddof=1) * (1 + 1 / 10) ** 0.5
    assert only(found).tolerance == pytest.approx(expected) and not only(found).moved


def test_a_tolerance_that_lets_everything_pass_is_counted(tmp_path):
    """Two distant seeds on each side: by the t of one or two degrees of freedom hardly any index could move."""
    found = moves.compare(store_of(tmp_path, 0.0, 2), ["gmvae-figure2"])
    assert only(found).tolerance > 50 and only(found).says_little
    shown = CliRunner().invoke(app, ["compare", str(tmp_path), "gmvae-figure2"], env={"COLUMNS": "200"})
    little = sum(move.says_little for move in found)
    assert little and f"{little} of {len(found)} say little: their" in " ".join(shown.stdout.split())
    for tolerance, little in ((0.0, False), (10.0, False), (10.1, True), (None, True)):
        assert replace(only(found), tolerance=tolerance).says_little is little


def test_a_number_far_off_moves_and_the_command_says_so(tmp_path):
    store_of(tmp_path, -75.0, 10)
    result = CliRunner().invoke(app, ["compare", str(tmp_path), "--json"])
    assert result.exit_code == 1
    moved = [line for line in json.loads(result.stdout) if line["moved"]]
    assert [(line["metric"], line["difference"]) for line in moved] == [("test.ari", pytest.approx(-75))]
    shown = CliRunner().invoke(app, ["compare", str(tmp_path), "gmvae-figure2"], env={"COLUMNS": "200"})
    assert shown.exit_code == 1 and "numbers moved: they differ by more than seeds" in " ".join(shown.stdout.split())


def test_what_cannot_be_compared(tmp_path):
    with pytest.raises(StoreError, match="holds no record of a published row"):
        moves.compare(Store(tmp_path))
    with pytest.raises(StoreError, match="holds no record of a published row"):
        moves.compare(store_of(tmp_path / "a", 0.0, 2), ["vlac-sweep"])
    for command in (["audit"], ["keep"], ["publish", "gmvae-figure2"]):
        result = CliRunner().invoke(app, [*command, "--store", str(tmp_path / "none")])
        assert result.exit_code == 1 and "There is no store" in result.stderr and not result.stdout
    for arguments, said in (([tmp_path / "none"], "There is no store"), ([tmp_path / "a", "vlac"], "no experiment")):
        result = CliRunner().invoke(app, ["compare", *map(str, arguments)])
        assert result.exit_code == 2 and said in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_a_single_seed_on_both_sides_has_the_declared_tolerance_or_none(tmp_path, monkeypatch):
    monkeypatch.setattr(moves, "published", lambda: store_of(tmp_path / "known", 0.0, 1))
    found = moves.compare(store_of(tmp_path / "own", 3.0, 1))
    declared = {reported.metric: reported.tolerance for reported in ROW.reported}
    assert only(found).tolerance == declared["test.ari"]
    assert only(found).moved == (declared["test.ari"] is not None and declared["test.ari"] < 3)


def test_a_diverged_seed_is_a_move_and_never_left_out(tmp_path):
    store = store_of(tmp_path, 0.0, 2)
    lost = {name: value for name, value in KNOWN[0].metrics.items() if name != "test.ari"}
    store.write(replace(KNOWN[0], metrics=lost, failed_at_step=3), {})
    move = only(moves.compare(store))
    assert (move.new, move.moved) == (f"seed {KNOWN[0].seed} diverged", True)
    assert move.old == pytest.approx(np.mean([record.metrics["test.ari"] for record in KNOWN]))


def test_a_run_of_two_rows_is_told_so(tmp_path):
    """The AVAE at ``long`` is a row of two experiments; where only one is asked for, the other is not named."""
    _, known = published_records(declaration.load("cagem-others").row("avae"))
    store = Store(tmp_path)
    for record in known:
        store.write(record, {})
    named = {move.row for move in moves.compare(store)}
    assert named == {"cagem-others/avae, long and 1 more"}
    assert {move.row for move in moves.compare(store, ["cagem-table1"])} == {"cagem-table1/avae, long"}
