"""Verdicts of the reported numbers: comparisons with the measured ones."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from genclust.data import Fidelity, sources
from genclust.experiments import declaration
from genclust.experiments.declaration import WITHOUT_DEMO, Profile, Reported, Row
from genclust.experiments.papers import paper
from genclust.experiments.store import Record, StoreError, find, published
from genclust.metrics import BEST, named
from genclust.settings import SettingError, nearest
from genclust.wording import signed, with_sd

#: Assumed number of runs of a reported standard deviation where the paper does not state it.
ASSUMED_REPORTED_SEEDS = 5
#: Tolerance of a reported number that declares none, in its unit.
TOLERANCE = 1.0

#: Verdicts of measured numbers that were compared with the paper's.
COMPARED = ("reproduced", "partly", "not reproduced")
#: Verdicts on data where a measured number is shown beside the paper's, and not compared with it.
NOT_COMPARED: dict[Fidelity, str] = {"surrogate": "surrogate data", "subset": "subset of the data"}


class LackingMetric(StoreError):
    """Error for a record that lacks a metric, without which its row has no mean of it.

    Attributes:
        short: what to show in a cell of a table.
        diverged: whether training diverged, which is why the metric is lacking; no fault of the record then.
    """

    def __init__(self, record: Record, metric: str, in_none: bool = False) -> None:
        self.diverged = record.failed_at_step is not None
        if not self.diverged and in_none:
            self.short = "not measured"
            super().__init__(
                f"No record of {record.path and record.path.parent} has {metric}; name a metric that the row's "
                "evaluations measure, or the evaluation that measures it."
            )
        elif not self.diverged:
            self.short = f"not of seed {record.seed}"
            super().__init__(
                f"The record {record.path} has no {metric}, which others of its row have: it was not measured, and "
                "running it anew cures that, or it is not a finite number."
            )
        else:
            self.short = f"seed {record.seed} diverged"
            super().__init__(
                f"Seed {record.seed} diverged at step {record.failed_at_step} and has no {metric}, so its row has no "
                f"mean of it ({record.path})."
            )


def is_measured(records: Iterable[Record], metric: str) -> bool:
    """Whether any record has the metric; of a row with diverged seeds the first may lack it."""
    return any(metric in record.metrics for record in records)


@dataclass(frozen=True)
class Summary:
    """Statistics of a metric over seeds; ``sd`` and the 95 % interval of the mean need two seeds.

    Example:
        >>> Summary.of([80.0, 84.0, 92.0]).median
        84.0
    """

    mean: float
    sd: float | None
    median: float
    best: float
    n: int
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, values: Sequence[float], lower_is_better: bool = False) -> Summary:
        array = np.asarray(values, dtype=np.float64)
        n, mean = len(array), float(array.mean())
        sd = float(array.std(ddof=1)) if n > 1 else None
        half = stats.t.ppf(0.975, n - 1) * sd / math.sqrt(n) if sd is not None else None
        best = float(array.min() if lower_is_better else array.max())
        interval = None if half is None else (mean - half, mean + half)
        return cls(mean, sd, float(np.median(array)), best, n, interval)


def summarise(records: Sequence[Record], metric: str) -> Summary:
    """Statistics of a metric over all records, failed seeds included; ``…_best`` is the best seed, without spread.

    Raises:
        SettingError: if there is no such metric.
        LackingMetric: if a record does not have it; the mean of the others would be another row's.
    """
    if metric.endswith(BEST):
        every = summarise(records, metric.removesuffix(BEST))
        return Summary(every.best, None, every.best, every.best, every.n, None)
    return Summary.of(_values(records, metric), lower_is_better=named(metric).direction == "lower")


def _values(records: Sequence[Record], metric: str) -> list[float]:
    if lacking := [record for record in records if metric not in record.metrics]:
        raise LackingMetric(lacking[0], metric, in_none=len(lacking) == len(records))
    return [record.metrics[metric] for record in records]


def exceeding(records: Sequence[Record], others: Sequence[Record], metric: str) -> Summary:
    """Difference of the means of two groups of records, with Welch's 95 % interval if both have two seeds.

    Where no seed differs from the others of its group, the interval is the difference itself.
    """
    return apart(_values(records, metric), _values(others, metric))


def apart(values: Sequence[float], base: Sequence[float]) -> Summary:
    """Difference of the means of two groups of values, with Welch's 95 % interval as in :func:`exceeding`."""
    mean = float(np.mean(values) - np.mean(base))
    interval = None
    if np.ptp(values) == np.ptp(base) == 0 and min(len(values), len(base)) > 1:
        interval = mean, mean
    elif min(len(values), len(base)) > 1:
        low, high = stats.ttest_ind(values, base, equal_var=False).confidence_interval()
        interval = float(low), float(high)
    return Summary(mean, None, mean, mean, min(len(values), len(base)), interval)


