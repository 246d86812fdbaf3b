"""Numbers of the papers' own models that were measured and missed: was training over, or was it too short?

The causes are judgements, declared beside the rows (:class:`~genclust.experiments.declaration.Gap`).  What training
says follows by rule from the learning curves:

- *trained to the end*: the run has the paper's size, and in its second half the curve moved, and by its fitted
  tail will move, by no more than the number's tolerance;
- *still rising*: it moves by more, and upwards;
- *cannot be told*: everything else, with the reason.

What made fewer steps than the run at the paper's size is called too short besides, whatever its curve does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from genclust.data import sources
from genclust.experiments import declaration
from genclust.experiments.configuration import RunConfig
from genclust.experiments.declaration import Gap, Profile, Reported, Row
from genclust.experiments.papers import papers
from genclust.experiments.planning import training_rows
from genclust.experiments.store import Record
from genclust.experiments.training_run import steps_of, total_steps
from genclust.experiments.verdicts import TOLERANCE, Verdict, published_records, verdicts
from genclust.metrics import named
from genclust.pages.guide import SAME
from genclust.pages.tails import LEAST_POINTS, Curve, Quantity, Shape, Trial, curve_of
from genclust.wording import MINUS, counted, signed

Kind = Literal["trained to the end", "still rising", "cannot be told"]
#: What a learning curve can say, from the most certain to the least.
KINDS: tuple[Kind, ...] = ("trained to the end", "still rising", "cannot be told")
TO_THE_END, RISING, UNTOLD = KINDS
#: Beginnings of metrics that go with the Hungarian accuracy, which learning curves hold.  The many-to-one accuracy does
#: not: with many clusters it can rise where the other falls.
LIKE_ACCURACY = ("acc_hungarian", "acc_exemplar", "nmi_", "ari")
#: Part of the predictions that came nearer than the error that is stated beside a prediction.
TRUSTED = 2 / 3
#: Predictions from so many times as many or as few steps tell the error of another one; fewer of them tell nothing.
ALIKE, LEAST_TRIALS = 4.0, 3
#: Words for the schedules of training.
SCHEDULES = {"learning_rate": "the learning rate", "temperature": "the temperature", "warm_up": "the warm-up"}


@dataclass(frozen=True)
class Outlook:
    """What the learning curves of a row say.

    Attributes:
        kind: whether training was over.
        short: whether the run made fewer steps than at the paper's size.
        text: the same in words, with the reason.
    """

    kind: Kind
    short: bool
    text: str


@dataclass(frozen=True)
class Missed:
    """A row of a paper's own model with numbers that were measured and are not reproduced.

    Attributes:
        paper: short name of the paper.
        row: the row.
        verdicts: those of these numbers.
        profile: profile of the runs.
        records: one for each seed.
    """

    paper: str
    row: Row
    verdicts: tuple[Verdict, ...]
    profile: Profile
    records: tuple[Record, ...]

    @property
    def gap(self) -> Gap | None:
        """The declared causes; None where none are declared, or those that are speak of runs at another profile."""
        gap = self.row.gap
        return gap if gap and gap.profile == self.profile else None

    @property
    def target(self) -> Row:
        """The row to run at the paper's size: itself, or another one that the declaration names."""
        gap = self.gap
        return declaration.load(self.row.experiment).row(gap.row) if gap and gap.row else self.row

    @property
    def at_papers_size(self) -> RunConfig:
        """Configuration of the run at the paper's size, with the changes that the declared experiment makes."""
        return self.target.config("paper", self.gap.settings if self.gap else None)

    @property
    def is_at_papers_size(self) -> bool:
        """Whether that run is the one that was made."""
        return self.profile == "paper" and self.at_papers_size == self.records[0].run_config

    @property
    def steps(self) -> int:
        """Training steps that each seed made."""
        return steps_of(self.records[0])

    @property
    def number(self) -> Reported:
        """The first of the missed numbers."""
        return next(one for one in self.row.reported if one.metric == self.verdicts[0].metric)

    @property
    def quantity(self) -> Quantity | None:
        """The quantity in learning curves that goes with the number, or None."""
        if named(self.number.metric).unit == "nats":
            return "bound"
        return "accuracy" if self.number.metric.partition(".")[2].startswith(LIKE_ACCURACY) else None

    @cached_property
    def curve(self) -> Curve | None:
        """Learning curves of the seeds, or None where none goes with the number."""
        return None if self.quantity is None else curve_of(self.records, self.quantity)


def steps_at(config: RunConfig) -> int:
    """Training steps of a configuration, from the declared sizes of its data set."""
    return total_steps(config, training_rows(config, sources()[config.data["name"]]))


def missed() -> list[Missed]:
    """Rows of the papers' own models with a number that was measured and is not reproduced, in the order of the book.

    A row without the profile ``paper``, as one that a reader declares, has no size to be brought to, and is left out.

    Raises:
        SettingError: if a declaration is malformed.
        StoreError: if a record cannot be read.
    """
    together: dict[str, list[Verdict]] = {}
    for one in verdicts():
        if one.own and one.n_seeds and one.verdict != "reproduced":
            together.setdefault(one.row, []).append(one)
    found = []
    for place, of_row in together.items():
        row = declaration.row_of(place)
        if "paper" not in row.profiles:
            continue
        profile, records = published_records(row)
        assert profile is not None
        found.append(Missed(of_row[0].paper, row, tuple(of_row), profile, tuple(records)))
    order = list(papers())
    return sorted(found, key=lambda one: order.index(one.paper))


