"""Registry of metrics: title, unit, number of decimals, and whether higher or lower values are better.

A metric's full name is its split and what was measured on it, as in ``test.acc_many_to_one_y3_ink``.  This is the one
place that a new metric is added to; tables, verdicts, prose and the command line ask here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from genclust.settings import SettingError, nearest


@dataclass(frozen=True)
class Metric:
    """Description of a metric: title, unit, number of decimals, and which values are better.

    Attributes:
        title: name in words, without unit and split.
        unit: ``%``, ``nats``, or empty for a count.
        decimals: number of decimals in a sentence; tables show two, as the papers do.
        direction: whether higher or lower values are better, also for the best of several seeds.
        heading: column heading, without the split.
        names_split: whether the column heading includes the split.
        mark: mark beside a number whose accuracy is of another kind than those around it.
        least: smallest possible value of a score in per cent.
    """

    title: str
    unit: Literal["%", "nats", ""] = "%"
    decimals: int = 1
    direction: Literal["higher", "lower"] = "higher"
    heading: str = ""
    names_split: bool = True
    mark: str = ""
    least: float = 0.0


#: Regular expressions of the parts in braces in the names of a family of metrics.
PARTS = {"layer": r"[yz]\d+", "kind": "[yz]", "k": r"[1-9]\d*", "features": r"\w+?", "factor": r"\w+", "units": r"\w+"}

#: All metrics by name without the split; a part in braces stands for the part in which members of a family differ.
METRICS: dict[str, Metric] = {
    "acc_hungarian": Metric("accuracy, Hungarian", heading="ACC (Hungarian)"),
    "acc_many_to_one": Metric("accuracy, many-to-one", heading="ACC (many-to-one)"),
    "acc_exemplar": Metric("accuracy, exemplar", heading="ACC (exemplar)", mark="e"),
    "acc_unstated": Metric("accuracy, kind not stated", heading="ACC (kind not stated)", mark="u"),
    "nmi_geometric": Metric("NMI, geometric", heading="NMI (geometric)"),
    "nmi_arithmetic": Metric("NMI, arithmetic", heading="NMI (arithmetic)"),
    "ari": Metric("adjusted Rand index", heading="ARI", least=-100),
    "clusters_used": Metric("clusters used", "", heading="clusters used"),
    "knn_error_{k}": Metric("kNN error, k = {k}", "%", 2, "lower", "k = {k}", names_split=False),
    "knn_error_{features}_{k}": Metric(
        "kNN error, k = {k}, on {features}", "%", 2, "lower", "k = {k}", names_split=False
    ),
    "error_{units}": Metric("error of {units}(y|x)", "%", 2, "lower", "error of {units}(y|x)"),
    "log_likelihood": Metric("log-likelihood", "nats", 2, heading="log-likelihood"),
    "log_likelihood_se": Metric("standard error of the log-likelihood", "nats", 2, "lower", "standard error"),
    "log_likelihood_samples": Metric("samples of the log-likelihood", "", 0, heading="samples"),
    "elbo": Metric("one-sample bound", "nats", 2, heading="one-sample bound"),
    "binarisation_seed": Metric("seed of the bits", "", 0, heading="seed of the bits"),
    "active_{units}": Metric("active units of {units}", "", heading="active, {units}"),
    "acc_many_to_one_{layer}_{factor}": Metric(
        "accuracy, many-to-one, of {factor} by {layer}", heading="ACC (many-to-one) of {factor} by {layer}"
    ),
    "nmi_arithmetic_{layer}_{factor}": Metric(
        "NMI, arithmetic, of {factor} and {layer}", heading="NMI (arithmetic) of {factor} and {layer}"
    ),
    "chance_many_to_one_{layer}_{factor}": Metric(
        "accuracy, many-to-one, of {factor} by {layer}, by chance", heading="ACC of {factor} by {layer}, by chance"
    ),
    "chance_nmi_{layer}_{factor}": Metric(
        "NMI, arithmetic, of {factor} and {layer}, by chance", heading="NMI of {factor} and {layer}, by chance"
    ),
    "clusters_used_{layer}": Metric("clusters used by {layer}", "", heading="clusters used by {layer}"),
    "floor_{factor}": Metric("accuracy of a single cluster on {factor}", heading="single cluster, {factor}"),
    "leading_{kind}": Metric("number of attributes", "", heading="attributes that lead"),
}

#: Names of splits in titles; the test split is the default and is not named.
SPLITS = {"test": "", "all": "all points", "train": "training set", "validation": "validation set"}
#: Names in titles of the representations in which nearest neighbours are found.
FEATURES = {"x_hat": "x̂", "z_mean": "the mean of z"}
#: Suffix of the name of a metric that is the best over the seeds.
BEST = "_best"


def named(name: str) -> Metric:
    """Metric of a full name such as ``test.elbo``; with the suffix ``_best``, the best of its seeds.

    Raises:
        SettingError: if there is none, with the nearest.
    """
    metric = known(name)
    if metric is None:
        split, dot, _ = name.rpartition(".")
        raise SettingError(nearest(name, (f"{split}{dot}{form}" for form in METRICS), "metric"))
    return metric


def scored(name: str) -> Metric:
    """Metric of a full name that begins with its split, such as ``test.elbo``.

    Raises:
        SettingError: if there is none, or the split is missing or unknown.
    """
    split = name.partition(".")[0]
    if split == name:
        raise SettingError(f"The metric {name!r} does not say on which points; give test.{name}, or all.{name}.")
    if split not in SPLITS:
        raise SettingError(nearest(split, SPLITS, f"split, of the metric {name!r},"))
    return named(name)


@cache
def known(name: str) -> Metric | None:
    """Metric of a full name such as ``test.elbo``, or None if there is none."""
    rest = name.rpartition(".")[2]
    measured = rest.removesuffix(BEST)
    for form, metric in METRICS.items():
        if match := _pattern(form).fullmatch(measured):
            parts = match.groupdict()
            if "features" in parts:
                parts["features"] = FEATURES.get(parts["features"], parts["features"])
            title, heading = metric.title.format(**parts), metric.heading.format(**parts)
            if measured != rest:
                title, heading = f"{title}, best run", f"best run, {heading}"
            return replace(metric, title=title, heading=heading)
    return None


@cache
def _pattern(form: str) -> re.Pattern[str]:
    """Regular expression for the names of a family of metrics, such as ``knn_error_{k}``."""
    return re.compile(re.sub(r"\{(\w+)\}", lambda part: f"(?P<{part[1]}>{PARTS[part[1]]})", form))


def title(name: str) -> str:
    """Title of a metric with its unit, and its split unless it is the test split.

    Raises:
        SettingError: if there is no such metric, with the nearest.
    """
    metric, split = named(name), name.rpartition(".")[0]
    split_title = SPLITS.get(split, split)
    return metric.title + (f" ({metric.unit})" if metric.unit else "") + (f", {split_title}" if split_title else "")


def heading(name: str) -> str:
    """Column heading of a metric in tables.

    Raises:
        SettingError: if there is no such metric, with the nearest.
    """
    metric = named(name)
    return f"{metric.heading}, {name.rpartition('.')[0]}" if metric.names_split else metric.heading
