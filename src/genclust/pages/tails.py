"""Tails of learning curves: whether they still rise, and what as many epochs again would bring.

A curve that rises ever more slowly is fitted to the last three quarters of the epochs, seed by seed.  What such fits
are worth is measured: of every published configuration the second half of the epochs is hidden, predicted from the
first, and looked up, and so on for shorter parts (:func:`trials`).  Of the two shapes that were tried, the power law
came nearer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.stats import kendalltau

from genclust.experiments.store import Record
from genclust.experiments.training_run import steps_of
from genclust.pages.learning_curves import bounds, learning_curves
from genclust.training.schedules import Schedule

#: What a curve shows: the lower bound in nats or the Hungarian accuracy in per cent, both on validation data.
Quantity = Literal["bound", "accuracy"]
QUANTITIES: tuple[Quantity, ...] = ("bound", "accuracy")
#: Part of the epochs at which the tail begins, and the fewest points that a power law is fitted to.
BEGINS, LEAST_POINTS = 0.25, 6
#: Kendall's rank correlation of epochs and values from which on a tail counts as rising; 1 if no point is below another
#: one before it.
RISING = 0.6
#: Multiple of the least exponent of a power law above which a fit counts as seeing an end.
LEVEL = 1.5
#: Time constants after which a saturating schedule counts as at rest; 5 % of its way are left.
AT_REST = 3.0


Shape = Literal["power law", "exponential"]
#: How a curve approaches its limit: a function of the ratio of the epoch to the last one and of a rate, which is 0 with
#: a derivative of 1 where the ratio is 1; and the least and greatest rate.
SHAPES: dict[Shape, tuple[Callable[[np.ndarray, float], np.ndarray], tuple[float, float]]] = {
    "power law": (lambda ratio, rate: (1 - ratio**-rate) / rate, (0.1, 4.0)),
    "exponential": (lambda ratio, rate: (1 - np.exp(-rate * (ratio - 1))) / rate, (0.2, 20.0)),
}


@dataclass(frozen=True)
class Tail:
    """Fitted tail: ``end + slope * shape(epoch / epochs, rate)``.

    Attributes:
        shape: how it approaches its limit.
        epochs: the epoch at which it was fitted last.
        end: its value there.
        slope: its rise there per e-fold of the epochs.
        rate: how fast the rise falls off; the exponent of a power law.
    """

    shape: Shape
    epochs: float
    end: float
    slope: float
    rate: float

    def __call__(self, epoch: Float[np.ndarray, " P"] | float) -> Any:
        """Values at one epoch or several."""
        return self.end + self.slope * SHAPES[self.shape][0](np.asarray(epoch) / self.epochs, self.rate)


def fit(epochs: Float[np.ndarray, " P"], values: Float[np.ndarray, " P"], shape: Shape = "power law") -> Tail:
    """Tail through the points of one seed, by least squares.

    Raises:
        ValueError: for fewer than ``LEAST_POINTS`` points, epochs that do not rise from above 0, or values that are not
            finite.
    """
    epochs, values = np.asarray(epochs, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if epochs.ndim != 1 or epochs.shape != values.shape or len(epochs) < LEAST_POINTS:
        raise ValueError(f"a fit needs {LEAST_POINTS} points or more of one seed, not {values.shape}")
    if not (np.isfinite(values).all() and epochs[0] > 0 and (np.diff(epochs) > 0).all()):
        raise ValueError("a fit needs epochs that rise from above 0, and finite values")
    function, limits = SHAPES[shape]
    ratio, centred = epochs / epochs[-1], values - values.mean()

    def misfit(log_rate: float) -> float:
        """Sum of the squared residuals after the best end and slope, up to a constant."""
        feature = function(ratio, math.exp(log_rate))
        feature = feature - feature.mean()
        return -float((feature @ centred) ** 2 / (feature @ feature))

    found = minimize_scalar(misfit, bounds=[math.log(limit) for limit in limits], method="bounded")
    rate = math.exp(found.x)
    slope, end = np.polyfit(function(ratio, rate), values, 1)
    return Tail(shape, float(epochs[-1]), float(end), float(slope), rate)


@dataclass(frozen=True)
class Curve:
    """Learning curves of the seeds of one configuration.

    Attributes:
        quantity: what they show.
        epochs: P epochs in increasing order.
        values: of S seeds at these epochs.
        rest: for each schedule that moves during training, the epoch at which it comes to rest.
        steps_per_epoch: training steps of an epoch.
    """

    quantity: Quantity
    epochs: Float[np.ndarray, " P"]
    values: Float[np.ndarray, "S P"]
    rest: Mapping[str, float]
    steps_per_epoch: float

    @property
    def steps(self) -> float:
        """Training steps up to the last epoch."""
        return self.length * self.steps_per_epoch

    @property
    def length(self) -> float:
        """The last epoch."""
        return float(self.epochs[-1])

    @property
    def in_tail(self) -> np.ndarray:
        """Which points belong to the tail: the last three quarters of the epochs, once all schedules are at rest."""
        return self.epochs >= max(BEGINS * self.length, *self.rest.values(), 0)

    @property
    def is_told(self) -> bool:
        """Whether the tail has enough points for a power law."""
        return bool(self.in_tail.sum() >= LEAST_POINTS)

    @property
    def shortened_by(self) -> list[str]:
        """Names of the schedules that still move within the last three quarters, and so shorten the tail."""
        return [name for name, epoch in self.rest.items() if epoch > BEGINS * self.length]

    @property
    def gained(self) -> Float[np.ndarray, " S"]:
        """What the second half of the epochs brought each seed."""
        return self.values[:, -1] - self.at(self.length / 2)

    @property
    def is_rising(self) -> bool:
        """Whether the tail of the seeds' mean rises from point to point, with few exceptions."""
        points = self.in_tail
        return bool(kendalltau(self.epochs[points], self.values[:, points].mean(0)).statistic >= RISING)

    @property
    def levels_off(self) -> bool:
        """Whether the power laws of most seeds see an end, and not a rise by the logarithm of the epochs."""
        rates = [tail.rate for tail in self.tails()]
        return bool(np.median(rates) > LEVEL * SHAPES["power law"][1][0])

    def tails(self, shape: Shape = "power law") -> list[Tail]:
        """Fitted tail of each seed.

        Raises:
            ValueError: if there are too few points.
        """
        points = self.in_tail
        return [fit(self.epochs[points], of_seed[points], shape) for of_seed in self.values]

    def again(self, shape: Shape = "power law") -> Float[np.ndarray, " S"]:
        """What as many epochs again would bring each seed, by its fitted tail.

        Raises:
            ValueError: if the tail has too few points.
        """
        return np.array([tail(2 * self.length) for tail in self.tails(shape)]) - self.values[:, -1]

    def at(self, epoch: float) -> Float[np.ndarray, " S"]:
        """Values at an epoch, interpolated between the nearest two."""
        return np.array([np.interp(epoch, self.epochs, of_seed) for of_seed in self.values])

    def until(self, epoch: float) -> Curve:
        """The curve up to an epoch."""
        kept = self.epochs <= epoch
        return replace(self, epochs=self.epochs[kept], values=self.values[:, kept])


