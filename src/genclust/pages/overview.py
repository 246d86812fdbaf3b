"""The papers at a glance: how many verdicts of each kind there are, and the papers' own numbers beside the seeds."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from scipy import stats

from genclust.experiments import declaration
from genclust.experiments.claims import VERDICTS, judged_claims
from genclust.experiments.papers import papers
from genclust.experiments.verdicts import ASSUMED_REPORTED_SEEDS, COMPARED, WITHOUT_DEMO, as_plain, verdicts

#: Verdicts of numbers that were to be measured here, in the order in which they are counted.
OF_NUMBERS = (
    *COMPARED,
    *("surrogate data", "subset of the data", "smaller run", "not run"),
)
#: Page of the book on which every verdict has its place.
PAGE = "verdicts.html"


@dataclass(frozen=True)
class OwnNumber:
    """A number that a paper reports for its own model, and what was measured here.

    Attributes:
        paper: title of the paper.
        table: table or figure of the paper.
        row: the row as ``experiment/row``.
        label: the row in words.
        dataset: name of the paper's data set.
        metric: full name of the metric; with the suffix ``_best`` the paper's number is that of its best run.
        reported: the paper's mean, in the metric's unit, as all that follow.
        interval: 95 % interval of the paper's mean, by Student's t with five runs assumed where it gives a standard
            deviation; None where it gives none.
        measured: mean of the seeds, or of the best run; None if nothing was run, or a seed diverged.
        seeds: what every seed gave, also where ``reported`` is of the best run; empty if nothing was run.
        profile: profile of the runs, or None.
        stand_in: what replaced the paper's data, or None.
        verdict: the verdict of the number.
        link: address of its place in the book.
    """

    paper: str
    table: str
    row: str
    label: str
    dataset: str
    metric: str
    reported: float
    interval: tuple[float, float] | None
    measured: float | None
    seeds: tuple[float, ...]
    profile: str | None
    stand_in: str | None
    verdict: str
    link: str


def own_numbers() -> list[OwnNumber]:
    """Every number that a paper reports for its own model, in the order of the book, by its first reading.

    Raises:
        SettingError: if a declaration is malformed.
        StoreError: if a record cannot be read.
    """
    order = list(papers())
    lines = [line for line in _reported() if line["own"]]
    return [
        OwnNumber(
            paper=papers()[line["paper"]].title,
            table=line["table"],
            row=line["row"],
            label=line["label"],
            dataset=line["dataset"],
            metric=line["metric"],
            reported=line["reported_mean"],
            interval=_interval(line["reported_mean"], line["reported_sd"]),
            measured=line["measured_mean"],
            seeds=tuple(line["seeds"]),
            profile=line["profile"],
            stand_in=line["stand_in"],
            verdict=line["verdict"],
            link=f"{PAGE}#{line['anchor']}",
        )
        for line in sorted(lines, key=lambda line: order.index(line["paper"]))
    ]


def _interval(mean: float, sd: float | None) -> tuple[float, float] | None:
    if sd is None:
        return None
    half = float(stats.t.ppf(0.975, ASSUMED_REPORTED_SEEDS - 1)) * sd / math.sqrt(ASSUMED_REPORTED_SEEDS)
    return mean - half, mean + half


def _reported() -> list[dict[str, Any]]:
    """The verdicts on numbers of the papers, without bounds of ours and second readings."""
    return [line for line in as_plain(verdicts()) if line["reported_mean"] is not None and not line["second_reading"]]


def _number(line: Mapping[str, Any]) -> Hashable:
    """What makes two lines the same number of a paper: its value, metric and data set, and the model's settings."""
    experiment, _, name = line["row"].partition("/")
    row = declaration.load(experiment).row(name)
    model = row.config(next(profile for profile in WITHOUT_DEMO if profile in row.profiles)).model
    value = (line["reported_mean"], line["reported_sd"], line["metric"], line["dataset"])
    return line["paper"], *value, json.dumps(model, sort_keys=True)


def tally_of_numbers() -> Mapping[str, int]:
    """How many numbers of the papers have each verdict, in the order ``OF_NUMBERS``.

    Neither numbers that are only quoted count, nor second readings, nor bounds of ours.  A number that several rows
    declare, for other data in its place or in another table, counts once: by the first row that was judged, or else by
    the one whose verdict comes first in that order.
    """
    place = {verdict: 0 if verdict in COMPARED else i for i, verdict in enumerate(OF_NUMBERS)}
    lines = [line for line in _reported() if not line["quoted"]]
    of_number: dict[Hashable, str] = {}
    for line in sorted(lines, key=lambda line: place[line["verdict"]]):
        of_number.setdefault(_number(line), line["verdict"])
    counts = Counter(of_number.values())
    return {verdict: counts[verdict] for verdict in OF_NUMBERS if counts[verdict]}


def tally_of_claims() -> Mapping[str, int]:
    """How many claims have each verdict, in the order ``claims.VERDICTS``."""
    counts = Counter(judgement.verdict for judgement in judged_claims())
    return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}
