"""What one would do today: every method on one data set, from k-means on, under two protocols and at what cost.

A *rung* is one method on one data set.  Under protocol A it is fitted on the training split and scored on the test
split; under protocol B, that of most papers on clustering, it is fitted and scored on all points.  Nothing is run here:
a rung shows the most faithful profile of which every declared seed is published, or that there is none.

"Accuracy" is the Hungarian one, in per cent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from genclust.data import sources
from genclust.evaluation.agreement import agreement
from genclust.experiments import declaration
from genclust.experiments.access import Runs
from genclust.experiments.declaration import Reported, Row
from genclust.experiments.naming import profile_of
from genclust.experiments.papers import dataset_title
from genclust.experiments.planning import threads_of
from genclust.experiments.store import Record
from genclust.experiments.verdicts import Summary, apart, whole_row
from genclust.pages.columns import Column, each_seed, label, seeds, table, values
from genclust.pages.tables import difference, measured, reported, seeds_of, with_ends
from genclust.settings import SettingError, nearest
from genclust.wording import signed

#: Data sets by the names that rows give them, with the ends of the names of their rows.
DATA = {"mnist": "mnist", "usps": "usps", "reuters10k": "reuters"}
#: End of the name of a row under protocol B; ends of the names of rows that quote re-implementations.
ON_ALL, QUOTED = "-all", ("-toy", "-keras")
#: Rows of other tables that stand in the ladder as well, under protocol A, with their labels there.
ELSEWHERE = {"gmvae-table1/gmvae-k10-m1": "GMVAE", "cagem-table1/cagem-0-k10": "CaGeM"}
TEST, ALL, VALIDATION = "test.acc_hungarian", "all.acc_hungarian", "validation.acc_hungarian"
NOT_RUN = "not run"
#: Methods by what they learn, by the name of the model.
FAMILIES = {
    **dict.fromkeys(("kmeans", "gmm", "spectral", "umap"), "no network"),
    **dict.fromkeys(("autoencoder", "n2d", "dec", "idec", "dcn"), "autoencoder"),
    **dict.fromkeys(("vade", "gumbel", "gmvae", "cagem"), "generative model"),
    **dict.fromkeys(("imsat", "splitmerge"), "classifier, by mutual information"),
}
#: Points in per cent within which two accuracies count as much the same when the cheaper one is named.
CLOSE = 2.0
#: Which of two methods the rules for own data put first, by the names of their rows without the data set.
CONTESTS = (
    ("umap-gmm", "kmeans"),
    ("umap-gmm", "umap-kmeans"),
    ("n2d", "umap-gmm"),
    ("idec", "ae-kmeans"),
    ("proposed", "kmeans"),
    ("proposed", "umap-gmm"),
    ("imsat", "umap-gmm"),
    ("split-merge", "umap-gmm"),
)


@dataclass(frozen=True)
class Rung:
    """One method on one data set.

    Attributes:
        method: name of its row without the data set, such as ``umap-gmm``.
        fitted: records under protocol A; none if it was not run.
        on_all: records under protocol B; None if no row is declared.
        stated: numbers of sources under protocol B by who measured them; the empty name is that of the papers.
    """

    method: str
    fitted: Runs
    on_all: Runs | None = None
    stated: Mapping[str, Reported] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.fitted.row.label

    @property
    def family(self) -> str:
        """What the method learns, one of the values of ``FAMILIES``."""
        settings = self.fitted.row.settings or {}
        return FAMILIES[settings["model"]["name"]]

    @property
    def minutes(self) -> list[float]:
        """Core-minutes of every seed under protocol A; NaN on a GPU."""
        return [core_minutes(record) for record in self.fitted]

    @property
    def accuracy(self) -> float:
        """Mean accuracy under protocol A; NaN without records."""
        return float(np.mean(values(self.fitted, TEST))) if self.fitted else math.nan


def core_minutes(record: Record) -> float:
    """Minutes of training times threads; NaN on a GPU.

    Of seeds that trained side by side each has its share, and of an autoencoder that serves several methods each method
    has the whole time.
    """
    threads = threads_of(record)
    return math.nan if threads is None else threads * record.seconds / 60


def mean_agreement(found: Sequence[Record]) -> float:
    """Mean adjusted Rand index over all pairs of seeds, of their clusters on the test split.

    NaN for fewer than two seeds, and where a record does not keep clusters.
    """
    kept = [record.arrays().get("clusters_test") for record in found]
    if len(kept) < 2 or any(one is None for one in kept):
        return math.nan
    return float(agreement(np.stack(kept)).mean())  # type: ignore[arg-type]


def rungs(dataset: str) -> list[Rung]:
    """All methods on a data set, in the order of their declaration: from k-means on, today's last.

    Args:
        dataset: one of ``DATA``.

    Raises:
        SettingError: for another data set, with the nearest.
    """
    if dataset not in DATA:
        raise SettingError(nearest(dataset, DATA, "data set of the ladder"))
    rows = declaration.load("baselines").rows
    end = f"-{DATA[dataset]}"
    found = [
        _rung(row, name.removesuffix(end), rows)
        for name, row in rows.items()
        if row.dataset == dataset and row.settings is not None and name.endswith(end)
    ]
    for place, called in ELSEWHERE.items():
        row = replace(declaration.row_of(place), label=called)
        if row.dataset == dataset:
            found.append(Rung(row.name, Runs.published(row)))
    return found + [
        _rung(row, name.removesuffix(end), {})
        for name, row in declaration.load("today").rows.items()
        if row.dataset == dataset and name.endswith(end)
    ]


def _rung(row: Row, method: str, rows: Mapping[str, Row]) -> Rung:
    on_all = rows.get(row.name + ON_ALL)
    stated = {}
    if number := _accuracy_of(on_all or row):
        stated[""] = number
    for end in QUOTED:
        if (other := rows.get(row.name + end)) and (number := _accuracy_of(other)):
            stated[other.label.rpartition("(")[2].rstrip(")")] = number
    runs = None if on_all is None else Runs.published(on_all)
    return Rung(method, Runs.published(row), runs, stated)


def _accuracy_of(row: Row) -> Reported | None:
    """The Hungarian accuracy that a source reports, whatever it was scored on; None where there is none."""
    of_kind = (n for n in row.reported if n.mean is not None and n.metric.endswith(".acc_hungarian"))
    return next(of_kind, None)


def caption(dataset: str) -> str:
    """Title of a data set's table; of a surrogate, with what the sources measured on."""
    name = _stand_in(dataset)
    if name == dataset:
        return dataset_title(name)
    return f"{dataset_title(name)} ({sources()[name].fidelity}; the sources: {dataset_title(dataset)})"


