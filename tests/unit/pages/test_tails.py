"""Tails of learning curves: fits whose truth is known, what is refused, and trials that see nothing beforehand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import curve_fit

from genclust.experiments.store import Record, Store
from genclust.experiments.training_run import curve_epochs
from genclust.pages import tails
from genclust.pages.tails import SHAPES, Curve, fit, trial, trials

EPOCHS = np.array(curve_epochs(40, ()), dtype=float)
LATE = EPOCHS[EPOCHS >= 10]
CONFIG = {
    "data": {"name": "digits", "validation_fraction": 0.0, "test_fraction": 0.0, "split_seed": 0},
    "model": {"name": "gumbel", "n_clusters": 4},
    "training": {
        "epochs": 40,
        "batch_size": 100,
        "learning_rate": {"shape": "constant", "start": 1, "end": 1, "epochs": 0},
    },
}


def power_law(epochs, limit=-80.0, amplitude=30.0, exponent=0.7):
    return limit - amplitude * np.asarray(epochs, dtype=float) ** -exponent


def exponential(epochs, limit=70.0, amplitude=50.0, time=12.0):
    return limit - amplitude * np.exp(-np.asarray(epochs, dtype=float) / time)


TRUTHS = {"power law": power_law, "exponential": exponential}


def curve(values, epochs=EPOCHS, rest=None, quantity="bound"):
    return Curve(quantity, np.asarray(epochs, dtype=float), np.atleast_2d(values), rest or {}, 10.0)


# ---- the fit


@pytest.mark.parametrize("shape", SHAPES)
def test_known_parameters_come_back(shape):
    truth = TRUTHS[shape]
    found = fit(LATE, truth(LATE), shape)
    assert found(LATE) == pytest.approx(truth(LATE), abs=1e-4)
    assert found(80) == pytest.approx(float(truth(80)), abs=0.02)
    assert found.rate == pytest.approx(0.7 if shape == "power law" else 40 / 12, rel=1e-2)
    assert found.end == pytest.approx(float(truth(40)), abs=1e-4)
    step = 1e-4
    assert found.slope == pytest.approx((truth(40 * (1 + step)) - truth(40 * (1 - step))) / (2 * step), rel=1e-2)


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_moves_a_prediction_about_as_far_as_its_size_and_not_to_one_side(shape):
    epochs, truth = np.arange(10, 41.0), TRUTHS[shape]
    noise = 0.05 * np.random.default_rng(0).standard_normal((200, len(epochs)))
    off = np.array([fit(epochs, truth(epochs) + of_one, shape)(80) - truth(80) for of_one in noise])
    assert np.abs(off).mean() < 0.5 and abs(off.mean()) < 3 * off.std() / np.sqrt(len(off)) + 0.05


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("shape", SHAPES)
def test_no_independent_fit_comes_nearer(shape, seed):
    """SciPy's curve_fit over all three parameters at once, from several starts, within the same limits."""
    random = np.random.default_rng(seed)
    values = TRUTHS[shape](LATE) + random.normal(0, 0.3, len(LATE))
    function, (least, most) = SHAPES[shape]

    def law(epoch, end, slope, rate):
        return end + slope * function(epoch / 40, rate)

    residuals = []
    for rate in np.geomspace(1.2 * least, most / 1.2, 6):
        start, limits = [values[-1], 1.0, rate], ([-np.inf, -np.inf, least], [np.inf, np.inf, most])
        best, _ = curve_fit(law, LATE, values, start, bounds=limits, maxfev=20_000)
        residuals.append(((law(LATE, *best) - values) ** 2).sum())
    ours = ((fit(LATE, values, shape)(LATE) - values) ** 2).sum()
    assert ours <= min(residuals) * (1 + 1e-4) + 1e-9


def test_what_cannot_be_fitted_is_refused():
    for epochs, values, message in (
        (LATE[:5], power_law(LATE[:5]), "6 points or more"),
        (LATE, np.ones((2, len(LATE))), "6 points or more"),
        (LATE[::-1], power_law(LATE), "rise from above 0"),
        (LATE - 10, power_law(LATE), "rise from above 0"),
        (LATE, np.where(LATE == 20, np.nan, 1.0), "finite values"),
    ):
        with pytest.raises(ValueError, match=message):
            fit(epochs, values)


def test_a_flat_curve_stays_where_it_is():
    assert fit(LATE, np.full(len(LATE), 3.0))(80) == pytest.approx(3.0)


# ---- curves


def test_what_a_curve_gains_by_hand():
    """10 - 8 / t is 9.6 at 20 and 9.8 at 40, and will be 9.9 at 80."""
    one = curve([power_law(EPOCHS, 10, 8, 1), power_law(EPOCHS, 10, 8, 1) - 5])
    assert one.gained == pytest.approx([0.2, 0.2])
    assert one.again() == pytest.approx([0.1, 0.1], abs=1e-3)
    assert one.is_told and one.is_rising and one.levels_off and one.steps == 400


