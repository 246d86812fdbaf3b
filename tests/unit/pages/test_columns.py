"""Tables put together from columns, on records of a few numbers: every cell is worked out by hand."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from genclust.experiments import Asked, Record, Runs, having_runs, load, published_records, published_rows
from genclust.experiments.execution import Task
from genclust.experiments.store import Store
from genclust.pages import columns, comparisons, likelihoods
from genclust.pages.learning_curves import learning_curves, until
from genclust.pages.tables import UNLABELLED, context, every_seed, sample_counts

LL = "test.log_likelihood"


def record(seed: int = 0, curve: Any = (), arrays: Any = None, seconds: float = 60.0, **metrics: float) -> Record:
    """A record with metrics of the test split, and arrays without a file."""
    named = {f"test.{name}" if "." not in name else name: value for name, value in metrics.items()}
    config = {"data": {}, "model": {}, "training": {"epochs": 2}}
    data = {"name": "coloured_digits", "sizes": {"train": 100}}
    found = Record(config, seed, named, list(curve), {}, None, data, {}, seconds)
    if arrays is not None:
        object.__setattr__(found, "arrays", lambda: arrays)
    return found


def runs_of(*found: Record, experiment: str = "cagem-table1", row: str = "cagem-100", **changes: Any) -> Runs:
    return Runs(replace(load(experiment).row(row), **changes), found)


def test_a_table_has_a_line_for_each_row_and_a_column_for_each_heading() -> None:
    found = {"a": runs_of(record(log_likelihood=-90.0), record(log_likelihood=-92.0)), "b": runs_of(label="other (x)")}
    shown = columns.table(
        found,
        {
            "": columns.short,
            "LL": columns.mean_sd(LL),
            "mean": columns.mean(LL, 1),
            "median": columns.median(LL),
            "each": columns.each_seed(LL, 1, in_order=True),
            "high": columns.how_many(LL, -91),
            "paper": columns.paper,
            "n": columns.count,
        },
    )
    assert shown.columns.tolist() == ["", "LL", "mean", "median", "each", "high", "paper", "n"]
    first, second = shown.to_numpy().tolist()
    reported = f"−{abs(load('cagem-table1').row('cagem-100').reported[0].mean):.2f}"
    label = load("cagem-table1").row("cagem-100").label.split(" (")[0]
    assert first == [label, "−91.00 ± 1.41", "−91.0", "−91.0", "-92.0, -90.0", "1 of 2", reported, 2]
    assert second == ["other", "–", "–", "–", "not run", "0 of 0", reported, "not run"]


def test_scores_have_their_usual_headings_and_are_left_out_where_another_metric_was_measured() -> None:
    chosen = columns.scores("acc_hungarian", "clusters_used", unless="test.error_q")
    assert list(chosen)[:2] == ["ACC (Hungarian)", "clusters used"]
    assert chosen["clusters used"](runs_of(record(clusters_used=4.0))) == "4.0"
    assert chosen["mean confidence (%)"](runs_of(record(acc_hungarian=50.0))) == "–", "instead of scores"
    assert chosen["ACC (Hungarian)"](runs_of(record(acc_hungarian=50.0))) == "50.0"
    assert chosen["ACC (Hungarian)"](runs_of(record(acc_hungarian=50.0, error_q=3.0))) == "–"


def test_a_row_lies_above_its_base_by_the_difference_of_means_and_the_base_gets_a_dash() -> None:
    """Both variances are 2, so Welch's interval has two degrees of freedom: 10 ± 4.303 · √2."""
    base = runs_of(record(elbo=1.0), record(elbo=3.0))
    higher = runs_of(record(elbo=11.0), record(elbo=13.0))
    column = columns.above(lambda runs: base, "test.elbo")
    assert column(higher) == columns.above(base, "test.elbo")(higher) == "10.00 [3.92, 16.08]"
    assert column(base) == "–" == column(runs_of())


