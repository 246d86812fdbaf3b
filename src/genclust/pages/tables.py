"""Tables of the book: measured values beside those that the paper reports."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import pandas as pd
from IPython.display import HTML

from genclust.experiments.access import Runs
from genclust.experiments.declaration import Reported, Row
from genclust.experiments.naming import is_published_form, profile_of
from genclust.experiments.papers import dataset_title
from genclust.experiments.store import Record
from genclust.experiments.unlabelled import WITHOUT_LABELS, sizes, summary_of
from genclust.experiments.verdicts import LackingMetric, Summary, data_of, exceeding, is_measured, summarise
from genclust.metrics import BEST, heading, named
from genclust.wording import signed, with_sd


def show(table: pd.DataFrame, caption: str = "") -> HTML:
    """HTML of a table that scrolls sideways on a narrow page; "K = 10" and "67 ± 6" are not broken over lines."""
    html = table.to_html(index=False, escape=False, border=0)
    if caption:
        html = html.replace(">", f"><caption>{caption}</caption>", 1)
    for sign in "=±":
        html = html.replace(f" {sign} ", f"&nbsp;{sign}&nbsp;")
    return HTML(f'<div class="scrolls">{html}</div>')


def with_ends(summary: Summary, digits: int = 1) -> str:
    """A mean with the ends of its interval, as in ``0.5 [−0.2, 1.3]``; the mean alone without one, a dash for NaN."""
    if math.isnan(summary.mean):
        return "–"
    ends = "" if summary.interval is None else " [" + ", ".join(signed(end, digits) for end in summary.interval) + "]"
    return signed(summary.mean, digits) + ends


def measured(found: Sequence[Record], metric: str, digits: int = 2) -> str:
    """``mean ± sd`` of a metric over the records, a dash where nothing was measured, or which seed has no value."""
    if not is_measured(found, metric.removesuffix(BEST)):
        return "–"
    try:
        summary = summarise(found, metric)
    except LackingMetric as lacking:
        return lacking.short
    return with_sd(summary.mean, summary.sd, digits)


def reported(number: Reported | None) -> str:
    """The paper's mean with its standard deviation, if it gives one; a dash without a mean."""
    if number is None or number.mean is None:
        return "–"
    return signed(number.mean) + ("" if number.sd is None else f" ± {number.sd:g}")


def difference(better: Sequence[Record], worse: Sequence[Record], metric: str) -> str:
    """Difference of the means of two groups of records, with Welch's 95 % interval.

    A dash if one of them has fewer than two seeds, or it was not measured of the first; or which seed has no value.
    """
    if min(len(better), len(worse)) < 2 or not is_measured(better, metric):
        return "–"
    try:
        excess = exceeding(better, worse, metric)
    except LackingMetric as lacking:
        return lacking.short
    return with_ends(excess, 2)


#: What a cell holds where there is nothing to show.
NOTHING = ("–", "")


def with_content(table: pd.DataFrame) -> pd.DataFrame:
    """The table without the columns, except for the first, that have no content: those of the paper beside other data,
    and scores without labels."""
    if table.empty:
        return table
    kept = [i for i in range(table.shape[1]) if i == 0 or not table.iloc[:, i].isin(NOTHING).all()]
    return table.iloc[:, kept]


def by_data(found: Mapping[str, Runs]) -> dict[str, dict[str, Runs]]:
    """Rows of an experiment by the title of their data: that of the paper, or other data that were run instead.

    Where something stands in for the paper's data, the title names both.
    """
    groups: dict[str, dict[str, Runs]] = {}
    for name, runs in found.items():
        groups.setdefault(data_shown(runs), {})[name] = runs
    return {_with_stand_ins(title, rows.values()): rows for title, rows in groups.items()}


def _with_stand_ins(title: str, rows: Iterable[Runs]) -> str:
    published = [runs for runs in rows if runs and is_published_form(runs.row, runs[0].config)]
    stand_ins = {data_of(runs.row, runs[0])[1] for runs in published}
    others = [dataset_title(one) for one in stand_ins if one and dataset_title(one) != title]
    return f"{title}, measured on {' and '.join(sorted(others))}" if others else title


def by_title(found: Iterable[Runs]) -> dict[str, Runs]:
    """Rows by the title of their data, with their label where several are of the same."""
    titled = [(data_shown(runs), runs) for runs in found]
    several = Counter(title for title, _ in titled)
    return {title if several[title] == 1 else f"{title}, {runs.row.label}": runs for title, runs in titled}


def data_shown(runs: Runs) -> str:
    """Title of the data of a row: the paper's, which a published stand-in counts as, or what was run instead."""
    instead = runs and not is_published_form(runs.row, runs[0].config)
    return dataset_title(runs[0].data["name"] if instead else runs.row.dataset)