def test_the_tail_begins_when_all_schedules_are_at_rest():
    still = curve(power_law(EPOCHS))
    assert still.epochs[still.in_tail][0] == 10 and still.shortened_by == []
    later = curve(power_law(EPOCHS), rest={"temperature": 15.0, "warm_up": 3.0})
    assert later.epochs[later.in_tail][0] == 15 and later.is_told and later.shortened_by == ["temperature"]
    assert not curve(power_law(EPOCHS), rest={"learning_rate": 40.0}).is_told


def test_a_tail_outside_of_the_schedules_is_not_fitted():
    """What a schedule did before it came to rest changes no prediction."""
    bent = power_law(EPOCHS) + np.where(EPOCHS < 15, 7.0, 0.0)
    assert curve(bent, rest={"warm_up": 15.0}).again() == pytest.approx(
        curve(power_law(EPOCHS), rest={"warm_up": 15.0}).again()
    )


@pytest.mark.parametrize(
    ("values", "rising", "levelling"),
    [
        (power_law(EPOCHS), True, True),
        (np.log(EPOCHS), True, False),  # no end in sight
        (-np.log(EPOCHS), False, False),
        (np.cos(EPOCHS), False, None),
        (np.full(len(EPOCHS), 2.0), False, None),
    ],
)
def test_rising_and_levelling_off(values, rising, levelling):
    one = curve(values)
    assert one.is_rising is rising
    assert levelling is None or one.levels_off is levelling


# ---- trials


def test_a_prediction_does_not_see_what_it_predicts():
    shown = curve([power_law(EPOCHS), power_law(EPOCHS, -70)])
    hidden = np.where(EPOCHS > 20, 99.0, 0.0)
    one, other = (trial(c, 20, "a", "digits") for c in (shown, replace(shown, values=shown.values + hidden)))
    assert one.expected == other.expected and one.before == other.before and one.steps == 200
    assert other.measured == pytest.approx(one.measured + 99)
    assert one.measured == pytest.approx(float(power_law(40) - power_law(20)))
    assert one.error("power law") < 0.01 < one.error("exponential") < one.error(None)
    assert one.error(None) == pytest.approx(
        one.measured / float(power_law(20) - np.interp(10, EPOCHS, power_law(EPOCHS)))
    )


def test_trials_need_a_tail_and_predict_only_what_rises():
    assert trial(curve(power_law(EPOCHS)), 5, "a", "digits") is None
    assert trial(curve(power_law(EPOCHS)), 0.5, "a", "digits") is None
    assert trial(curve(power_law(EPOCHS), rest={"warm_up": 18.0}), 20, "a", "digits") is None
    falling = trial(curve(-power_law(EPOCHS)), 20, "a", "digits")
    assert not falling.rising and falling.expected == {} and falling.moved == pytest.approx(-falling.measured)


def store_of(folder, curves, **changes):
    """Published seeds with these accuracies; their bound is a tenth of them."""
    config = {section: CONFIG[section] | changes.get(section, {}) for section in CONFIG}
    about = {"name": "digits", "digest": "0" * 64, "variant": "", "sizes": {"train": 1000}}
    for seed, values in enumerate(curves):
        points = [
            {"epoch": int(epoch), "acc_hungarian": float(value), "reconstruction": -float(value) / 10}
            for epoch, value in zip(EPOCHS, values, strict=True)
        ]
        Store(folder).write(Record(config, seed, {}, points, {}, changes.get("failed"), about, {}, 1.0), {})
    return list(Store(folder).every())


def test_trials_of_a_store(tmp_path):
    values = power_law(EPOCHS, 90, 30)
    records = store_of(tmp_path, [values, values - 5])
    found = trials(records)
    assert {(one.quantity, one.steps) for one in found} == {(q, s) for q in tails.QUANTITIES for s in (200.0, 100.0)}
    assert all(one.data == "digits" and one.rising for one in found)
    of_bound, of_accuracy = (
        next(one for one in found if one.quantity == quantity and one.steps == 200) for quantity in tails.QUANTITIES
    )
    assert of_bound.measured == pytest.approx(of_accuracy.measured / 10)


def test_a_failed_seed_and_a_model_without_a_bound_give_no_curve(tmp_path):
    values = [power_law(EPOCHS, 90, 30)]
    assert trials(store_of(tmp_path / "failed", values, failed=7)) == []
    assert trials([]) == []
    without = {"model": {"name": "imsat"}}
    for record in store_of(tmp_path / "imsat", values, **without):
        points = [{"epoch": p["epoch"], "acc_hungarian": p["acc_hungarian"], "marginal": 1.0} for p in record.curve]
        record = replace(record, curve=points)
        assert tails.curve_of([record], "bound") is None and tails.curve_of([record], "accuracy") is not None
