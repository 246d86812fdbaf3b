import math

import pytest

from genclust.training.schedules import Schedule


def test_the_papers_temperature():
    schedule = Schedule.of({"shape": "exponential", "start": 1, "end": 0.5, "epochs": 100})
    assert schedule(0) == 1
    assert schedule(30) == pytest.approx(math.exp(-0.00693147 * 30), rel=1e-6)
    assert schedule(100) == schedule(300) == pytest.approx(0.5)


def test_linear_warm_up():
    schedule = Schedule.of({"shape": "linear", "start": 0, "end": 1, "epochs": 200})
    assert [schedule(e) for e in (0, 50, 200, 999)] == [0, 0.25, 1, 1]


def test_a_number_is_constant():
    assert Schedule.of(0.001)(0) == Schedule.of(0.001)(1e6) == 0.001


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"shape": "cosine", "start": 1, "end": 0, "epochs": 1}, "cosine"),
        ({"shape": "linear", "start": 1, "end": 0}, "epochs"),
        ({"shape": "exponential", "start": 1, "end": 0, "epochs": 1}, "positive"),
        ({"shape": "linear", "start": 1, "end": 0, "epochs": -1}, "-1"),
    ],
)
def test_a_wrong_schedule_is_refused(declared, message):
    with pytest.raises(ValueError, match=message):
        Schedule.of(declared)
