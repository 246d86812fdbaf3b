"""What is judged at all, which records a table shows, and what its lines say of them."""

from dataclasses import asdict, replace
from importlib import import_module
from types import SimpleNamespace

import pytest
from scipy import stats

from genclust.experiments import declaration, records
from genclust.experiments.declaration import Reported
from genclust.experiments.store import Record, Store
from genclust.pages.tables import difference, every_seed

verdicts = import_module("genclust.experiments.verdicts")  # the package has a function of that name
EXPERIMENT = declaration.load("simple-table1")
ROW = EXPERIMENT.row("proposed-mnist")
METRIC = "test.acc_hungarian"


def record(seed: int, value: float, data: str = "mnist", variant: str = "", profile="paper") -> Record:
    about = {"name": data, "digest": "0" * 64, "variant": variant, "sizes": {}}
    config = asdict(ROW.config(profile))
    return Record(
        config, seed, {METRIC: value, "test.error_q": 100 - value}, [], {"clustering": 1}, None, about, {}, 1.0
    )


def judged(row, data: str, variant: str = "", profile="paper", mean=81.0) -> verdicts.Verdict:
    """The verdict of a row whose three seeds gave 80, 81 and 82 where ``mean`` was reported, within 1."""
    records = [record(seed, 80.0 + seed, data, variant, profile) for seed in (0, 1, 2)]
    reported = Reported("ACC", METRIC, mean=mean, sd=2.0, tolerance=1.0)
    return verdicts._verdict(EXPERIMENT, row, reported, profile, records)


@pytest.mark.parametrize(
    ("profile", "data", "verdict", "fidelity", "stand_in"),
    [
        ("paper", "mnist", "reproduced", "exact", None),
        ("quick", "mnist", "smaller run", "exact", None),
        ("demo", "digits", "smaller run", "surrogate", "digits"),
        ("paper", "digits", "surrogate data", "surrogate", "digits"),
        ("paper", "/home/me/own.npz", "surrogate data", "surrogate", "/home/me/own.npz"),
    ],
)
def test_only_the_papers_settings_on_its_data_are_judged(profile, data, verdict, fidelity, stand_in):
    """Whatever was measured is shown; here it is what was reported."""
    one = judged(ROW, data, profile=profile)
    assert (one.verdict, one.fidelity, one.stand_in) == (verdict, fidelity, stand_in)
    assert (one.measured_mean, one.n_seeds) == (81.0, 3)
    assert judged(ROW, data, mean=30.0).verdict in ("not reproduced", "surrogate data")


@pytest.mark.parametrize(
    ("profile", "data", "verdict"),
    [("paper", "mnist", "not reproduced"), ("quick", "mnist", "smaller run"), ("paper", "digits", "surrogate data")],
)
def test_a_row_with_a_diverged_seed_has_no_mean_and_is_not_reproduced(profile, data, verdict):
    whole = [record(seed, 80.0 + seed, data, profile=profile) for seed in (0, 1)]
    diverged = replace(record(2, 0.0, data, profile=profile), metrics={"test.error_q": 9.0}, failed_at_step=7)
    reported = Reported("ACC", METRIC, mean=80.5, sd=2.0, tolerance=1.0)
    one = verdicts._verdict(EXPERIMENT, ROW, reported, profile, [*whole, diverged])
    assert (one.verdict, one.lost, one.n_seeds) == (verdict, "seed 2 diverged", 3)
    assert one.measured_mean is None and one.seeds == (80.0, 81.0)

    lacking = replace(diverged, failed_at_step=None)
    with pytest.raises(verdicts.LackingMetric, match="not measured"):
        verdicts._verdict(EXPERIMENT, ROW, reported, profile, [*whole, lacking])