def test_what_a_curve_ends_in_is_the_mean_over_seeds() -> None:
    runs = runs_of(
        record(seconds=60, curve=[{"epoch": 1, "kl_z1": 9.0}, {"epoch": 2, "kl_z1": 1.0, "kl_z2": 0.0, "loss": -3.0}]),
        record(seconds=120, curve=[{"epoch": 2, "kl_z1": 2.0, "kl_z2": 0.5, "loss": -4.0}]),
    )
    assert columns.at_end("kl_z1")(runs) == "1.50" and columns.at_end("loss", 1)(runs) == "−3.5"
    assert columns.at_end("kl_y", or_else="kl_z2")(runs) == "0.25" and columns.at_end("kl_y")(runs) == "–"
    assert columns.each_at_end("kl_z1")(runs) == "1.0, 2.0"
    assert columns.each_divergence()(runs) == "1.5, 0.2"
    assert columns.each_divergence("kl_z2", named=True)(runs) == "z2: 0.2"
    assert columns.each_divergence("loss", named=True)(runs) == "loss: −3.5"
    assert columns.divergences([runs]) == ["kl_z1", "kl_z2"]
    assert columns.minutes()(runs) == "1.5" and columns.dataset(runs) == "coloured digits"


def test_layers_and_samples_are_told_from_their_metrics() -> None:
    runs = runs_of(
        record(active_z1=10.0, active_z2=3.0, log_likelihood_samples=5000.0), record(active_z1=20.0, active_z2=3.0)
    )
    assert columns.active_units(runs) == "z1: 15, z2: 3" and columns.samples(runs) == "5,000"
    assert sample_counts([runs, runs_of(record(log_likelihood_samples=100.0))]) == "100, 5,000"
    said = context(runs, samples=True)
    assert said == "coloured digits; epochs: 2; seeds: 2; samples of the log-likelihood: 5,000"
    assert context(runs_of(record()), samples=True) == "coloured digits; epochs: 2; seeds: 1"


