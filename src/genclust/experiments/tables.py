"""Tables of the book: what was measured beside what the paper reports."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import HTML

from genclust.experiments.access import Asked
from genclust.experiments.declaration import PROFILES, Reported, Row, load
from genclust.experiments.store import Record
from genclust.experiments.verdicts import MINUS, exceeding, summarise
from genclust.metrics import BEST, heading, named


def show(table: pd.DataFrame) -> HTML:
    """The table as HTML that scrolls sideways on a narrow page; "K = 10" and "67 ± 6" are not broken over lines."""
    html = table.to_html(index=False, escape=False, border=0)
    for sign in "=±":
        html = html.replace(f" {sign} ", f"&nbsp;{sign}&nbsp;")
    return HTML(f'<div class="scrolls">{html}</div>')


def signed(value: float, digits: int = 2) -> str:
    """The number, with a minus sign and not a hyphen."""
    return f"{value:.{digits}f}".replace("-", MINUS)


def measured(found: Sequence[Record], metric: str, digits: int = 2) -> str:
    """``mean ± sd`` over the records, or a dash where nothing was measured."""
    if not found or metric.removesuffix(BEST) not in found[0].metrics:
        return "–"
    summary = summarise(found, metric)
    return signed(summary.mean, digits) + ("" if summary.sd is None else f" ± {summary.sd:.{digits}f}")


def reported(number: Reported | None) -> str:
    """The paper's number with its spread, if it gives one."""
    if number is None or number.mean is None:
        return "–"
    return signed(number.mean) + ("" if number.sd is None else f" ± {number.sd:g}")


def difference(better: Sequence[Record], worse: Sequence[Record], metric: str) -> str:
    """How far the first mean lies above the second, with Welch's 95 % interval; a dash without two seeds each, or
    without the metric."""
    if min(len(better), len(worse)) < 2 or metric not in better[0].metrics:
        return "–"
    found = exceeding(better, worse, metric)
    low, high = found.interval or (math.nan, math.nan)
    return f"{signed(found.mean)} [{signed(low)}, {signed(high)}]"


def comparison(experiment: str, dataset: str, metrics: Mapping[str, str], asked: Asked | None = None) -> pd.DataFrame:
    """One line a method on one data set, measured beside reported.

    Args:
        experiment: the experiment's name.
        dataset: the paper's data set.
        metrics: what is measured, and the name under which the paper reports it (empty if it does not).
        asked: which runs; the published ones by default.
    """
    asked, lines = asked or Asked(), []
    for row in load(experiment).rows.values():
        if row.dataset != dataset:
            continue
        found = asked.row(experiment, row.name)
        line = {"Method": row.label}
        for metric, name in metrics.items():
            line[heading(metric)] = measured(found, metric)
            if name:
                number = next((r for r in row.reported if r.name == name), None)
                line[f"{name}, paper"] = reported(number) + _unlike(number, metric)
        line["Seeds"] = seeds_of(row, found)
        lines.append(line)
    return pd.DataFrame(lines)


def _unlike(number: Reported | None, metric: str) -> str:
    """A mark where the paper's number is of another kind: ``e`` exemplar accuracy, ``u`` an accuracy whose kind is not
    stated, ``a`` scored on all points."""
    if number is None or number.metric == metric:
        return ""
    return f"<sup>{named(number.metric).mark or 'a'}</sup>"


def seeds_of(row: Row, found: Sequence[Record]) -> str:
    """How many seeds stand behind a line, with the profile unless it is ``paper``; or ``quoted``, or ``not run``.

    What the records say counts, not what was asked for: runs of no profile are of ``changed settings``.
    """
    if row.quoted:
        return "quoted"
    if not found:
        return "not run"
    runs = found[0]
    profile = next((p for p in PROFILES if p in row.profiles and asdict(row.config(p)) == runs.config), None)
    if profile is None:
        data = Path(runs.data["name"]).name
        return f"{len(found)}, changed settings" + ("" if data == row.dataset else f", {data}")
    return str(len(found)) + ("" if profile == "paper" else f", {profile}")