def judge(reported: Reported, measured: Summary) -> str:
    """Verdict of one reported number: ``reproduced``, ``partly`` or ``not reproduced``.

    Reproduced: the means differ by no more than the declared tolerance (``TOLERANCE`` without one).
    Partly: they differ by more, but Welch's 95 % interval of their difference holds zero; or, where the paper gives no
    standard deviation, Student's 95 % interval of our mean holds the paper's number.
    A threshold of ours that stands in for a number is reproduced if the mean lies on its right side, and partly if the
    mean does not and its 95 % interval reaches over to that side.
    """
    if reported.mean is None:
        low = -math.inf if reported.above is None else reported.above
        high = math.inf if reported.below is None else reported.below
        if low < measured.mean < high:
            return "reproduced"
        lowest, highest = measured.interval or (measured.mean, measured.mean)
        return "partly" if highest > low and lowest < high else "not reproduced"
    difference = measured.mean - reported.mean
    if abs(difference) <= (TOLERANCE if reported.tolerance is None else reported.tolerance):
        return "reproduced"
    if reported.sd is None or measured.sd is None:
        inside = measured.interval is not None and measured.interval[0] <= reported.mean <= measured.interval[1]
        return "partly" if inside else "not reproduced"
    if reported.sd == measured.sd == 0:  # the interval is the difference itself
        return "not reproduced"
    paper, ours = (reported.mean, reported.sd, ASSUMED_REPORTED_SEEDS), (measured.mean, measured.sd, measured.n)
    p = stats.ttest_ind_from_stats(*paper, *ours, equal_var=False).pvalue
    return "partly" if p >= 0.05 else "not reproduced"


def published_records(row: Row, profile: Profile | None = None) -> tuple[Profile | None, list[Record]]:
    """Profile and published records of a row: at the given profile, or at the most faithful complete one.

    Without a given profile only ``paper``, ``long`` and ``quick`` count, and only if no seed is missing.  ``demo`` has
    to be requested: on other data it says nothing about the paper's number.  Of a given profile the published seeds are
    returned even if others are missing; see `whole_row`.
    """
    if row.settings is None:
        return None, []
    for candidate in WITHOUT_DEMO if profile is None else (profile,):
        if candidate not in row.profiles:
            continue
        seeds = row.seeds(candidate)
        by_seed = find(row.config(candidate), seeds, [published()])
        if len(by_seed) == len(seeds) or (profile is not None and by_seed):
            return candidate, [by_seed[seed] for seed in sorted(by_seed)]
    return None, []


def whole_row(row: Row, profile: Profile) -> list[Record]:
    """Published records of a row at a profile, one of every declared seed; none if a seed is missing."""
    _, records = published_records(row, profile)
    return records if records and len(records) == len(row.seeds(profile)) else []