def title(dataset: str) -> str:
    """Title of the data that are measured, one of ``DATA`` or what stands in for it."""
    return dataset_title(_stand_in(dataset))


def _stand_in(dataset: str) -> str:
    row = declaration.load("baselines").row(f"kmeans-{DATA[dataset]}")
    return str((row.settings or {})["data"]["name"])


# ---- the ladder


def steps(found: Sequence[Rung]) -> pd.DataFrame:
    """Table of a ladder: one line per method, with both protocols, what sources report, agreement and cost."""
    lines = []
    for rung in found:
        lines.append(
            {
                "Method": rung.label,
                "A: test split": _score(TEST)(rung.fitted),
                "B: all points": "–" if rung.on_all is None else _score(ALL)(rung.on_all),
                "sources": _stated(rung),
                "agreement of seeds (A)": _or_dash(mean_agreement(rung.fitted), 2),
                "core-minutes per seed (A)": _cost(rung.fitted),
                "Seeds, A / B": _seeds(rung),
            }
        )
    return pd.DataFrame(lines)


def _stated(rung: Rung) -> str:
    """Numbers of all sources; one that is not of all points is marked ``t``."""
    parts = [
        f"{who} {reported(number)}".strip() + ("" if number.metric == ALL else "<sup>t</sup>")
        for who, number in rung.stated.items()
    ]
    return "; ".join(parts) or "–"