def trials_near(trials: Sequence[Trial], quantity: Quantity, steps: float) -> list[Trial]:
    """Trials of predictions from curves of a quantity with between a quarter and four times so many steps."""
    return [
        one
        for one in trials
        if one.quantity == quantity and one.rising and one.before > 0 and 1 / ALIKE <= one.steps / steps <= ALIKE
    ]


def error(trials: Sequence[Trial], quantity: Quantity, steps: float, shape: Shape | None = "power law") -> float | None:
    """Error that two in three predictions from curves of about so many steps did not exceed.

    The predictions are those of :func:`trials_near`.  The error is a multiple of what the last doubling of the epochs
    had brought.  Each data set counts once, however many configurations it has.

    Args:
        trials: predictions that were tested.
        quantity: what the curves show.
        steps: steps of training.
        shape: shape of the tail that predicts; None for the prediction that nothing changes.

    Returns:
        The error, or None with fewer than ``LEAST_TRIALS`` trials.
    """
    known = trials_near(trials, quantity, steps)
    if len(known) < LEAST_TRIALS:
        return None
    data = [SAME.get(one.data, one.data) for one in known]
    of_data = Counter(data)
    errors = sorted((one.error(shape), 1 / of_data[name]) for one, name in zip(known, data, strict=True))
    reached = np.cumsum([weight for _, weight in errors]) / len(of_data)
    return errors[int(np.searchsorted(reached, TRUSTED - 1e-9))][0]


def predicted(curve: Curve, trials: Sequence[Trial]) -> tuple[float, float] | str:
    """What as many epochs again would bring, in the mean over seeds, and the error; or why that cannot be said."""
    if not curve.levels_off:
        return "not levelling off yet"
    off = error(trials, curve.quantity, curve.steps)
    unchanged = error(trials, curve.quantity, curve.steps, None)
    if off is None or unchanged is None:
        return "too few runs of this length to test a prediction by"
    if off >= unchanged:
        return "where predictions came no nearer than the last value"
    return float(curve.again().mean()), off * float(np.abs(curve.gained).mean())


def outlook(one: Missed, trials: Sequence[Trial]) -> Outlook:
    """What the learning curves of a row say.

    Args:
        one: the row.
        trials: predictions that were tested, see :func:`~genclust.pages.tails.trials`.
    """
    told = _tell(one, trials)
    if one.profile == "paper":
        return told
    done, whole = one.steps, steps_at(one.target.config("paper"))
    return replace(told, short=True, text=f"Too short: {done:,} of {whole:,} steps. {told.text}")


def _tell(one: Missed, trials: Sequence[Trial]) -> Outlook:
    if lost := one.verdicts[0].lost:
        return _untold(f"{lost}, and so the row has no mean")
    curve, unit = one.curve, "nats" if one.quantity == "bound" else "points"
    if curve is None:
        return _untold("no curve of this number is kept")
    if not curve.is_told:
        if moving := curve.shortened_by:
            names = " and ".join(SCHEDULES.get(name, name) for name in moving)
            return _untold(f"{names} {'change' if len(moving) > 1 else 'changes'} to the end, and bends the curve")
        return _untold(f"its curve has {counted(int(curve.in_tail.sum()), 'point')}, and a fit takes {LEAST_POINTS}")
    moved = np.abs(curve.gained)
    matters = TOLERANCE if one.number.tolerance is None else one.number.tolerance
    half = f"{_change(curve.gained.mean())} {unit} in the second half of its epochs"
    to_come = float(moved.mean())
    if curve.is_rising:
        ahead = predicted(curve, trials)
        if isinstance(ahead, tuple):
            again, off = ahead
            to_come = max(to_come, again + off)
            half += f", and {_change(again)} ± {off:.1f} expected of as many again"
            if to_come > matters:
                mean = one.verdicts[0].measured_mean
                assert mean is not None  # no seed is lost
                return Outlook(RISING, False, f"Still rising: {half}, to about {signed(mean + again, 1)}.")
        elif to_come > matters:
            return Outlook(RISING, False, f"Still rising: {half}, {ahead}.")
    elif to_come > matters:
        return _untold(f"seeds moved by up to {moved.max():.1f} {unit} in the second half of its epochs, up and down")
    if one.profile != "paper":
        return _untold(f"flat so far ({half}), which may change")
    return Outlook(TO_THE_END, False, f"Trained to the end: {half}, single seeds up to {moved.max():.1f}.")


def _untold(reason: str) -> Outlook:
    return Outlook(UNTOLD, False, f"Cannot be told: {reason}.")


def _change(value: float) -> str:
    """A change with its sign, as in ``+1.6`` and ``−0.4``."""
    return f"{value:+.1f}".replace("-", MINUS)