@dataclass(frozen=True)
class Verdict:
    """A number that a paper reports, what was measured here, and whether the two agree.

    All numbers are in the unit of the metric: per cent, nats, or a count.

    Attributes:
        paper: short name of the paper.
        table: table or figure of the paper.
        row: the row as ``experiment/row``.
        label: the row in words.
        dataset: name of the paper's data set.
        metric: full name of the metric; with the suffix ``_best`` the paper's number is that of its best run.
        name: name of the metric in the paper.
        reported_mean, reported_sd: the paper's number and its standard deviation, None where it gives none.
        below, above: thresholds of ours where the paper gives no number.
        measured_mean, measured_sd, measured_median, measured_best: statistics of the seeds, of the best one alone for
            a metric ``_best``; None if nothing was run, or a seed diverged.
        n_seeds: how many seeds were run.
        ci_low, ci_high: 95 % interval of the measured mean; None for a single seed.
        profile: profile of the runs, or None.
        fidelity: how near the data is to the paper's; None if nothing was run.
        stand_in: what replaced the paper's data, or None.
        quoted: whether the paper quotes the number of another method, which is not run here.
        tolerance: declared difference up to which the number counts as reproduced, or None.
        verdict: ``reproduced``, ``partly``, ``not reproduced``, ``surrogate data``, ``subset of the data``, ``smaller
            run``, ``not run`` or ``quoted``.
        own: whether the row is of the paper's own model.
        second_reading: whether another row reads the same number in another way, and comes first.
        seeds: what every seed gave that did not diverge, also where ``reported_mean`` is of the best run.
        lost: which seed diverged, so that the row has no mean, or None.
        anchor: place on the page of verdicts, such as ``vlac-table1-gm-dgm-test-ari``.
    """

    paper: str
    table: str
    row: str
    label: str
    dataset: str
    metric: str
    name: str
    reported_mean: float | None
    reported_sd: float | None
    below: float | None
    above: float | None
    measured_mean: float | None
    measured_sd: float | None
    measured_median: float | None
    measured_best: float | None
    n_seeds: int
    ci_low: float | None
    ci_high: float | None
    profile: Profile | None
    fidelity: Fidelity | None
    stand_in: str | None
    quoted: bool
    tolerance: float | None
    verdict: str
    own: bool
    second_reading: bool
    seeds: tuple[float, ...]
    lost: str | None
    anchor: str

    @property
    def remark(self) -> str:
        """Remark beside the verdict: ``rebuilt data`` if a number on such data was compared, otherwise empty."""
        return "rebuilt data" if self.verdict in COMPARED and self.fidelity == "rebuilt" else ""

    @property
    def reported_interval(self) -> tuple[float, float] | None:
        """95 % interval of the paper's mean, by Student's t with five runs assumed; None where it gives no spread."""
        if self.reported_mean is None or self.reported_sd is None:
            return None
        quantile = float(stats.t.ppf(0.975, ASSUMED_REPORTED_SEEDS - 1))
        half = quantile * self.reported_sd / math.sqrt(ASSUMED_REPORTED_SEEDS)
        return self.reported_mean - half, self.reported_mean + half


def verdicts() -> list[Verdict]:
    """Verdict of every reported number of every declared experiment, in the order of declaration.

    A row in which a seed diverged has no mean: it is not reproduced, and ``lost`` names the seed.

    Raises:
        LackingMetric: if a record lacks a metric though its training did not diverge.
    """
    found = []
    for name in declaration.names():
        experiment = declaration.load(name)
        for row in experiment.rows.values():
            profile, records = published_records(row)
            found += [_verdict(experiment, row, reported, profile, records) for reported in row.reported]
    return found


def _verdict(
    experiment: declaration.Experiment, row: Row, reported: Reported, profile: Profile | None, records: list[Record]
) -> Verdict:
    measured, lost = _measured(records, reported.metric)
    fidelity, stand_in = data_of(row, records[0]) if records else (None, None)
    if row.quoted:
        verdict = "quoted"
    elif profile is None:
        verdict = "not run"
    elif profile != "paper":
        verdict = "smaller run"  # its numbers are shown, not judged
    elif fidelity in NOT_COMPARED:
        verdict = NOT_COMPARED[fidelity]
    else:
        verdict = judge(reported, measured) if measured else "not reproduced"  # a seed diverged
    interval = measured.interval if measured and measured.interval else (None, None)
    name = reported.metric.removesuffix(BEST)
    return Verdict(
        paper=experiment.paper,
        table=experiment.table,
        row=row.place,
        label=_label(row),
        dataset=row.dataset,
        metric=reported.metric,
        name=reported.name,
        reported_mean=reported.mean,
        reported_sd=reported.sd,
        below=reported.below,
        above=reported.above,
        measured_mean=measured.mean if measured else None,
        measured_sd=measured.sd if measured else None,
        measured_median=measured.median if measured else None,
        measured_best=measured.best if measured else None,
        n_seeds=len(records),
        ci_low=interval[0],
        ci_high=interval[1],
        profile=profile,
        fidelity=fidelity,
        stand_in=stand_in,
        quoted=row.quoted,
        tolerance=reported.tolerance,
        verdict=verdict,
        own=is_own(experiment, row),
        second_reading=row.second_reading,
        seeds=tuple(record.metrics[name] for record in records if name in record.metrics),
        lost=lost,
        anchor=anchor(row, reported),
    )


