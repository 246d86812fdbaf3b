"""Comparisons of rows with each other, and of each seed with the paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pandas as pd

from genclust.experiments.access import Runs
from genclust.experiments.naming import is_published_form
from genclust.experiments.verdicts import is_measured
from genclust.pages.columns import each_seed, label, mean_sd, table, values
from genclust.pages.tables import difference, measured, reported, with_content
from genclust.wording import signed


def differences(
    found: Mapping[str, Runs], pairs: Iterable[tuple[str, str, str, float | None]], metric: str, paper: str = "paper"
) -> pd.DataFrame:
    """Table of differences between the means of two rows, reported and measured.

    Args:
        found: the records of the rows by name.
        pairs: for each difference a text, the row that is subtracted from, the row that is subtracted, and the value
            that the difference is expected to exceed, or None; those of rows that are not there are left out.
        metric: metric whose means are compared, with Welch's 95 % interval.
        paper: heading of the column with the difference of the first reported numbers.
    """
    lines = []
    for text, first, second, target in pairs:
        if not {first, second} <= found.keys():  # one of them was left out, or both are one run
            continue
        numbers = [found[name].row.reported[0].mean for name in (first, second) if found[name].row.reported]
        known = [number for number in numbers if number is not None]
        elsewhere = any(
            runs and not is_published_form(runs.row, runs[0].config) for runs in (found[first], found[second])
        )
        lines.append(
            {
                "": text,
                paper: signed(known[0] - known[1]) if len(known) == 2 else "–",
                "target": "–" if target is None or elsewhere else f"more than {target:g}",
                "measured": difference(found[first], found[second], metric),
            }
        )
    return with_content(pd.DataFrame(lines))


def selection(found: Mapping[str, Runs]) -> pd.DataFrame:
    """Table of the mean test accuracy of the best seed by validation accuracy, of the best two, and so on.

    It shows what leaving out seeds would do, beside the first number that the paper reports.  Of seeds with the same
    validation accuracy each counts with their mean, as whichever came first would be chosen by chance.
    """
    lines = []
    for runs in found.values():
        validation, test = (pd.Series(values(runs, f"{split}.acc_hungarian")) for split in ("validation", "test"))
        reached = test.groupby(validation).transform("mean")[validation.sort_values(ascending=False).index].tolist()
        stated = replace(runs.row.reported[0], sd=None)
        means = {f"best {k}": f"{sum(reached[:k]) / k:.1f}" for k in range(1, len(reached) + 1)}
        lines.append({"Test ACC (Hungarian)": runs.row.label, "paper": reported(stated)} | means)
    return pd.DataFrame(lines).fillna("")


def tries(found: Mapping[str, Runs]) -> pd.DataFrame:
    """Table of rows of ``simple-tries``, with their scores on validation data."""
    return table(
        found,
        {
            "Setting": label,
            "Validation ACC (Hungarian)": mean_sd("validation.acc_hungarian", 1),
            "each seed": each_seed("validation.acc_hungarian", 1),
            "Validation NMI (geometric)": mean_sd("validation.nmi_geometric", 1),
            "epochs": lambda runs: runs[0].config["training"]["epochs"] if runs else "–",
        },
    )


def measured_and_reported(found: Mapping[str, Runs]) -> pd.DataFrame:
    """Table with one line per row: every number that the paper reports for it, measured and reported."""
    lines = []
    for runs in found.values():
        line: dict[str, str | int] = {"Method": runs.row.label}
        for number in runs.row.reported:
            line[f"{number.name}, measured"] = "quoted" if runs.row.quoted else measured(runs, number.metric)
            line[f"{number.name}, paper"] = reported(number)
        lines.append(line | {"Seeds": len(runs) or "–"})
    return with_content(pd.DataFrame(lines))


Seen = dict[str, list[float]]
Stated = dict[str, tuple[float, float | None]]


def seeds_and_paper(found: Mapping[str, Runs], metric: str = "") -> tuple[Seen, Stated]:
    """Values of each seed, and the paper's mean and standard deviation where they belong, for a figure of both.

    Args:
        found: the records of rows by the names that they have in the figure; rows without records or without the
            metric, as for data without labels, are left out.
        metric: metric that the first reported number of each row is compared with.  Without one all reported numbers
            are shown, each beside its own metric and with its name below that of the row.
    """
    seen: Seen = {}
    stated: Stated = {}
    for name, runs in found.items():
        for number in (runs.row.reported[:1] if metric else runs.row.reported) if runs else ():
            place = name if metric else f"{name}\n{number.name}"
            if number.below is number.above is None and is_measured(runs, metric or number.metric):
                seen[place] = values(runs, metric or number.metric)
                if number.mean is not None:
                    stated[place] = number.mean, number.sd
    return seen, stated
