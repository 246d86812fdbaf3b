"""Comparisons between rows, and of every seed with the paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from genclust.experiments.access import Runs
from genclust.experiments.columns import values
from genclust.experiments.store import Record
from genclust.experiments.tables import difference, signed


def differences(
    found: Mapping[str, Runs], pairs: Iterable[tuple[str, str, str, float | None]], metric: str, paper: str = "paper"
) -> pd.DataFrame:
    """Differences between the means of two rows, reported and measured.

    Args:
        found: the records of the rows by name.
        pairs: of each difference a text, the row that is subtracted from, the row that is subtracted, and what the
            difference is expected to exceed, or None.
        metric: whose means are compared; measured with Welch's 95 % interval.
        paper: the heading of what the first reported numbers of the two rows give.
    """
    lines = []
    for text, first, second, target in pairs:
        numbers = [found[name].row.reported[0].mean for name in (first, second) if found[name].row.reported]
        known = [number for number in numbers if number is not None]
        lines.append(
            {
                "": text,
                paper: signed(known[0] - known[1]) if len(known) == 2 else "–",
                "target": "–" if target is None else f"more than {target:g}",
                "measured": difference(found[first], found[second], metric),
            }
        )
    return pd.DataFrame(lines)


def selection(runs: Sequence[Record], by: str, metric: str) -> dict[str, str]:
    """What leaving out seeds would do: the mean of the best one, the best two, and so on.

    Args:
        runs: the records.
        by: the metric that the seeds are ordered by, from the greatest.
        metric: whose means are given, under ``best 1``, ``best 2``, …
    """
    ranked = values(sorted(runs, key=lambda run: -run.metrics[by]), metric)
    return {f"best {k}": f"{sum(ranked[:k]) / k:.1f}" for k in range(1, len(ranked) + 1)}


Seen = dict[str, list[float]]
Stated = dict[str, tuple[float, float | None]]


def seeds_and_paper(found: Mapping[str, Runs], metric: str = "") -> tuple[Seen, Stated]:
    """The values of every seed, and the paper's mean and standard deviation, for a figure of both.

    Args:
        found: the records of rows by the names that they have in the figure; rows without records are left out.
        metric: what the first reported number of each row is compared with.  Without one all reported numbers are
            shown, each beside its own metric and with its name below that of the row.
    """
    seen: Seen = {}
    stated: Stated = {}
    for name, runs in found.items():
        for number in (runs.row.reported[:1] if metric else runs.row.reported) if runs else ():
            if number.mean is not None:
                place = name if metric else f"{name}\n{number.name}"
                seen[place] = values(runs, metric or number.metric)
                stated[place] = number.mean, number.sd
    return seen, stated