def test_the_milliseconds_of_a_step_are_those_of_all_its_steps() -> None:
    runs = published_records(load("simple-table1").row("proposed-mnist"), "demo")[1][:1]
    run = runs[0]
    steps = run.config["training"]["epochs"] * -(-run.data["sizes"]["train"] // run.config["training"]["batch_size"])
    assert columns.step_ms(runs_of(*runs)) == f"{1000 * run.seconds / steps:.0f}"


# ---- learning curves


def test_learning_curves_are_of_the_epochs_that_all_records_have() -> None:
    def curve(**by_epoch: float) -> list[dict[str, float]]:
        return [{"epoch": int(name[1:]), "acc": value} for name, value in by_epoch.items()]

    found = {
        "long": runs_of(record(curve=curve(e1=1, e2=2, e4=4)), record(curve=curve(e1=3, e2=4, e4=5))),
        "short": runs_of(record(curve=curve(e2=7, e1=6))),
        "other": runs_of(record(curve=[{"epoch": 9, "loss": 0.0}])),
        "none": runs_of(),
    }
    curves, epochs = learning_curves(found, "acc")
    assert epochs.tolist() == [1, 2]
    assert {name: values.tolist() for name, values in curves.items()} == {"long": [[1, 2], [3, 4]], "short": [[6, 7]]}
    assert learning_curves({}, "acc")[0] == {}
    cut = until({"long": found["long"]}, 2)["long"]
    assert columns.at_end("acc")(cut) == "3.00" and columns.at_end("acc")(found["long"]) == "4.50"


# ---- what a notebook asks for


def test_a_notebook_asks_once_for_all_its_rows() -> None:
    asked = Asked("demo")
    found = asked.rows("cagem-table2", "cagem-500, rbm")
    assert list(found) == ["cagem-500"], "what the paper quotes is of other data"
    assert found["rbm"] == [] and found["rbm"].row.quoted
    published = Asked().rows("cagem-table2", "cagem-500, rbm")
    assert list(published) == ["cagem-500", "rbm"] and published["rbm"].row.reported[0].mean is not None
    assert found["cagem-500"] == published_records(load("cagem-table2").row("cagem-500"), "demo")[1]
    assert list(having_runs(found)) == ["cagem-500"]
    named = asked.places({"ours": "cagem-table2/cagem-500"})["ours"]
    assert named.row.label == "ours" and named == found["cagem-500"]
    assert Asked("quick").at("demo") == asked
    assert list(published_rows("simple-table1", "demo")) == [
        name for name, row in load("simple-table1").rows.items() if published_records(row, "demo")[1]
    ]


def test_settings_for_one_model_reach_its_rows_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def fake(task: Task, store: Store, *, device: str, **_: Any) -> list[Record]:
        seen[task.config.model["name"]] = task
        assert device == "cuda"
        return []

    monkeypatch.setattr("genclust.experiments.access.run", fake)
    only_for = {"cagem": {"model": {"alpha": 0.5}, "data": {"n_labels": 10}}}
    asked = Asked("demo", "0-1", "cuda", data={"name": "digits"}, training={"epochs": 1}, only_for=only_for)
    asked.rows("cagem-table2", "cagem-500,vae-k50,rbm")
    assert {task.config.training["epochs"] for task in seen.values()} == {1}
    assert {tuple(task.seeds) for task in seen.values()} == {(0, 1)}
    assert "n_labels" not in seen["iwae"].config.data
    assert seen["cagem"].config.data["n_labels"] == 10 and seen["cagem"].config.model["alpha"] == 0.5


# ---- comparisons


def test_differences_stand_beside_what_the_paper_gives_and_what_is_expected() -> None:
    table = load("cagem-table1")
    found = {}
    for name, value in (("cagem-100", -90.0), ("cagem-50", -91.0), ("cagem-k1", -95.0)):
        runs = [record(log_likelihood=value), record(log_likelihood=value + 2)]
        config = asdict(table.row(name).config("paper"))
        found[name] = Runs(table.row(name), [replace(run, config=config) for run in runs])
    pairs = [("100 above 50", "cagem-100", "cagem-50", 0.3), ("above one", "cagem-100", "cagem-k1", None)]
    lines = comparisons.differences(found, pairs, LL, paper="poster").to_numpy().tolist()
    stated = table.row("cagem-100").reported[0].mean - table.row("cagem-50").reported[0].mean
    assert lines[0][:3] == ["100 above 50", f"{stated:.2f}".replace("-", "−"), "more than 0.3"]
    assert lines[0][3].startswith("1.00 [−5.08, 7.08]")
    assert lines[1][1:3] == ["–", "–"] and lines[1][3].startswith("5.00 ")  # one cluster is not on the poster
    changed = {
        name: Runs(runs.row, [replace(run, config=record().config) for run in runs]) for name, runs in found.items()
    }
    pairs.append(("above a row that was left out", "cagem-100", "cagem-20", 1.0))
    shown = comparisons.differences(changed, pairs, LL)
    assert "target" not in shown and shown[""].tolist() == ["100 above 50", "above one"]


def test_selection_keeps_the_best_by_validation() -> None:
    def run(validation: float, test: float) -> Record:
        return record(**{"validation.acc_hungarian": validation, "test.acc_hungarian": test})

    found = {"": runs_of(run(1, 50), run(3, 80), run(2, 20), experiment="simple-table1", row="proposed-mnist")}
    (line,) = comparisons.selection(found).to_dict("records")
    assert [line[f"best {k}"] for k in (1, 2, 3)] == ["80.0", "50.0", "50.0"]
    assert line["paper"] == f"{load('simple-table1').row('proposed-mnist').reported[0].mean:.2f}"
    ties = {"": runs_of(run(3, 80), run(2, 20), run(3, 40), experiment="simple-table1", row="proposed-mnist")}
    (line,) = comparisons.selection(ties).to_dict("records")
    assert [line[f"best {k}"] for k in (1, 2, 3)] == ["60.0", "60.0", "46.7"]


def test_every_reported_number_stands_beside_its_own_metric() -> None:
    row = load("simple-table2").row("features")
    runs = Runs(row, [record(**{number.metric: 5.0 for number in row.reported})])
    quoted = Runs(load("simple-table2").row("vae"))
    first, second = comparisons.measured_and_reported({"features": runs, "vae": quoted}).to_dict("records")
    for number in row.reported:
        assert first[f"{number.name}, measured"] == "5.00" and second[f"{number.name}, measured"] == "quoted"
        assert first[f"{number.name}, paper"].startswith(f"{number.mean:.2f}")
    assert (first["Seeds"], second["Seeds"]) == (1, "–")


def test_seeds_stand_beside_the_papers_mean_and_spread() -> None:
    row = load("simple-table1").row("proposed-mnist")
    first, second = row.reported
    runs = Runs(
        row, [record(**{first.metric: 1.0, second.metric: 2.0}), record(**{first.metric: 3.0, second.metric: 4.0})]
    )
    seen, stated = comparisons.seeds_and_paper({"MNIST": runs, "not run": Runs(row)})
    assert seen == {f"MNIST\n{first.name}": [1, 3], f"MNIST\n{second.name}": [2, 4]}
    assert stated[f"MNIST\n{first.name}"] == (first.mean, first.sd)
    seen, stated = comparisons.seeds_and_paper({"MNIST": runs}, second.metric)
    assert seen == {"MNIST": [2, 4]} and stated == {"MNIST": (first.mean, first.sd)}


def test_tries_are_shown_by_validation_scores() -> None:
    run = record(**{"validation.acc_hungarian": 50.0, "validation.nmi_geometric": 40.0})
    rows = [row for row in load("simple-tries").rows.values() if row.dataset == "usps"]
    found = {row.name: Runs(row, [run] if row is rows[0] else []) for row in rows}
    first, second, *_ = comparisons.tries(found).to_numpy().tolist()
    assert first == [rows[0].label, "50.0", "50.0", "40.0", 2]
    assert second == [rows[1].label, "–", "not run", "–", "–"]


# ---- likelihoods


def bounded(drawn: list[float], summed: list[float] | None = None, samples: tuple[int, ...] = (1, 50)) -> Record:
    arrays = {"bound_samples": np.array(samples), "bound": np.array(drawn)}
    return record(arrays=arrays | ({} if summed is None else {"bound_enumerated": np.array(summed)}))


def test_bounds_are_averaged_over_seeds_at_the_samples_that_were_taken() -> None:
    found = {
        "CaGeM": runs_of(bounded([-95.0, -90.0], [-93.0]), bounded([-97.0, -92.0], [-94.0])),
        "VAE": runs_of(bounded([-99.0], samples=(1,))),
        "none": runs_of(),
    }
    bounds = likelihoods.importance_bounds(found)
    assert list(bounds) == ["CaGeM", "VAE"] and bounds["VAE"].summed is None
    assert bounds["CaGeM"].drawn.tolist() == [[-95, -90], [-97, -92]]
    assert likelihoods.bound_table(bounds, (1, 50, 500)).to_dict("records") == [
        {"Model": "CaGeM", "S = 1": "−96.00", "S = 50": "−91.00"},
        {"Model": "VAE", "S = 1": "−99.00", "S = 50": "–"},
    ]
    assert likelihoods.drawn_or_summed(bounds, (1, 50)).to_dict("records") == [
        {"Model": "CaGeM", "S": 1, "y drawn": "−96.00", "y summed out": "−93.50", "difference": "2.50"}
    ]


def test_fewer_classes_are_compared_with_all_of_the_same_model() -> None:
    table = load("cagem-table1-sums")
    found = {
        name: Runs(
            table.row(name), [record(log_likelihood=value, elbo=-99.0), record(log_likelihood=value, elbo=-97.0)]
        )
        for name, value in (("cagem-all", -90.0), ("cagem-1", -91.5), ("adgm-all", -80.0), ("adgm-1", -80.0))
    }
    for runs in found.values():  # the first of the two seeds lies half a nat higher
        runs[0] = record(log_likelihood=runs[1].metric(LL) + 0.5, elbo=-99.0)
    shown = likelihoods.sums_over_classes(found)
    assert shown["more than all"].tolist()[::2] == ["–", "–"]
    assert [cell.split(" [")[0] for cell in shown["more than all"][1::2]] == ["−1.50", "0.00"]
    assert shown["one-sample bound"][0] == "−98.00 ± 1.41" and shown["seeds"].tolist() == [2, 2, 2, 2]


def test_objectives_with_labels_are_compared_with_the_model_without() -> None:
    row = load("cagem-labels").row("ce-q-0.1")
    unlabelled = [record(log_likelihood=-92.0), record(log_likelihood=-90.0)]
    runs = Runs(row, [record(log_likelihood=-90.0, error_q=4.0), record(log_likelihood=-88.0, error_q=6.0)])
    (line,) = likelihoods.label_objectives({"ce-q-0.1": runs}, unlabelled).to_dict("records")
    assert line["Added to the loss"] + ", " == row.label[: len(line["Added to the loss"]) + 2] and line["α"] == "0.1"
    assert line["above CaGeM-0"] == "2.00 [−4.08, 8.08]"
    assert line["error of q (%)"] == "5.0 ± 1.4" and "error of p (%)" not in line


def diverged(seed: int, **metrics: float) -> Record:
    return replace(record(seed, curve=[{"epoch": 2, "kl_z": 1.0}], **metrics), failed_at_step=7)


@pytest.mark.parametrize("first", [True, False])
def test_a_row_with_a_diverged_seed_has_no_mean_of_the_others(first: bool) -> None:
    """Without the diverged seed the mean would be -80; whichever seed comes first, the cells say why there is none."""
    good = [
        record(seed, curve=[{"epoch": 2, "kl_z": 3.0, "reconstruction": 70.0}], log_likelihood=-80) for seed in (1, 2)
    ]
    runs = runs_of(*([diverged(0), *good] if first else [*good, diverged(0)]))
    whole = runs_of(*good)
    assert columns.mean_sd(LL)(whole) == "−80.00 ± 0.00" and columns.mean(LL)(whole) == "−80.00"
    assert columns.mean_sd(LL)(runs) == columns.mean(LL)(runs) == "seed 0 diverged"
    assert columns.above(whole, LL)(runs) == columns.above(runs, LL)(whole) == "seed 0 diverged"
    assert columns.median(LL)(runs) == "–"
    assert sorted(columns.each_seed(LL)(runs).split(", ")) == ["-80", "-80", "–"]
    assert columns.at_end("kl_z")(runs) == "2.33" and columns.at_end("reconstruction")(runs) == "–"
    seen, _ = comparisons.seeds_and_paper({"a": runs}, LL)
    assert sorted(map(str, seen["a"])) == ["-80", "-80", "nan"]
    shown = every_seed(runs, [LL])
    assert sorted(shown.iloc[:3, 1]) == ["-80.00", "-80.00", "–"] and set(shown.iloc[3:, 1]) == {"–"}


def test_no_bound_is_averaged_over_the_seeds_that_did_not_diverge() -> None:
    evaluated = {"clustering": 1}
    config = {"data": {}, "model": {"name": "gumbel"}, "training": {"epochs": 2}}
    good = replace(record(1, [{"epoch": 2, "kl_z": 3.0, "reconstruction": 70.0}]), config=config, evaluations=evaluated)
    lost = replace(good, seed=0, failed_at_step=7)
    assert good.lacks_labels and UNLABELLED["held-out bound (nats)"]([good, good]) == "−73.00"
    assert UNLABELLED["held-out bound (nats)"]([good, lost]) == "–"