def _seeds(rung: Rung) -> str:
    """Seeds under A and under B, where a row is declared; once "not run" if that is so of both."""
    of_fit = seeds_of(rung.fitted.row, rung.fitted)
    if rung.on_all is None or not (rung.fitted or rung.on_all):
        return of_fit
    return f"{of_fit} / {seeds_of(rung.on_all.row, rung.on_all)}"


def _score(metric: str) -> Column:
    """Column with ``mean ± sd`` of a metric, or that there are no records."""
    return lambda runs: measured(runs, metric, 1) if runs else NOT_RUN


def _or_dash(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else signed(value, digits)


def _cost(found: Sequence[Record]) -> str:
    """Core-minutes of a seed, the median, with two significant digits, and whole from ten on; a dash on a GPU."""
    minutes = _median_minutes(found)
    if math.isnan(minutes):
        return "–"
    return f"{minutes:,.0f}" if minutes >= 10 else f"{minutes:.2g}"


def _median_minutes(found: Sequence[Record]) -> float:
    return float(np.median([core_minutes(record) for record in found])) if found else math.nan


def finding(dataset: str, found: Sequence[Rung]) -> str:
    """Sentences on a ladder: how much of it is measured, where it begins, and the best for its cost so far."""
    run = [rung for rung in found if rung.fitted]
    begin = f"**{title(dataset)}.**"
    if not run:
        return f"{begin} None of the {len(found)} methods has been run yet."
    how_many = f"All {len(found)}" if len(run) == len(found) else f"{len(run)} of the {len(found)}"
    text = [f"{begin} {how_many} methods are measured under protocol A."]
    best = max(run, key=lambda rung: rung.accuracy)
    first = run[0]
    if first is not best:
        text.append(f"The simplest, {first.label}, is at {_where(first)}.")
    text.append(f"The most accurate{'' if len(run) == len(found) else ' so far'} is {best.label}, at {_where(best)}.")
    costs = {rung.method: _median_minutes(rung.fitted) for rung in run}
    close = [rung for rung in run if rung.accuracy >= best.accuracy - CLOSE and not math.isnan(costs[rung.method])]
    cheapest = min(close, key=lambda rung: costs[rung.method], default=best)
    if cheapest is not best:
        text.append(f"Within {CLOSE:g} points of it, the cheapest is {cheapest.label}, at {_where(cheapest)}.")
    return " ".join(text)


def _where(rung: Rung) -> str:
    cost = _cost(rung.fitted)
    return f"{rung.accuracy:.1f} %" + ("" if cost == "–" else f" for {cost} core-minutes per seed")


# ---- what the protocol alone is worth


def protocols(ladders: Mapping[str, Sequence[Rung]]) -> pd.DataFrame:
    """Table of accuracy under protocol B minus that under A, in points, for every method with a record under either.

    The difference has two parts: the same fit is scored on other points, and the fit has seen more points.  All means
    over seeds; in brackets 95 % intervals, of the first part over pairs, of the others Welch's.

    Args:
        ladders: the methods by data set.
    """
    lines = []
    for dataset, found in ladders.items():
        for rung in found:
            if rung.on_all is None or not (rung.fitted or rung.on_all):
                continue
            both = bool(rung.fitted and rung.on_all)
            lines.append(
                {
                    "Data": title(dataset),
                    "Method": rung.label,
                    "B − A": with_ends(apart(values(rung.on_all, ALL), values(rung.fitted, TEST))) if both else NOT_RUN,
                    "other points scored": same_fit(rung.fitted) if rung.fitted else NOT_RUN,
                    "more points fitted": with_ends(apart(values(rung.on_all, ALL), values(rung.fitted, ALL)))
                    if both
                    else NOT_RUN,
                }
            )
    columns = ["Data", "Method", "B − A", "other points scored", "more points fitted"]
    return pd.DataFrame(lines, columns=columns)


def unpaired(ladders: Mapping[str, Sequence[Rung]]) -> str:
    """Sentence on how many methods have been run under both protocols, and so show what the protocol is worth."""
    declared = [rung for found in ladders.values() for rung in found if rung.on_all is not None]
    run = sum(bool(rung.fitted and rung.on_all) for rung in declared)
    return f"Run under both protocols: {run} of {len(declared)} pairs of method and data set."


def same_fit(found: Sequence[Record]) -> str:
    """Accuracy on all points minus that on the test split, of the same fits, with its 95 % interval over seeds."""
    summary = Summary.of(np.subtract(values(found, ALL), values(found, TEST)).tolist())
    return with_ends(summary)


# ---- contests


def contests(ladders: Mapping[str, Sequence[Rung]]) -> pd.DataFrame:
    """Table of what one method gains over another under protocol A, by data set, in points with Welch's interval.

    Args:
        ladders: the methods by data set.
    """
    by_name = {data: {rung.method: rung for rung in found} for data, found in ladders.items()}
    lines = []
    for one, other in CONTESTS:
        pairs = {data: (found.get(one), found.get(other)) for data, found in by_name.items()}
        labels = next(((a.label, b.label) for a, b in pairs.values() if a and b), None)
        if labels:
            cells = {title(data): _contest(*pair) for data, pair in pairs.items()}
            lines.append({"": f"{labels[0]} over {labels[1]}"} | cells)
    return pd.DataFrame(lines)


def _contest(one: Rung | None, other: Rung | None) -> str:
    if one is None or other is None:
        return "–"
    if not (one.fitted and other.fitted):
        return NOT_RUN
    return with_ends(apart(values(one.fitted, TEST), values(other.fitted, TEST)))


# ---- split and merge


def parts_left_out() -> pd.DataFrame:
    """Table of split and merge on USPS as a whole, and with each part left out, on validation data.

    All at profile ``quick``, whose few seeds are the same for all rows; a row with a seed missing counts as not run.
    """
    rows = [row for row in declaration.load("today").runnable if row.name.startswith("usps-")]
    reference = declaration.load("today").row("split-merge-usps")
    whole, *others = (Runs(row, whole_row(row, "quick")) for row in (reference, *rows))
    found = {"": whole} | {runs.row.name: runs for runs in others}
    return table(
        found,
        {
            "": lambda runs: "the whole" if runs is whole else label(runs),
            "Validation ACC (Hungarian)": _score(VALIDATION),
            "each seed": each_seed(VALIDATION, 1),
            "against the whole": lambda runs: "–" if runs is whole else difference(runs, whole, VALIDATION),
        },
    )


def on_the_test_split() -> pd.DataFrame:
    """Table of split and merge and of IMSAT on the test splits of all data sets, beside their declared targets."""
    rows = [row for row in declaration.load("today").runnable if not row.name.startswith("usps-")]
    found = {row.name: Runs.published(row) for row in rows}
    return table(
        found,
        {
            "Data": lambda runs: dataset_title((runs.row.settings or {})["data"]["name"]),
            "Method": lambda runs: runs.row.label.split(",")[0],
            "ACC (Hungarian), test": _score(TEST),
            "lowest seed": lambda runs: f"{min(values(runs, TEST)):.1f}" if runs else "–",
            "target": _target,
            "agreement": lambda runs: _or_dash(mean_agreement(runs), 2),
            "core-minutes per seed": _cost,
            "Seeds": seeds,
        },
    )


def _target(runs: Runs) -> str:
    bound = next((number.above for number in runs.row.reported if number.above is not None), None)
    return "–" if bound is None else f"more than {bound:g}"


# ---- the figure


def drawn(found: Sequence[Rung]) -> dict[str, tuple[str, list[float], list[float]]]:
    """What a figure shows of a ladder: family, and core-minutes and accuracy of every seed, by the name of the method.

    Methods without a recorded cost are left out.  One that is shown at a smaller profile than ``paper`` says so.
    """
    shown = {}
    for rung in found:
        known = [(cost, score) for cost, score in zip(rung.minutes, values(rung.fitted, TEST), strict=True) if cost > 0]
        if known:
            profile = profile_of(rung.fitted.row, rung.fitted[0].config)
            name = rung.label if profile == "paper" else f"{rung.label} ({profile})"
            shown[name] = rung.family, [cost for cost, _ in known], [score for _, score in known]
    return shown
