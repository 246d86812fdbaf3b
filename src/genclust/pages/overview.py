"""The papers at a glance: how many verdicts of each kind there are, and the papers' own numbers beside the seeds."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Mapping

from genclust.experiments import declaration
from genclust.experiments.claims import VERDICTS, judged_claims
from genclust.experiments.declaration import WITHOUT_DEMO
from genclust.experiments.papers import papers
from genclust.experiments.verdicts import COMPARED, Verdict, verdicts

#: Verdicts of numbers that were to be measured here, in the order in which they are counted.
OF_NUMBERS = (
    *COMPARED,
    *("surrogate data", "subset of the data", "smaller run", "not run"),
)


def own_numbers() -> list[Verdict]:
    """Verdicts of the numbers that papers report for their own models, in the order of the book, by first readings.

    Raises:
        SettingError: if a declaration is malformed.
        StoreError: if a record cannot be read.
    """
    order = list(papers())
    return sorted((one for one in _reported() if one.own), key=lambda one: order.index(one.paper))


def _reported() -> list[Verdict]:
    """The verdicts on numbers of the papers, without thresholds of ours and second readings."""
    return [one for one in verdicts() if one.reported_mean is not None and not one.second_reading]


def _number(one: Verdict) -> Hashable:
    """What makes two verdicts those of one number of a paper: its value, metric and data set, and the settings."""
    row = declaration.row_of(one.row)
    model = row.config(next(profile for profile in WITHOUT_DEMO if profile in row.profiles)).model
    value = (one.reported_mean, one.reported_sd, one.metric, one.dataset)
    return one.paper, *value, json.dumps(model, sort_keys=True)


def tally_of_numbers() -> Mapping[str, int]:
    """How many numbers of the papers have each verdict, in the order ``OF_NUMBERS``.

    Neither numbers that are only quoted count, nor second readings, nor thresholds of ours.  A number that several rows
    declare, for other data in its place or in another table, counts once: by the first row that was judged, or else by
    the one whose verdict comes first in that order.
    """
    place = {verdict: 0 if verdict in COMPARED else i for i, verdict in enumerate(OF_NUMBERS)}
    judged = [one for one in _reported() if not one.quoted]
    of_number: dict[Hashable, str] = {}
    for one in sorted(judged, key=lambda one: place[one.verdict]):
        of_number.setdefault(_number(one), one.verdict)
    counts = Counter(of_number.values())
    return {verdict: counts[verdict] for verdict in OF_NUMBERS if counts[verdict]}


def tally_of_claims(paper: str | None = None) -> Mapping[str, int]:
    """How many claims, of one paper if it is named, have each verdict, in the order ``claims.VERDICTS``."""
    counts = Counter(judgement.verdict for judgement in judged_claims(paper))
    return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}