def curve_of(records: Sequence[Record], quantity: Quantity) -> Curve | None:
    """Learning curves of the records of one configuration; None if one of them failed or lacks the quantity."""
    if not records or any(run.failed_at_step is not None or not run.curve for run in records):
        return None
    found = {"": records}
    curves, epochs = bounds(found) if quantity == "bound" else learning_curves(found, "acc_hungarian")
    if "" not in curves or not np.isfinite(curves[""]).all():
        return None
    training = records[0].run_config.training
    steps_per_epoch = steps_of(records[0]) / training["epochs"]
    return Curve(quantity, epochs.astype(np.float64), curves[""], _rest(training), steps_per_epoch)


def _rest(training: Mapping[str, Any]) -> dict[str, float]:
    schedules = {name: Schedule.of(value) for name, value in training.items() if isinstance(value, Mapping)}
    return {
        name: schedule.epochs * (AT_REST if schedule.shape == "saturating" else 1)
        for name, schedule in schedules.items()
        if schedule.start != schedule.end
    }


# ---- what a fit is worth


@dataclass(frozen=True)
class Trial:
    """A curve of which some epochs were shown and as many again hidden and predicted, in the mean over its seeds.

    Attributes:
        configuration: address of the configuration.
        data: name of its data set.
        quantity: what the curve shows.
        steps: steps of training that were shown.
        rising: whether what was shown rises and levels off, so that a prediction is made.
        before: what the last doubling of the epochs had brought, as absolute value in the mean over seeds.
        expected: what the next one would bring, by each shape of the tail; empty unless it rises.
        measured: what it brought.
        moved: the same as absolute value in the mean over seeds.
    """

    configuration: str
    data: str
    quantity: Quantity
    steps: float
    rising: bool
    before: float
    expected: Mapping[Shape, float]
    measured: float
    moved: float

    def error(self, shape: Shape | None) -> float:
        """Error of the prediction as a multiple of what the last doubling had brought; without a shape, that of the
        prediction that nothing changes."""
        return abs((self.expected[shape] if shape else 0.0) - self.measured) / self.before


def trial(curve: Curve, shown: float, configuration: str, data: str) -> Trial | None:
    """Prediction from the epochs up to ``shown``; None if these do not tell enough."""
    visible = curve.until(shown)
    if not len(visible.epochs) or not visible.is_told:
        return None
    measured = curve.at(2 * visible.length) - visible.values[:, -1]
    rising = visible.is_rising and visible.levels_off
    return Trial(
        *(configuration, data, curve.quantity, visible.steps, rising),
        before=float(np.abs(visible.gained).mean()),
        expected={shape: float(visible.again(shape).mean()) for shape in SHAPES} if rising else {},
        measured=float(measured.mean()),
        moved=float(np.abs(measured).mean()),
    )


def trials(records: Iterable[Record]) -> list[Trial]:
    """Trials of all configurations among some records, of bounds and of accuracies.

    The first half of the epochs is shown, then a quarter, and so on as long as that is enough for a fit.
    """
    together: dict[str, list[Record]] = {}
    for record in records:
        together.setdefault(record.path.parent.name if record.path else "", []).append(record)
    found = []
    for quantity in QUANTITIES:
        for address, runs in together.items():
            curve = curve_of(runs, quantity)
            shown = curve.length / 2 if curve else 0.0
            while curve and (one := trial(curve, shown, address, runs[0].data["name"])):
                found.append(one)
                shown /= 2
    return found