@pytest.mark.parametrize(
    ("dataset", "data", "variant", "verdict", "fidelity", "stand_in"),
    [
        ("svhn", "svhn", "", "reproduced", "exact", None),
        ("svhn", "svhn_10k", "", "subset of the data", "subset", "svhn_10k"),
        ("svhn", "house_numbers", "", "surrogate data", "surrogate", "house_numbers"),
        ("mnist", "svhn_10k", "", "surrogate data", "surrogate", "svhn_10k"),  # a subset, but not of MNIST
        ("reuters10k", "rcv1_10k", "", "surrogate data", "surrogate", "rcv1_10k"),
        ("omniglot", "omniglot", "chardata.mat", "reproduced", "exact", None),
        ("omniglot", "omniglot", "rebuilt", "reproduced", "rebuilt", "omniglot (rebuilt)"),
        ("omniglot", "omniglot", "bicubic", "surrogate data", "surrogate", "omniglot (bicubic)"),
    ],
)
def test_how_near_the_data_is_to_the_papers_decides_what_is_compared(
    dataset, data, variant, verdict, fidelity, stand_in
):
    row = replace(ROW, dataset=dataset)
    one = judged(row, data, variant)
    assert (one.verdict, one.fidelity, one.stand_in) == (verdict, fidelity, stand_in)
    assert one.remark == ("rebuilt data" if variant == "rebuilt" else "")
    other = judged(row, data, variant, mean=30.0)
    assert other.verdict == ("not reproduced" if verdict == "reproduced" else verdict)
    assert other.remark == one.remark
    assert judged(row, data, variant, profile="quick").remark == ""  # nothing was compared


def test_the_most_faithful_profile_without_a_missing_seed_is_shown(tmp_path, monkeypatch):
    store = Store(tmp_path)
    monkeypatch.setattr(verdicts, "published", lambda: store)
    assert verdicts.published_records(ROW) == (None, [])
    paper, quick = ROW.seeds("paper"), ROW.seeds("quick")
    for seed in paper[1:]:
        store.write(record(seed, 1.0), {})
    assert verdicts.published_records(ROW) == (None, [])
    assert [r.seed for r in verdicts.published_records(ROW, "paper")[1]] == paper[1:]  # asked for by name
    for seed in quick:
        store.write(record(seed, 2.0, profile="quick"), {})
    assert verdicts.published_records(ROW)[0] == "quick"
    store.write(record(paper[0], 1.0), {})
    profile, found = verdicts.published_records(ROW)
    assert (profile, [r.seed for r in found]) == ("paper", paper)


def test_a_row_at_long_is_shown_with_others_when_all_have_it(tmp_path, monkeypatch):
    """What was trained longer than the rows beside it would be taken for the better model."""
    store = Store(tmp_path)
    monkeypatch.setattr(verdicts, "published", lambda: store)
    rows = declaration.load("cagem-table1").runnable

    def write(of, profile):
        for seed in of.seeds(profile):
            store.write(replace(record(seed, 0.0), config=asdict(of.config(profile))), {})

    def shown():
        return {one.config["training"]["epochs"] for row in rows for one in records("cagem-table1", row.name)}

    for row in rows:
        write(row, "quick")
    for row in rows[:-1]:
        write(row, "long")
    assert verdicts.published_records(rows[0])[0] == "long"
    assert shown() == {row.config("quick").training["epochs"] for row in rows}
    write(rows[-1], "long")
    assert shown() == {row.config("long").training["epochs"] for row in rows}


def test_a_difference_in_a_table_is_the_first_over_the_second():
    better, worse = ([SimpleNamespace(metrics={"m": v}) for v in part] for part in ([70.0, 75, 83], [60.0, 62, 61]))
    low, high = stats.ttest_ind([70, 75, 83], [60, 62, 61], equal_var=False).confidence_interval()
    assert difference(better, worse, "m") == f"15.00 [{low:.2f}, {high:.2f}]".replace("-", "\N{MINUS SIGN}")
    assert difference(worse, better, "m").startswith("\N{MINUS SIGN}15.00 [\N{MINUS SIGN}")


def test_a_table_of_seeds_marks_failures_and_says_which_epoch_was_best():
    curve = [{"epoch": e, "acc_hungarian": a} for e, a in ((1, 40.0), (2, 70.0), (3, 60.0))]
    runs = [replace(record(0, 50.0), curve=curve, failed_at_step=0), replace(record(1, 60.0), curve=curve)]
    table = every_seed(runs, [METRIC, "test.error_q"])
    assert table["Seed"].tolist() == ["0 (failed)", "1", *(f"<b>{s}</b>" for s in ("mean", "sd", "median", "best"))]
    assert table["best epoch, validation"].tolist()[:2] == ["70.00 (epoch 2)"] * 2
    assert table["ACC (Hungarian), test"].tolist() == ["50.00", "60.00", "55.00", "7.07", "55.00", "60.00"]
    assert table["error of q(y|x), test"].tolist()[-1] == "40.00"