def gradient_noise(found: Mapping[str, Sequence[Record]]) -> pd.DataFrame:
    """How noisy gradients are for each way to sum over classes, by the evaluation ``gradients``, in the mean of seeds.

    Traces of the covariance of a step's gradient over all parameters, as multiples of the squared norm of its mean;
    those from draws also as multiples of what they are with all classes summed.
    """
    lines = []
    for name, runs in found.items():
        arrays = [run.arrays() for run in runs]
        norm, draws, batches = (
            np.mean([kept[f"gradient_{part}"] for kept in arrays], 0)
            for part in ("squared_norm", "of_draws", "of_batches")
        )
        for place, classes in enumerate(arrays[0]["gradient_classes"]):
            lines.append(
                {
                    "Network": name,
                    "Sum over": f"{classes} and one drawn" if classes else "all",
                    "from draws": f"{draws[place] / norm.mean():.1f}",
                    "against all": f"{draws[place] / draws[0]:.2f}×",
                    "from batches": f"{batches[place] / norm.mean():.1f}",
                }
            )
    return pd.DataFrame(lines)


def context(*groups: Sequence[Record], samples: bool = False) -> str:
    """What the records are of: data, epochs and seeds, for a line above a table.

    Args:
        groups: the records.
        samples: whether to say with how many samples log-likelihoods were estimated.
    """
    runs = [run for group in groups for run in group]
    if not runs:
        return "not run"
    epochs = sorted({run.config["training"]["epochs"] for run in runs if run.config["training"]})
    names = sorted({Path(run.data["name"]).name.replace("_", " ") for run in runs})
    seeds = sorted({len(group) for group in groups if group})
    parts = [", ".join(names), f"epochs: {', '.join(f'{n:,}' for n in epochs)}", f"seeds: {', '.join(map(str, seeds))}"]
    if samples:
        parts.append(f"samples of the log-likelihood: {sample_counts(groups)}")
    return "; ".join(part for part in parts if not part.endswith(": "))


def sample_counts(groups: Iterable[Sequence[Record]]) -> str:
    """The numbers of importance samples behind the log-likelihoods of the records, such as ``"1,000, 5,000"``."""
    name = "test.log_likelihood_samples"
    counts = {run.metrics[name] for runs in groups for run in runs if name in run.metrics}
    return ", ".join(f"{count:,.0f}" for count in sorted(counts))


def every_seed(found: Sequence[Record], metrics: Sequence[str]) -> pd.DataFrame:
    """One line per seed, then mean, standard deviation, median and best."""
    if not found:
        return pd.DataFrame({"Seed": ["not run"]})
    known = [metric for metric in metrics if metric in found[0].metrics]  # data without labels have no scores
    scores = any(named(metric).direction == "higher" for metric in known)  # not the errors of neighbours
    lines = [
        {"Seed": str(record.seed) + (" (failed)" if record.failed_at_step is not None else "")}
        | {heading(metric): f"{record.metrics[metric]:.2f}" for metric in known}
        | (_best_epoch(record) if scores else {})
        for record in found
    ]
    if len(found) > 1:
        summaries = {heading(metric): summarise(found, metric) for metric in known}
        for name in ("mean", "sd", "median", "best"):
            lines.append({"Seed": f"<b>{name}</b>"} | {h: f"{getattr(s, name):.2f}" for h, s in summaries.items()})
    return pd.DataFrame(lines).fillna("")


def _best_epoch(record: Record) -> dict[str, str]:
    """What picking the epoch by its validation accuracy would have shown: secondary, never the number reported."""
    scores = {int(point["epoch"]): point["acc_hungarian"] for point in record.curve if "acc_hungarian" in point}
    if not scores:
        return {}
    best = max(scores, key=lambda epoch: scores[epoch])
    return {"best epoch, validation": f"{scores[best]:.2f} (epoch {best})"}