def comparison(found: Mapping[str, Runs], metrics: Mapping[str, str]) -> pd.DataFrame:
    """Table with one line per method, measured beside reported.

    Args:
        found: the records of rows on one data set.
        metrics: measured metrics, each with the name under which the paper reports it (empty if it does not).
    """
    lines = []
    for runs in found.values():
        line = {"Method": runs.row.label}
        for metric, name in metrics.items():
            line[heading(metric)] = measured(runs, metric)
            if name:
                number = next((r for r in runs.row.reported if r.name == name), None)
                line[f"{name}, paper"] = reported(number) + _unlike(number, metric)
        line |= {title: column(runs) for title, column in UNLABELLED.items()}
        lines.append(line | {"Seeds": seeds_of(runs.row, runs)})
    return with_content(pd.DataFrame(lines))


def _mean(name: str) -> Callable[[Sequence[Record]], str]:
    def cell(found: Sequence[Record]) -> str:
        summary = summary_of(name, [run for run in found if run.lacks_labels])
        if summary is None:
            return "–"
        return signed(summary.mean, 2 if name.endswith("(nats)") else 1).removesuffix(".0")

    return cell


#: Columns that stand in for scores where there are no labels, and are dashes where there are some.
UNLABELLED: dict[str, Callable[[Sequence[Record]], str]] = {name: _mean(name) for name in WITHOUT_LABELS}


def _unlike(number: Reported | None, metric: str) -> str:
    """Superscript mark where the paper's number is of another kind than the measured one.

    ``e`` for exemplar accuracy, ``u`` for an accuracy whose kind is not stated, ``a`` for a score on all points.
    """
    if number is None or number.mean is None or number.metric == metric:
        return ""
    return f"<sup>{named(number.metric).mark or 'a'}</sup>"


def seeds_of(row: Row, found: Sequence[Record]) -> str:
    """Number of seeds of a row, with the profile unless it is ``paper``; or ``quoted``, or ``not run``.

    The records decide this, not the request: runs of no declared profile have ``changed settings``.
    """
    if row.quoted:
        return "quoted"
    if not found:
        return "not run"
    profile = profile_of(row, found[0].config)
    if profile is None:
        data = found[0].data["name"]
        return f"{len(found)}, changed settings" + ("" if data == row.dataset else f", {found[0].data_name}")
    return str(len(found)) + ("" if profile == "paper" else f", {profile}")


def context(*groups: Sequence[Record], samples: bool = False) -> str:
    """Line above a table: the data sets, epochs and numbers of seeds of the records.

    Args:
        groups: the records.
        samples: whether to add the numbers of samples of the log-likelihoods.
    """
    runs = [run for group in groups for run in group]
    if not runs:
        return "not run"
    epochs = sorted({run.config["training"]["epochs"] for run in runs if run.config["training"]})
    names = sorted({run.data_name for run in runs})
    seeds = sorted({len(group) for group in groups if group})
    parts = [", ".join(names), f"epochs: {', '.join(f'{n:,}' for n in epochs)}", f"seeds: {', '.join(map(str, seeds))}"]
    if samples:
        parts.append(f"samples of the log-likelihood: {sample_counts(groups)}")
    return "; ".join(part for part in parts if not part.endswith(": "))


def sample_counts(groups: Iterable[Sequence[Record]]) -> str:
    """Numbers of importance samples of the records' log-likelihoods, such as ``"1,000, 5,000"``."""
    name = "test.log_likelihood_samples"
    counts = {run.metrics[name] for runs in groups for run in runs if name in run.metrics}
    return ", ".join(f"{count:,.0f}" for count in sorted(counts))


def every_seed(found: Sequence[Record], metrics: Sequence[str]) -> pd.DataFrame:
    """Table with one line per seed, then mean, standard deviation, median and best."""
    if not found:
        return pd.DataFrame({"Seed": ["not run"]})
    known = [metric for metric in metrics if is_measured(found, metric)]  # data without labels have no scores
    scores = any(named(metric).direction == "higher" for metric in known)  # not the errors of neighbours
    lines = [
        {"Seed": str(record.seed) + (" (failed)" if record.failed_at_step is not None else "")}
        | {heading(metric): f"{record.metrics[metric]:.2f}" if metric in record.metrics else "–" for metric in known}
        | (_best_epoch(record) if scores else {})
        | ({name: cell([record]) for name, cell in UNLABELLED.items()} if record.lacks_labels else {})
        | ({"cluster sizes (test)": sizes(record)} if record.lacks_labels else {})
        for record in found
    ]
    if len(found) > 1:
        whole = [metric for metric in known if all(metric in record.metrics for record in found)]
        summaries = {heading(metric): summarise(found, metric) for metric in whole}
        for name in ("mean", "sd", "median", "best"):
            cells = {h: f"{getattr(summary, name):.2f}" for h, summary in summaries.items()}
            lines.append({"Seed": f"<b>{name}</b>"} | {heading(metric): "–" for metric in known} | cells)
    return pd.DataFrame(lines).fillna("")


def _best_epoch(record: Record) -> dict[str, str]:
    """Cell with the highest validation accuracy of any epoch, shown beside the result and never reported as it."""
    scores = {int(point["epoch"]): point["acc_hungarian"] for point in record.curve if "acc_hungarian" in point}
    if not scores:
        return {}
    best = max(scores, key=lambda epoch: scores[epoch])
    return {"best epoch, validation": f"{scores[best]:.2f} (epoch {best})"}
