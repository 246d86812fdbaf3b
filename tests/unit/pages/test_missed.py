"""Missed numbers: the rule on curves whose truth is known, and that the declared causes fit what is published."""

import re
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from genclust.experiments import declaration
from genclust.experiments.store import published
from genclust.experiments.verdicts import number, published_records, verdicts
from genclust.pages.missed import RISING, TO_THE_END, UNTOLD, Missed, error, outlook, predicted, steps_at
from genclust.pages.missed import missed as all_missed
from genclust.pages.tails import Curve, Trial, trials

judging = import_module("genclust.experiments.verdicts")  # the package has a function of that name
EPOCHS = np.arange(1, 41.0)
TABLE = declaration.load("cagem-table1")
MNIST = declaration.load("simple-table1").row("proposed-mnist")


def one_trial(data="digits", steps=400.0, off=0.5, **changes):
    """A trial that expects 2 nats more and is wrong by ``off``, after a doubling that brought 4."""
    about = {
        **{"configuration": "a", "data": data, "quantity": "bound", "steps": steps, "rising": True, "before": 4.0},
        **{"expected": {"power law": 2.0, "exponential": 1.0}, "measured": 2.0 + off, "moved": 2.0 + off},
    }
    return Trial(**about | changes)


def missed(row, profile, curve):
    """A row whose runs are at a profile, and have this learning curve."""
    verdict = replace(judging._verdict(TABLE, row, row.reported[0], None, []), measured_mean=-86.0)
    config = row.config(profile)
    record = SimpleNamespace(data={"sizes": {"train": 59_400}}, run_config=config)
    one = Missed("cagem", row, (verdict,), profile, (record,))
    one.__dict__["curve"] = curve
    return one


def curve(values, quantity="bound", rest=None, epochs=EPOCHS):
    return Curve(quantity, epochs, np.atleast_2d(values), rest or {}, 10.0)


def rising(gain):
    """A power law that gains so much from epoch 20 to 40, and half as much from there to 80."""
    return -90 - 40 * gain / EPOCHS


# ---- the error of a prediction


def test_the_error_counts_every_data_set_once():
    """Ten small errors of one data set do not outvote one of another: in order 0.1 (half), 0.5 (the other half)."""
    many = [one_trial(off=0.4, data="digits") for _ in range(10)]
    assert error([*many, one_trial(off=2.0, data="mnist")], "bound", 400) == pytest.approx(0.5)
    assert error([*many, one_trial(off=2.0, data="digits")], "bound", 400) == pytest.approx(0.1)
    assert error([*many, one_trial(off=2.0, data="mnist")], "bound", 400, "exponential") == pytest.approx(0.75)
    assert error([*many, one_trial(off=2.0, data="mnist")], "bound", 400, None) == pytest.approx(1.0)


def test_arcs_of_two_sizes_are_one_data_set():
    some = [one_trial(off=o, data=d) for o, d in ((0.4, "arcs"), (1.2, "arcs_5000"), (2.0, "mnist"))]
    assert error(some, "bound", 400) == pytest.approx(0.5)
    assert error([*some[:2], one_trial(off=0.8, data="mnist")], "bound", 400) == pytest.approx(0.2)


def test_only_trials_of_like_length_and_quantity_count():
    three = [one_trial(off=o) for o in (0.4, 0.8, 1.2)]
    assert error(three, "bound", 400) == pytest.approx(0.2)
    for other in ({"quantity": "accuracy"}, {"steps": 99.0}, {"steps": 1601.0}, {"rising": False}, {"before": 0.0}):
        assert error([*three, one_trial(off=9.0, **other)], "bound", 400) == pytest.approx(0.2)
        assert error([*three[1:], one_trial(off=9.0, **other)], "bound", 400) is None
    assert error(three, "accuracy", 400) is None


GOOD = [one_trial(off=0.4)] * 3
POOR = [one_trial(off=4.0, measured=0.5)] * 3


def test_a_number_is_predicted_only_where_the_fit_has_shown_its_worth():
    again, off = predicted(curve(rising(8)), GOOD)
    assert again == pytest.approx(4, abs=0.05) and off == pytest.approx(0.1 * 8, abs=0.05)
    assert "no nearer" in predicted(curve(rising(8)), POOR)
    assert "too few" in predicted(curve(rising(8)), GOOD[:2])
    assert "levelling off" in predicted(curve(np.log(EPOCHS)), GOOD)


