"""What the papers claim in words, judged by rule from the published records.

A claim is declared beside the rows that bear on it, with conditions about their means.  A condition about a difference
of two rows is judged where both were run at profile ``long`` or ``paper``; one about a mean alone only where that mean
may be compared with the paper's, as for a reported number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from genclust.data import Fidelity
from genclust.experiments import declaration
from genclust.experiments.declaration import WITHOUT_DEMO, Claim, Condition, Experiment, Profile, Row
from genclust.experiments.papers import dataset_title, papers
from genclust.experiments.store import Record
from genclust.experiments.verdicts import (
    NOT_COMPARED,
    Summary,
    data_of,
    exceeding,
    is_measured,
    summarise,
    whole_row,
)
from genclust.metrics import named
from genclust.wording import MINUS, threshold

#: What a claim can come out as, from the best to the least certain.
Verdict = Literal["holds", "holds in part", "does not hold", "cannot be told at this size"]
VERDICTS: tuple[Verdict, ...] = ("holds", "holds in part", "does not hold", "cannot be told at this size")
HOLDS, IN_PART, FAILS, UNKNOWN = VERDICTS
#: The profile whose runs are too short to decide, either way, what a paper says of longer ones.
TOO_SHORT: Profile = "quick"


@dataclass(frozen=True)
class Evidence:
    """A condition of a claim, what was measured for it, and what follows.

    Attributes:
        condition: the declared condition.
        row: the row that was looked at.
        over: the row that was subtracted from it, or None.
        profile: the profile of the runs, or None without any.
        measured: mean of the metric or of the difference, with its 95 % interval, in the metric's unit; None without.
        seeds: number of seeds of the row, and of the other one; empty without runs.
        fidelity: how near the data are to the paper's, or None without runs.
        stand_in: what replaced the paper's data, or None.
        verdict: whether the condition holds.
    """

    condition: Condition
    row: Row
    over: Row | None
    profile: Profile | None
    measured: Summary | None
    seeds: tuple[int, ...]
    fidelity: Fidelity | None
    stand_in: str | None
    verdict: Verdict


@dataclass(frozen=True)
class Judgement:
    """A claim of a paper with its evidence and the verdict that follows from it."""

    paper: str
    experiment: str
    claim: Claim
    evidence: tuple[Evidence, ...]

    @property
    def verdict(self) -> Verdict:
        """What follows from all conditions together, see :func:`combined`."""
        return combined([one.verdict for one in self.evidence])

    @property
    def anchor(self) -> str:
        """Name of the claim's place on the page of verdicts."""
        return f"claim-{self.experiment}-{self.claim.name}"

    def as_plain(self) -> dict[str, Any]:
        """The claim, its verdict and its evidence as plain values, with None for what was not measured."""
        evidence = [
            {
                **{"row": one.row.place, "metric": one.condition.metric},
                "over": one.over.place if one.over else None,
                **{"above": one.condition.above, "below": one.condition.below},
                "mean": one.measured.mean if one.measured else None,
                "interval": one.measured.interval if one.measured else None,
                "seeds": list(one.seeds),
                **{"profile": one.profile, "fidelity": one.fidelity, "stand_in": one.stand_in},
                "verdict": one.verdict,
            }
            for one in self.evidence
        ]
        about = {"paper": self.paper, "claim": self.claim.text, "where": self.claim.where}
        return about | {"verdict": self.verdict, "anchor": self.anchor, "evidence": evidence}


def judged_claims(paper: str | None = None) -> list[Judgement]:
    """Every declared claim with its verdict, in the order of the book; those of one paper if it is named.

    Raises:
        SettingError: if a declaration is malformed.
        StoreError: if a record cannot be read, or lacks a metric that others of its row have.
    """
    experiments = [experiment for experiment in map(declaration.load, declaration.names()) if experiment.claims]
    order = list(papers()) if paper is None else [paper]
    return [
        Judgement(name, experiment.name, claim, tuple(weigh(experiment, one) for one in claim.conditions))
        for name in order
        for experiment in experiments
        if experiment.paper == name
        for claim in experiment.claims
    ]


def combined(parts: Sequence[Verdict]) -> Verdict:
    """Verdict of a claim from those of its conditions.

    It holds if all do, and in part if some do.  If none does, one that fails is enough for the claim to fail.
    """
    if all(part == HOLDS for part in parts):
        return HOLDS
    if HOLDS in parts:
        return IN_PART
    return FAILS if FAILS in parts else UNKNOWN