def _label(row: Row) -> str:
    """Label of a row, which says where a method was fitted on all points, and not only scored on them."""
    on_all = (row.settings or {}).get("data", {}).get("fit_on") == "all"
    return f"{row.label}, fitted on all points" if on_all else row.label


def _measured(records: Sequence[Record], metric: str) -> tuple[Summary | None, str | None]:
    """Statistics of a metric, or else which seed diverged; neither where there are no records."""
    try:
        return summarise(records, metric) if records else None, None
    except LackingMetric as lacking:
        if not lacking.diverged:
            raise
        return None, lacking.short


def is_own(experiment: declaration.Experiment, row: Row) -> bool:
    """Whether a row is of the paper's own model, and not of one that it compares with."""
    models = paper(experiment.paper).own_models
    return row.settings is not None and row.settings.get("model", {}).get("name") in models


def anchor(row: Row, reported: Reported) -> str:
    """Name of the place of a reported number on the page of verdicts, such as ``vlac-table1-gm-dgm-test-ari``."""
    return re.sub(r"[^a-z0-9]+", "-", f"{row.experiment} {row.name} {reported.metric}".lower())


def data_of(row: Row, record: Record) -> tuple[Fidelity, str | None]:
    """Fidelity of the data of a record to the paper's, and what replaced those, or None for the paper's own.

    The replacement is another data set, or another form of the same.
    """
    name, variant = record.data["name"], record.data["variant"]
    source = sources().get(name)  # None of a user's own file
    if name != row.dataset:
        known = source is not None and source.stands_in_for == row.dataset
        return (source.fidelity if source and known else "surrogate"), name
    fidelity: Fidelity = source.variant(variant).fidelity if source else "exact"
    return fidelity, None if fidelity == "exact" else f"{name} ({variant})"


STATISTICS = ("mean", "mean±sd", "median", "best", "worst", "n", "seeds", "reported")


def number(key: str) -> str:
    """Published number as text for the prose, by ``experiment/row[@profile]/metric/statistic``.

    Args:
        key: such as ``simple-table1/proposed-mnist/test.acc_hungarian/mean``; statistics are mean,
            mean±sd, median, best, worst, n (how many seeds), seeds (all values), and reported (by the paper).

    Raises:
        KeyError: if any part is unknown or nothing is published for it.
        LackingMetric: if one of the seeds lacks the metric, as a diverged one does.
    """
    try:
        experiment_name, row_name, metric, statistic = key.split("/")
        row_name, _, profile = row_name.partition("@")
        row = declaration.load(experiment_name).row(row_name)
        if statistic not in STATISTICS:
            raise SettingError(nearest(statistic, STATISTICS, "statistic"))
        requested = declaration.parse_profile(profile) if profile else None
    except (ValueError, SettingError) as error:
        raise KeyError(f"The number {key!r} cannot be looked up: {error}") from error
    if statistic == "reported":
        reported = [r.mean for r in row.reported if r.metric == metric and r.mean is not None]
        if not reported:
            raise KeyError(f"The paper reports no number for {key!r}.")
        return signed(reported[0])
    records = whole_row(row, requested) if requested else published_records(row)[1]
    if not records:
        raise KeyError(f"Nothing is published for {key!r}, or not all of its seeds.")
    if not is_measured(records, metric):
        raise KeyError(nearest(metric, records[0].metrics, f"metric, asked for by {key!r},"))
    summary = summarise(records, metric)
    if statistic == "mean±sd" and summary.sd is None:
        raise KeyError(f"A single seed has no standard deviation: {key!r}.")
    digits = named(metric).decimals
    of_seed = digits if named(metric).unit else 0  # what one seed counts is a whole number
    worst = Summary.of(_values(records, metric), lower_is_better=named(metric).direction != "lower").best
    return {
        "mean": signed(summary.mean, digits),
        "mean±sd": with_sd(summary.mean, summary.sd, digits),
        "median": signed(summary.median, digits),
        "best": signed(summary.best, of_seed),
        "worst": signed(worst, of_seed),
        "n": str(summary.n),
        "seeds": ", ".join(signed(record.metrics[metric], of_seed) for record in records),
    }[statistic]