# ---- what training says

K10 = TABLE.row("cagem-0-k10")


@pytest.mark.parametrize(
    ("profile", "of", "known", "kind", "short", "says"),
    [
        (
            "paper",
            rising(8),
            GOOD,
            RISING,
            False,
            r"\+8\.0 nats .*, and \+4\.0 ± 0\.8 expected of as many again, to about −82\.0",
        ),
        ("paper", rising(8), POOR, RISING, False, "where predictions came no nearer"),
        ("paper", np.log(EPOCHS) * 20, GOOD, RISING, False, "not levelling off yet"),
        ("paper", rising(0.9), GOOD, TO_THE_END, False, r"\+0\.9 nats"),
        ("paper", rising(0.9), POOR, TO_THE_END, False, r"\+0\.9 nats"),
        ("paper", np.cos(EPOCHS / 3) * 9, GOOD, UNTOLD, False, "up and down"),
        ("quick", rising(8), GOOD, RISING, True, "Too short: 4,650 of 466,000 steps. Still rising"),
        ("long", rising(0.9), GOOD, UNTOLD, True, "Too short: 18,600 of 466,000 steps. .*flat so far"),
    ],
)
def test_the_rule(profile, of, known, kind, short, says):
    """The tolerance is 1 nat."""
    told = outlook(missed(K10, profile, curve(of)), known)
    assert (told.kind, told.short) == (kind, short)
    assert re.search(says, told.text)
    assert told.text.startswith("Too short") is short


def test_what_is_predicted_counts_for_trained_out_as_well():
    """0.9 nats in the last doubling are within the tolerance; 0.45 ± 0.9 to come are not."""
    poor = [one_trial(off=4.0, measured=6.0)] * 3
    assert outlook(missed(K10, "paper", curve(rising(0.9))), poor).kind == RISING


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (None, "no curve of this number"),
        (curve(rising(8)[:5], epochs=EPOCHS[:5]), "4 points, and a fit takes 6"),
        (curve(rising(8), rest={"learning_rate": 40.0}), "the learning rate changes to the end"),
        (
            curve(rising(8), rest={"warm_up": 36.0, "temperature": 40.0}),
            "the warm-up and the temperature change to the end",
        ),
    ],
)
def test_what_cannot_be_told_is_said_in_words(found, says):
    told = outlook(missed(K10, "paper", found), GOOD)
    assert told.kind == UNTOLD and re.search(says, told.text)
    assert not re.search(r"[+−±]\d", told.text)  # no number is made of it


def test_seeds_that_cancel_out_are_not_flat():
    values = [60 + EPOCHS / 2, 100 - EPOCHS / 2]
    told = outlook(missed(MNIST, "paper", curve(values, "accuracy")), GOOD)
    assert told.kind == UNTOLD and "up to 10.0" in told.text


def test_a_curve_goes_with_its_kind_of_number():
    quantities = {
        ("cagem-table1", "cagem-100"): "bound",
        ("simple-table1", "proposed-mnist"): "accuracy",
        ("gmvae-figure2", "eta1-alpha2"): "accuracy",
        ("simple-table2", "latent-mean"): None,
        ("vlac-factors", "vlac"): None,
    }
    for (experiment, name), quantity in quantities.items():
        row = declaration.load(experiment).row(name)
        assert missed(row, "paper", None).quantity == quantity


# ---- what is declared and published


@pytest.fixture(scope="module")
def found():
    return all_missed()


def test_every_missed_number_has_causes_and_none_are_left_over():
    """A row that is not reproduced, wholly or partly, has causes that were written for the runs that are published."""
    for experiment in map(declaration.load, declaration.names()):
        for row in experiment.rows.values():
            kinds = {one.verdict for one in VERDICTS if one.row == f"{experiment.name}/{row.name}" and one.own}
            if kinds & {"partly", "not reproduced"}:
                assert row.gap, f"{experiment.name}/{row.name} is missed; declare a gap beside it"
            if row.gap:
                assert kinds and kinds != {"reproduced"}, f"the gap of {experiment.name}/{row.name} is left over"
                profile, _ = published_records(row)
                assert row.gap.profile == profile, f"the gap of {experiment.name}/{row.name} is of other runs"