def side(measured: Summary, condition: Condition) -> Verdict:
    """On which side of the bound of a condition the 95 % interval lies; a single seed has none and so does not tell."""
    if measured.interval is None:
        return UNKNOWN
    low, high = measured.interval
    if condition.above is not None:
        return HOLDS if low > condition.above else FAILS if high < condition.above else UNKNOWN
    assert condition.below is not None
    return HOLDS if high < condition.below else FAILS if low > condition.below else UNKNOWN


def alike(records: Sequence[Record], others: Sequence[Record], metric: str) -> bool:
    """Whether a metric of two groups of records is on the same data, and measured in the same way.

    A log-likelihood is, if images were turned into bits by the same draw and divisor and it is of as many samples.
    """

    def protocol(record: Record) -> tuple[object, ...]:
        data = record.data["digest"], record.data["sizes"]
        if named(metric).unit != "nats":
            return data
        split = metric.partition(".")[0]
        bits = record.config["model"].get("divisor"), record.metrics.get(f"{split}.binarisation_seed")
        return *data, *bits, record.metrics.get(f"{split}.log_likelihood_samples")

    group = [*records, *others]
    known = is_measured(records, metric) and is_measured(others, metric)
    return known and all(protocol(record) == protocol(group[0]) for record in group)


def weigh(experiment: Experiment, condition: Condition) -> Evidence:
    """Judge a condition by the published records: at the most faithful profile that bears on it.

    Of a difference that is the first profile, from ``paper`` down to ``quick``, at which both rows are whole and
    :func:`alike`; at ``quick`` it is shown and not judged.  A mean alone is shown from the same profiles, and judged
    only where it may be compared with the paper's: at ``paper``, and on data that are not a stand-in.
    """
    for name, other in condition.pairs:
        row, over = _row(experiment, name), _row(experiment, other) if other else None
        for profile in WITHOUT_DEMO:
            if profile not in row.profiles or (over and profile not in over.profiles):
                continue
            records = whole_row(row, profile)
            if not is_measured(records, condition.metric):
                continue
            fidelity, stand_in = data_of(row, records[0])
            if over is None:
                measured = summarise(records, condition.metric)
                comparable = profile == "paper" and fidelity not in NOT_COMPARED
                verdict = side(measured, condition) if comparable else UNKNOWN
                return Evidence(condition, row, None, profile, measured, (len(records),), fidelity, stand_in, verdict)
            others = whole_row(over, profile)
            if others and alike(records, others, condition.metric):
                measured = exceeding(records, others, condition.metric)
                verdict = UNKNOWN if profile == TOO_SHORT else side(measured, condition)
                seeds = len(records), len(others)
                return Evidence(condition, row, over, profile, measured, seeds, fidelity, stand_in, verdict)
    row, over = _row(experiment, condition.row), _row(experiment, condition.over) if condition.over else None
    return Evidence(condition, row, over, None, None, (), None, None, UNKNOWN)


def _row(experiment: Experiment, place: str) -> Row:
    return declaration.row_of(place) if "/" in place else experiment.row(place)


def in_words(part: Evidence) -> tuple[str, str, str, str]:
    """A condition of a claim in four parts: its rows, data and metric, the measurement, the rule, and the runs.

    Where nothing was run, the second part says so and the last is empty.
    """
    rows = part.row.label if part.over is None else f"{part.row.label} over {part.over.label}"
    metric, data = named(part.condition.metric), dataset_title(part.stand_in or part.row.dataset)
    on = "" if data.lower() in rows.lower() else f" on {data}"
    rule = f"holds if {threshold(part.condition.below, part.condition.above)}"
    what = f"{rows}{on}: {metric.title}"
    if part.measured is None:
        return what, "not run", rule, ""
    digits = metric.decimals
    value = f"{part.measured.mean:.{digits}f}"
    if part.measured.interval:
        low, high = part.measured.interval
        if metric.unit == "%" and part.over is None:
            high = min(high, 100.0)  # of a mean of per cents, a t interval of few seeds may reach beyond
        value += f" [{low:.{digits}f}, {high:.{digits}f}]"
    unit = "points" if part.over and metric.unit == "%" else metric.unit
    value += f" {unit}" if unit else ""
    seeds = " and ".join(map(str, dict.fromkeys(part.seeds)))
    runs = f"{part.profile}, {seeds} seed{'s' * (seeds != '1')}" + (", surrogate" * (part.fidelity == "surrogate"))
    return what, value.replace("-", MINUS), rule, runs
