import math
from collections import Counter

import pytest

from genclust.settings import SettingError
from genclust.training.schedules import Schedule


def test_the_papers_temperature():
    schedule = Schedule.of({"shape": "exponential", "start": 1, "end": 0.5, "epochs": 100})
    assert schedule(0) == 1
    assert schedule(30) == pytest.approx(math.exp(-0.00693147 * 30), rel=1e-6)
    assert schedule(100) == schedule(300) == pytest.approx(0.5)


def test_linear_warm_up():
    schedule = Schedule.of({"shape": "linear", "start": 0, "end": 1, "epochs": 200})
    assert [schedule(e) for e in (0, 50, 200, 999)] == [0, 0.25, 1, 1]


@pytest.mark.parametrize("tau", [0.2, 3.4, 50])
def test_saturating_warm_up(tau):
    """1 - exp(-t / tau): 63 % after tau, half after tau ln 2."""
    schedule = Schedule.of({"shape": "saturating", "start": 0, "end": 1, "epochs": tau})
    assert schedule(0) == 0
    assert schedule(tau) == pytest.approx(0.6321205588)
    assert schedule(tau * math.log(2)) == pytest.approx(0.5)
    assert schedule(tau * math.log(1000)) == pytest.approx(0.999)
    for epoch in (tau / 1000, tau / 3, 2.5 * tau, 10 * tau):
        assert schedule(epoch) == pytest.approx(-math.expm1(-epoch / tau))


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0.25, 2), (2, 0.5), (1e-3, 1e-4), (0.3, 0.3), (1, 0)])
def test_saturating_leaves_its_start_at_once_and_never_passes_its_end(start, end):
    """What is left of the way falls to 1/e in every time constant; far out nothing is left of it, and no more."""
    schedule = Schedule.of({"shape": "saturating", "start": start, "end": end, "epochs": 7})
    values = [schedule(0.1 * i) for i in range(3000)]
    assert values[0] == start
    for i in range(700):
        assert values[i + 70] - end == pytest.approx((values[i] - end) / math.e, abs=1e-12)
    assert values == sorted(values, reverse=start > end)
    assert all(min(start, end) <= value <= max(start, end) for value in [*values, schedule(1e4), schedule(1e12)])
    assert schedule(1e12) == end


def test_saturating_in_no_time_is_at_its_end():
    schedule = Schedule.of({"shape": "saturating", "start": 0, "end": 0.7, "epochs": 0})
    assert schedule(0) == schedule(3) == 0.7


def test_a_number_is_constant():
    assert Schedule.of(0.001)(0) == Schedule.of(0.001)(1e6) == 0.001


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"shape": "cosine", "start": 1, "end": 0, "epochs": 1}, "no rate.shape called 'cosine'; valid are constant,"),
        ({"shape": "linear", "start": 1, "end": 0}, "The setting rate.epochs is missing"),
        ({"shape": "linear", "start": 1, "end": 0, "epoch": 1}, "rate named 'epoch'; did you mean 'epochs'"),
        (
            {"shape": "exponential", "start": 1, "end": 0, "epochs": 1},
            "rate is exponential, .* a positive start and end",
        ),
        ({"shape": "linear", "start": 1, "end": 0, "epochs": -1}, "rate.epochs must lie between 0 and .*, not -1"),
        ({"shape": "linear", "start": math.nan, "end": 0, "epochs": 1}, "rate.start must lie between .*, not nan"),
        ({"shape": "linear", "start": 1, "end": math.inf, "epochs": 1}, "rate.end must lie between .*, not inf"),
        ({"shape": "linear", "start": 1, "end": 0, "epochs": math.inf}, "rate.epochs must lie between .*, not inf"),
        ({"shape": "linear", "start": 1, "end": 0, "epochs": None}, "rate.epochs must be a number, not None"),
        ({"shape": "linear", "start": "1", "end": 0, "epochs": 1}, "rate.start must be a number, not '1'"),
        ({"shape": ["linear"], "start": 1, "end": 0, "epochs": 1}, r"no rate.shape called \"\['linear'\]\""),
        (math.inf, "must lie between .*, not inf"),
        (math.nan, "must lie between .*, not nan"),
        (10**400, "must lie between .*, not 1000"),
        (True, "must be a number, not True"),
        ("1", "must be a number, not '1'"),
        ([1], r"must be a number, not \[1\]"),
    ],
)
def test_a_wrong_schedule_is_refused(declared, message):
    with pytest.raises(SettingError, match=message):
        Schedule.of(declared, "rate")


STEPS = 2970  # an epoch of 59,400 images in batches of 20


@pytest.mark.parametrize("epochs", [3280, 328])
def test_the_stages_of_the_iwae_paper(epochs):
    """1e-3 · 10^(-i/7) over 3^i of 3,280 epochs, and over the same fractions of fewer: every boundary to the step."""
    schedule = Schedule.of({"shape": "stages", "start": 1e-3, "end": 1e-4, "epochs": epochs})
    rates = [pytest.approx(1e-3 * 10 ** (-i / 7), rel=1e-12) for i in range(8)]
    assert schedule(0) == rates[0]
    boundary = 0
    for i in range(8):
        first = boundary * STEPS * epochs // 3280  # of the stage
        assert first * 3280 == boundary * STEPS * epochs  # no step lies across it
        boundary += 3**i
        last = boundary * STEPS * epochs // 3280 - 1
        for step in (first, first + 1, (first + last) // 2, last - 1, last):
            assert schedule(step / STEPS) == rates[i], (i, step)
        assert schedule((last + 1) / STEPS) == rates[min(i + 1, 7)]
    assert boundary == 3280
    assert schedule(epochs) == schedule(10 * epochs) == rates[7]


def test_every_stage_is_held_three_times_as_long_as_the_one_before():
    """Epoch by epoch, the rates rounded as in the code of the paper's authors."""
    schedule = Schedule.of({"shape": "stages", "start": 1e-3, "end": 1e-4, "epochs": 3280})
    held = Counter(round(schedule(epoch), 5) for epoch in range(3280))
    rates = (1e-3, 7.2e-4, 5.2e-4, 3.7e-4, 2.7e-4, 1.9e-4, 1.4e-4, 1e-4)
    assert held == {rate: 3**i for i, rate in enumerate(rates)}


def test_stages_need_a_positive_start_and_end():
    for start, end in ((0, 1e-4), (1e-3, 0)):
        with pytest.raises(SettingError, match="positive start and end"):
            Schedule.of({"shape": "stages", "start": start, "end": end, "epochs": 3280})