VERDICTS = verdicts()


def test_the_rows_are_those_that_were_measured_and_not_reproduced(found):
    wanted = [one for one in VERDICTS if one.own and one.n_seeds and one.verdict != "reproduced"]
    assert sorted(one.row for one in wanted) == sorted(verdict.row for one in found for verdict in one.verdicts)
    assert all(one.row.place == verdict.row for one in found for verdict in one.verdicts)


GAPS = {
    f"{name}/{row.name}": row.gap
    for name in declaration.names()
    for row in declaration.load(name).rows.values()
    if row.gap
}


@pytest.mark.parametrize("place", GAPS)
def test_results_in_causes_come_from_records(place):
    gap = GAPS[place]
    texts = [text for cause in gap.causes for text in (cause.cause, cause.support)] + [gap.experiment]
    for text in texts:
        for key in re.findall(r"\{measured\}`([^`]+)`", text):
            assert number(key)
        typed = re.sub(r"\{measured\}`[^`]+`|`genclust [^`]+`|σ = 0\.3", "", text)
        assert not re.search(r"\d[.,]\d|\d ?%", typed.replace("10,000", "").replace("5,000", "")), typed
        assert len(text.split()) < 60 and text.endswith(".")


def test_a_row_without_the_papers_size_is_left_out(found, monkeypatch):
    """As a row that a reader declares and publishes at ``quick`` alone."""
    row_of, own = declaration.row_of, found[0].row.place

    def as_declared(place: str):
        row = row_of(place)
        return replace(row, profiles={"quick": {}}) if place == own else row

    monkeypatch.setattr(declaration, "row_of", as_declared)
    assert [one.row.place for one in all_missed()] == [one.row.place for one in found[1:]]


def test_a_gap_of_other_runs_is_not_shown():
    one = missed(K10, "paper", None)
    assert K10.gap.profile == "long" and one.gap is None
    assert missed(K10, "long", None).gap is K10.gap


def test_the_run_at_the_papers_size(found):
    by_place = {one.row.place: one for one in found}
    crops = by_place["vlac-table1/vlac-one-crops"]
    assert crops.target.name == "vlac-one" and steps_at(crops.at_papers_size) == 71_800
    torch7 = by_place["simple-table1/proposed-mnist"]
    assert torch7.at_papers_size.model["init"] == "torch7" and not torch7.is_at_papers_size
    assert torch7.steps == steps_at(torch7.target.config("paper")) == 300 * 160
    assert by_place["simple-table2/latent-mean"].is_at_papers_size
    assert not by_place["cagem-table1/cagem-0-k10"].is_at_papers_size


@pytest.mark.slow
def test_statements_about_published_rows_follow_from_their_curves(found):
    known = trials(published().every())
    for one in found:
        told, config = outlook(one, known), one.records[0].config
        assert told.short == (one.profile != "paper") == told.text.startswith("Too short")
        assert told.short == (one.steps < steps_at(one.target.config("paper")))
        if one.curve is None:
            assert told.kind == UNTOLD
            continue
        ends = [point["epoch"] for point in one.records[0].curve][-1]
        assert one.curve.length == ends == config["training"]["epochs"]
        if told.kind == TO_THE_END:
            tolerance = one.number.tolerance or 1.0
            assert np.abs(one.curve.gained).mean() <= tolerance and not told.short
        if "expected" in told.text:
            assert error(known, one.quantity, one.curve.steps) < error(known, one.quantity, one.curve.steps, None)


@pytest.mark.slow
def test_what_the_page_says_of_fits_holds():
    """Of the bound predictions are worth something after some thousand steps, and the power law comes nearest."""
    known = trials(published().every())
    for steps in (8_000, 32_000):
        power, exponential, unchanged = (error(known, "bound", steps, s) for s in ("power law", "exponential", None))
        assert power < 0.5 * unchanged and power < exponential
    assert error(known, "bound", 500) > 0.75
    assert error(known, "accuracy", 2_000) > 0.9 * error(known, "accuracy", 2_000, None)
