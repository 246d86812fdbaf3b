"""What moved: the numbers of a store beside the published ones, and by how much seeds alone would move them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from genclust.experiments import declaration
from genclust.experiments.configuration import RunConfig
from genclust.experiments.declaration import Row
from genclust.experiments.store import Record, Store, StoreError, find, published
from genclust.experiments.verdicts import LackingMetric, is_measured, summarise
from genclust.metrics import BEST
from genclust.wording import MINUS, asked_for, signed

#: Probability that any number is called moved where nothing changed, over all lines of a comparison.
FALSE_ALARM = 0.05
#: Tolerance, in points of per cent or nats, above which a line says little: its seeds are too few or too far apart.
WIDE = 10.0
#: Metrics that are shown and compared where a row has no reported number.
UNREPORTED = (
    *("test.acc_hungarian", "test.nmi_geometric", "test.ari", "test.log_likelihood"),
    *("test.leading_y", "test.leading_z"),
)


@dataclass(frozen=True)
class Move:
    """A number before and after.

    Attributes:
        row: the row with its experiment and profile; the first one where several show the same run, and how many more.
        metric: what was measured, in per cent or nats.
        old, new: means over seeds; or which seed diverged, so that there is no mean.
        seeds: how many seeds each has.
        tolerance: greatest difference that counts as none; None where nothing tells it.
    """

    row: str
    metric: str
    old: float | str
    new: float | str
    seeds: tuple[int, int]
    tolerance: float | None = 0.0

    @property
    def difference(self) -> float | None:
        """The new number minus the old one; None unless both are numbers."""
        return None if isinstance(self.old, str) or isinstance(self.new, str) else self.new - self.old

    @property
    def moved(self) -> bool:
        """Whether it differs by more than the tolerance."""
        if self.difference is None:
            return self.old != self.new
        return self.tolerance is not None and not abs(self.difference) <= self.tolerance

    @property
    def says_little(self) -> bool:
        """Whether no tolerance is known, or one so wide that a change that matters would pass."""
        return self.difference is not None and (self.tolerance is None or self.tolerance > WIDE)


def table(moves: Sequence[Move]) -> pd.DataFrame:
    """Lines to print: row, metric, old, new, difference, tolerance, seeds, and whether the number moved."""
    lines = [
        {
            "row": move.row,
            "metric": move.metric,
            "old": _shown(move.old),
            "new": _shown(move.new),
            "difference": "–" if move.difference is None else f"{move.difference:+.2f}".replace("-", MINUS),
            "tolerance": "not known" if move.tolerance is None else f"{move.tolerance:.2f}",
            "seeds": " and ".join(map(str, move.seeds)),
            "": "moved" if move.moved else "",
        }
        for move in moves
    ]
    return pd.DataFrame(lines, columns=["row", "metric", "old", "new", "difference", "tolerance", "seeds", ""])


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else signed(value)


def compare(store: Store, experiments: Sequence[str] = ()) -> list[Move]:
    """Compare the records of a store with the published ones, for all rows that both have.

    The tolerance is the half-width of the interval of the difference of means of as many seeds, wide enough that no
    line is called moved by chance with a probability of 95 % (Bonferroni).  One seed is set against the spread of the
    other side, a single one on both sides against the tolerance that the row declares.

    Args:
        store: own records.
        experiments: only these; by default all.

    Raises:
        SettingError: for an unknown experiment.
        StoreError: if a record cannot be read, or the store has no record of a published row.
    """
    pairs: dict[tuple[str, str], tuple[Row, str, list[Record], list[Record]]] = {}  # a run of several rows once
    places: dict[tuple[str, str], list[str]] = {}
    for row, profile in declaration.runs(experiments):
        config = row.config(profile)
        own = _records(store, config)
        known = _records(published(), config) if own else []
        for metric in _metrics(row) if known else ():
            if is_measured(own, metric) and is_measured(known, metric):
                run = (config.address, metric)
                pairs.setdefault(run, (row, metric, known, own))
                places.setdefault(run, []).append(f"{row.place}, {profile}")
    if not pairs:
        raise StoreError(
            f"{store.folder} holds no record of a published row; name the folder that --store or GENCLUST_CACHE named "
            "when you ran one (there it is called results)."
        )
    level = 1 - FALSE_ALARM / len(pairs)
    return [_move(asked_for(places[run]), *pair, level) for run, pair in pairs.items()]


def _records(store: Store, config: RunConfig) -> list[Record]:
    """All records of a configuration."""
    seeds = sorted(int(path.stem.removeprefix("seed-")) for path in (store.folder / config.address).glob("seed-*.json"))
    return list(find(config, seeds, [store]).values())


def _metrics(row: Row) -> list[str]:
    """The metrics that are reported of a row, each once, or those that every clustering and density has."""
    named = [reported.metric.removesuffix(BEST) for reported in row.reported]
    return list(dict.fromkeys(named)) or list(UNREPORTED)


def _move(place: str, row: Row, metric: str, known: list[Record], own: list[Record], level: float) -> Move:
    seeds = len(known), len(own)
    before, after = _mean(known, metric), _mean(own, metric)
    if isinstance(before, str) or isinstance(after, str):
        return Move(place, metric, before, after, seeds)
    old, new = (np.array([record.metrics[metric] for record in records]) for records in (known, own))
    tolerance = _tolerance(old, new, level)
    if tolerance is None:
        declared = [r.tolerance for r in row.reported if r.metric == metric and r.tolerance is not None]
        tolerance = declared[0] if declared else None
    return Move(place, metric, before, after, seeds, tolerance)


def _mean(records: Sequence[Record], metric: str) -> float | str:
    """Mean of a metric over the records, or which seed has no value, as a diverged one has none."""
    try:
        return summarise(records, metric).mean
    except LackingMetric as lacking:
        return lacking.short


def _tolerance(old: np.ndarray, new: np.ndarray, level: float) -> float | None:
    """Half-width of the interval of the difference of means; None for a single seed on both sides.

    Welch's where both sides have two seeds; otherwise Student's, with the spread of the side that has one.
    """
    if np.ptp(old) == np.ptp(new) == 0 and min(len(old), len(new)) > 1:
        return 0.0
    if min(len(old), len(new)) > 1:
        low, high = stats.ttest_ind(old, new, equal_var=False).confidence_interval(level)
        return float(high - low) / 2
    several = max(old, new, key=len)
    if len(several) == 1:
        return None
    quantile = stats.t.ppf((1 + level) / 2, len(several) - 1)
    return float(quantile * several.std(ddof=1) * math.sqrt(1 / len(old) + 1 / len(new)))
