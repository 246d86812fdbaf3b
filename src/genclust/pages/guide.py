"""What shows without labels that a clustering worked: indicators known of every seed against its accuracy, over all
that is published.

A user without labels trains several seeds and has to keep one.  Here that choice is made again and again, in every
configuration of which three or more seeds are published, by each of the ``INDICATORS``; the labels, which come to light
only afterwards, tell how much it gained.

"Accuracy" is the Hungarian one on test data, in per cent.  Every seed counts.  A seed that failed has no bound, and so
ranks below all others and is never chosen by it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import rankdata, spearmanr

from genclust.baselines import BASELINES
from genclust.data import DataError, sources
from genclust.evaluation.agreement import agreement, consensus
from genclust.evaluation.clustering import hungarian_accuracy
from genclust.experiments import declaration
from genclust.experiments.execution import prepare
from genclust.experiments.papers import dataset_title
from genclust.experiments.store import Record, published
from genclust.experiments.unlabelled import held_out_bound
from genclust.experiments.verdicts import Summary, data_of, published_records
from genclust.pages.tables import with_ends
from genclust.wording import signed

#: What is known of a seed without any label; of each, the seed with the most is kept.  This list and that rule were
#: written down before any of them was held against an accuracy, and neither was changed afterwards.
INDICATORS = ("bound", "confidence", "clusters in use", "agreement")
#: Fewer seeds leave nothing to choose from.
LEAST_SEEDS = 3
#: Fewer configurations have a mean and no interval.
LEAST_FOR_INTERVAL = 5
ACCURACY = "test.acc_hungarian"
#: One data set of two sizes.
SAME = {"arcs_5000": "arcs"}
SURROGATE = " (surrogate)"
ALL, EACH_ONCE = "all configurations", "data sets, each counted once"


@dataclass(frozen=True)
class Configuration:
    """All published seeds of one configuration of one of our models, which learned without labels.

    Attributes:
        name: the first row that shows it and its profile, as in ``simple-table1/proposed-usps@paper``.
        data: how tables call its data set; surrogate data are called so.
        records: one for each seed, in their order.
    """

    name: str
    data: str
    records: tuple[Record, ...]

    @property
    def accuracies(self) -> Float[np.ndarray, " R"]:
        """The accuracy of every seed."""
        return np.array([record.metric(ACCURACY) for record in self.records])

    @cached_property
    def clusters(self) -> Int[np.ndarray, "R N"] | None:
        """The cluster of each of N test points for every seed; None if a record does not keep them."""
        kept = [record.arrays().get("clusters_test") for record in self.records]
        return None if any(one is None for one in kept) else np.stack(kept)  # type: ignore[arg-type]

    @cached_property
    def indicators(self) -> dict[str, Float[np.ndarray, " R"]]:
        """Each of the ``INDICATORS`` for every seed; NaN where a seed has none, all NaN where records do not tell."""
        nowhere = np.full(len(self.records), math.nan)
        clusters = self.clusters
        confidences = [record.arrays().get("confidence_test") for record in self.records]
        known = all(one is not None for one in confidences)
        return {
            "bound": np.array([held_out_bound(record) for record in self.records]),
            "confidence": np.array([np.mean(one, dtype=np.float64) for one in confidences]) if known else nowhere,  # type: ignore[arg-type]
            "clusters in use": np.array([clusters_in_use(record) for record in self.records]),
            "agreement": nowhere if clusters is None else agreement(clusters),
        }


def clusters_in_use(record: Record) -> float:
    """The part of a model's clusters that hold at least one test point, between 0 and 1."""
    return record.metric("test.clusters_used") / n_clusters(record)


def n_clusters(record: Record) -> int:
    """The number K of clusters that a model has; of several layers, that of the layer with most, which is scored."""
    return int(np.max(record.config["model"]["n_clusters"]))


def configurations() -> list[Configuration]:
    """Every configuration of ours with several clusters that learned without labels and without what it is scored on,
    of which three or more seeds and their accuracies are published.

    What several rows or profiles share is there once, in the order of declaration.
    """
    found: dict[str, Configuration] = {}
    for row, profile in declaration.runs():
        if row.run_of:  # which its own row shows
            continue
        config = row.config(profile)
        if config.model["name"] in BASELINES or {"n_labels", "fit_on"} & config.data.keys() or config.address in found:
            continue
        _, records = published_records(row, profile)
        if len(records) < LEAST_SEEDS or any(ACCURACY not in record.metrics for record in records):
            continue
        if n_clusters(records[0]) > 1:
            surrogate = data_of(row, records[0])[0] == "surrogate"
            name = records[0].data["name"]
            heading = dataset_title(SAME.get(name, name)) + SURROGATE * surrogate
            found[config.address] = Configuration(f"{row.place}@{profile}", heading, tuple(records))
    return list(found.values())


# ---- choosing a seed


def correlation(indicator: Float[np.ndarray, " R"], accuracies: Float[np.ndarray, " R"]) -> float:
    """Spearman's rank correlation over seeds; a seed without the indicator ranks last.  NaN if either is constant."""
    indicator = np.nan_to_num(indicator, nan=-np.inf, neginf=-np.inf)
    if len(np.unique(indicator)) == 1 or len(np.unique(accuracies)) == 1:
        return math.nan
    return float(spearmanr(indicator, accuracies).statistic)


def chosen(indicator: Float[np.ndarray, " R"], accuracies: Float[np.ndarray, " R"]) -> float:
    """The accuracy of the seed with the most of an indicator; of several such seeds their mean, that of drawing one.

    NaN if no seed has the indicator.
    """
    if np.isnan(indicator).all():
        return math.nan
    return float(accuracies[indicator == np.nanmax(indicator)].mean())


def chosen_among(indicator: Float[np.ndarray, " R"], accuracies: Float[np.ndarray, " R"]) -> Float[np.ndarray, " R"]:
    """Expected accuracy of the seed that is chosen among n seeds by its indicator, the highest, for n from 1 to R.

    Exact: the mean over all choices of n of the R seeds, of which ``C(i - 1, n - 1)`` have the seed with the i-th least
    of the indicator as the one with the most.  Of seeds with equally much each is as likely; one without the indicator
    ranks below all others.  At n = 1 this is the mean over seeds, and at n = R what `chosen` gives.
    """
    ranks = rankdata(np.nan_to_num(indicator, nan=-np.inf, neginf=-np.inf), method="dense")
    in_order = np.array([accuracies[ranks == rank].mean() for rank in np.sort(ranks)])
    R = len(accuracies)
    return np.array(
        [sum(math.comb(i, n - 1) * in_order[i] for i in range(R)) / math.comb(R, n) for n in range(1, R + 1)]
    )


def choices(found: Iterable[Configuration]) -> pd.DataFrame:
    """Gain in accuracy from choosing a seed by each indicator: one line per configuration and indicator.

    Columns: ``configuration``, ``data``, ``indicator``, ``seeds``, ``correlation`` of indicator and
    accuracy over seeds (NaN where there is none), and in per cent ``gain``, the accuracy of the chosen seed minus the
    mean over seeds, ``distance``, the same minus that of the best seed, and ``all``, whether the configuration has all
    indicators.
    """
    lines = []
    for one in found:
        accuracies = one.accuracies
        indicators = {name: values for name, values in one.indicators.items() if not np.isnan(values).all()}
        for name, values in indicators.items():
            reached = chosen(values, accuracies)
            lines.append(
                {
                    "configuration": one.name,
                    "data": one.data,
                    "indicator": name,
                    "seeds": len(accuracies),
                    "correlation": correlation(values, accuracies),
                    "gain": reached - accuracies.mean(),
                    "distance": reached - accuracies.max(),
                    "all": len(indicators) == len(INDICATORS),
                }
            )
    columns = ["configuration", "data", "indicator", "seeds", "correlation", "gain", "distance", "all"]
    return pd.DataFrame(lines, columns=columns)


def interval_of(values: Iterable[float], digits: int = 1, most: float = math.inf) -> str:
    """The mean with its 95 % interval by Student's t, as in ``3.8 [2.2, 5.3]``; a dash where there is no value.

    Fewer than ``LEAST_FOR_INTERVAL`` values have no interval: of two or three it would be wider than the scale.

    Args:
        values: NaN does not count.
        digits: after the point.
        most: the greatest absolute value that there can be.
    """
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return "–"
    found = Summary.of(known)
    if found.interval is None or found.n < LEAST_FOR_INTERVAL:
        return signed(found.mean, digits)
    low, high = np.clip(found.interval, -most, most)
    return with_ends(replace(found, interval=(float(low), float(high))), digits)


def by_data_set(lines: pd.DataFrame) -> pd.DataFrame:
    """Table of correlation and gain of each indicator: per data set, over data sets, and over all configurations.

    Means over configurations, with 95 % intervals; in the mean of data sets, over data sets.

    Args:
        lines: of `choices`.
    """
    parts = {str(data): of_data for data, of_data in lines.groupby("data", sort=False)}
    parts[EACH_ONCE] = means_of_data_sets(lines)
    parts[ALL] = lines
    return pd.DataFrame(
        [
            {
                "Data": data,
                "Indicator": indicator,
                "Configurations": len(chosen_by),
                "rank correlation": interval_of(chosen_by.correlation, 2, 1),
                "gain over the mean": interval_of(chosen_by.gain),
                "short of the best": interval_of(-chosen_by.distance),
            }
            for data, part in parts.items()
            for indicator in INDICATORS
            if len(chosen_by := part[part.indicator == indicator])
        ]
    )


def means_of_data_sets(lines: pd.DataFrame) -> pd.DataFrame:
    """The lines of `choices` with one for each data set and indicator: the means over its configurations."""
    groups = lines.groupby(["data", "indicator"], sort=False)
    return groups[["correlation", "gain", "distance"]].mean().reset_index()


def gain_of_data_sets(lines: pd.DataFrame) -> pd.Series:
    """The mean gain in accuracy over the configurations of each data set, by its name.

    Args:
        lines: of `choices` by one indicator, or of `consensuses`.
    """
    return lines.groupby("data", sort=False).gain.mean()


def gains(lines: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    """Gains in accuracy from choosing the seed by each of the ``INDICATORS``, by data set, for a plot."""
    data_sets = list(dict.fromkeys(lines.data))
    return {
        indicator: {
            data: lines.gain[(lines.data == data) & (lines.indicator == indicator)].tolist() for data in data_sets
        }
        for indicator in INDICATORS
    }


def finding(lines: pd.DataFrame, found: Iterable[Configuration]) -> str:
    """Two paragraphs: what choosing a seed by the bound gains in accuracy, and what the other indicators gain.

    Args:
        lines: of `choices`.
        found: the configurations that they are of.
    """
    of_bound, of_agreement = (lines[lines.indicator == name] for name in ("bound", "agreement"))
    better, worse = int((of_bound.gain > 0).sum()), int((of_bound.gain < 0).sum())
    once, agreeing = means_of_data_sets(of_bound), means_of_data_sets(of_agreement)
    most, n_most = next(iter(of_bound.data.value_counts().items()))
    complete = lines[lines["all"]].groupby("indicator").gain.mean()
    each = ", ".join(f"{signed(complete[name], 1)} by {_the(name)}" for name in INDICATORS if name in complete)
    same = max(found, key=lambda one: float(np.nan_to_num(one.indicators["agreement"], nan=-1).mean()))
    indicators = {name: float(values.mean()) for name, values in same.indicators.items()}
    return (
        "Train several seeds, and keep the one with the highest bound on held-out data or the one that agrees best "
        "with the others. For neither is it shown that it gains accuracy on other data than these. With each of the "
        f"{len(once)} data sets counted once, the seed with the highest bound is {interval_of(once.gain)} percentage "
        f"points more accurate (Hungarian) than the mean of its seeds; with each of {len(agreeing)}, the one that "
        f"agrees best is {interval_of(agreeing.gain)} points more accurate (95 % intervals).\n\n"
        f"Of the single data sets the 95 % interval of the gain by the bound excludes zero on "
        f"{clear_of_zero(of_bound)}. Over all {len(of_bound)} configurations, {n_most} of them on {most}, it is "
        f"{interval_of(of_bound.gain)}; this interval is too narrow, because "
        "configurations of the same data are not independent. "
        f"The choice by the bound gained in {better} configurations and lost in {worse}, so it is a bet, not a test. "
        "Over the seeds of a configuration, with each data set counted once, the bound has a rank correlation of "
        f"{interval_of(once.correlation, 2, 1)} with the accuracy, and the agreement one of "
        f"{interval_of(agreeing.correlation, 2, 1)}.\n\n"
        f"Where the records tell all four indicators ({int(lines['all'].sum()) // len(INDICATORS)} configurations) the "
        f"gains are {each}. None of the four shows that the clusters are the classes. Of all configurations, the seeds "
        f"of `{same.name}` (experiment, row and profile) agree best with each other: their mean adjusted Rand index "
        f"is {indicators['agreement']:.2f} "
        f"and their mean confidence {indicators['confidence']:.2f}. But they use "
        f"{100 * indicators['clusters in use']:.1f} % of their clusters, and their mean "
        f"accuracy is {same.accuracies.mean():.1f} %."
    )


def clear_of_zero(lines: pd.DataFrame) -> str:
    """The data sets with enough configurations for an interval of the gain, all of which is above zero, in words.

    Args:
        lines: of `choices` by one indicator, or of `consensuses`.
    """
    found = []
    for data, gain in lines.groupby("data", sort=False).gain:
        interval = Summary.of(gain.tolist()).interval
        if len(gain) >= LEAST_FOR_INTERVAL and interval and interval[0] > 0:
            found.append(str(data))
    return " and ".join(filter(None, (", ".join(found[:-1]), *found[-1:]))) or "none"


def _the(indicator: str) -> str:
    return indicator if indicator == "clusters in use" else f"the {indicator}"


# ---- choosing between settings


def alike(found: Iterable[Configuration]) -> list[list[Configuration]]:
    """Groups of three or more configurations whose bounds are of the same data, likelihood and number of clusters."""
    groups: dict[str, list[Configuration]] = {}
    for one in found:
        model = one.records[0].config["model"]
        shared = [one.records[0].data["digest"], *(model.get(name) for name in ("name", "n_clusters", *OF_LIKELIHOOD))]
        groups.setdefault(json.dumps(shared), []).append(one)
    return [group for group in groups.values() if len(group) >= LEAST_SEEDS]


def settings(found: Iterable[Configuration]) -> pd.DataFrame:
    """What choosing the settings by an indicator's mean over seeds gives: one line for each group of `alike`
    configurations, and for each indicator that all have.

    In per cent, the mean accuracy over seeds of the configuration with the most of the indicator, beside the mean over
    configurations and the best of them.  If they have equally much of it, their mean.
    """
    lines = []
    for group in alike(found):
        accuracies = np.array([one.accuracies.mean() for one in group])
        model = group[0].records[0].config["model"]
        likelihood = model.get("likelihood", "")
        line: dict[str, str | int] = {"Data": group[0].data, "Model": f"{model['name']} {likelihood}".strip()}
        line |= {"settings": len(group), "mean": f"{accuracies.mean():.1f}", "best": f"{accuracies.max():.1f}"}
        for indicator in INDICATORS:
            means = np.array([one.indicators[indicator].mean() for one in group])
            if not np.isnan(means).any():
                line[f"by {_the(indicator)}"] = f"{chosen(means, accuracies):.1f}"
                line[f"rank correlation with {_the(indicator)}"] = interval_of([correlation(means, accuracies)], 2)
        lines.append(line)
    return pd.DataFrame(lines).fillna("–")


#: Settings without which two bounds cannot be compared.
OF_LIKELIHOOD = ("likelihood", "sigma")


# ---- all seeds together


def consensuses(found: Iterable[Configuration]) -> pd.DataFrame:
    """The consensus of the seeds of every configuration whose records keep clusters, against its members.

    Labels are not in a record.  Those of data that the library makes itself are always at hand; for other data the
    accuracy is the one that `measure_consensuses` wrote of these very records.

    Columns: ``configuration``, ``data``, ``seeds``, and in per cent ``mean`` and ``best`` accuracy of the seeds,
    that of the seed ``agreeing`` most with the others, which the votes begin with, that of the ``consensus``, and its
    ``gain`` over the mean.

    Raises:
        DataError: if the data are not those of the records.
    """
    path, lines = published().folder / CONSENSUSES, []
    measured = json.loads(path.read_text()) if path.exists() else {}
    for one in found:
        if one.clusters is None:
            continue
        if _needs_no_file(one.records[0].data["name"]):
            reached = consensus_accuracy(one)
        else:
            entry = measured.get(one.name, {})
            if entry.get("records") != _digests(one):
                continue
            reached = entry["accuracy"]
        mean, best = float(one.accuracies.mean()), float(one.accuracies.max())
        line = {"configuration": one.name, "data": one.data, "seeds": len(one.records), "mean": mean, "best": best}
        line["agreeing"] = chosen(one.indicators["agreement"], one.accuracies)
        lines.append(line | {"consensus": reached, "gain": reached - mean})
    return pd.DataFrame(lines)


#: File in the published store with accuracies of consensuses, by configuration, and digests of the records voting.
CONSENSUSES = "consensuses.json"


def consensus_accuracy(one: Configuration) -> float:
    """Hungarian accuracy of the consensus of all seeds on test data, in per cent.

    Raises:
        DataError: if the data are missing, or are not those of the records.
    """
    data, digest = prepare(one.records[0].run_config)
    labels = data.splits["test"].y
    if digest != one.records[0].data["digest"] or labels is None or one.clusters is None:
        name = one.records[0].data["name"]
        raise DataError(f"The data set {name} is not the one that {one.name} was trained on.")
    return hungarian_accuracy(labels, consensus(one.clusters, n_clusters(one.records[0])))


def measure_consensuses(found: Iterable[Configuration]) -> dict[str, dict[str, Any]]:
    """Accuracies of consensuses on data that need files, with the digests of the records that vote.

    Raises:
        DataError: if data are missing, or are not those of the records.
    """
    return {
        one.name: {"accuracy": consensus_accuracy(one), "records": _digests(one)}
        for one in found
        if one.clusters is not None and not _needs_no_file(one.records[0].data["name"])
    }


def _digests(one: Configuration) -> list[str]:
    """SHA-256 of the arrays of every seed's record."""
    return [record.arrays_digest for record in one.records]


def _needs_no_file(name: str) -> bool:
    source = sources().get(name)
    return source is not None and not source.files and source.folder is None


def together(lines: pd.DataFrame) -> pd.DataFrame:
    """Table of the accuracies of consensuses and of their members, with the mean in the last line."""
    means = lines[["mean", "best", "agreeing", "consensus", "gain"]].mean().to_dict()
    last = {"configuration": "<b>mean</b>", "data": "", "seeds": ""} | means
    table = pd.concat([lines.astype(object), pd.DataFrame([last])], ignore_index=True)
    headings = {"configuration": "Configuration", "data": "Data", "seeds": "Seeds", "mean": "mean of seeds"}
    headings |= {"best": "best seed", "agreeing": "most agreeing seed", "gain": "consensus over mean"}
    for name in means:
        table[name] = [signed(value) for value in table[name]]
    return table.rename(columns=headings)


def finding_together(lines: pd.DataFrame) -> str:
    """Paragraph on how much more accurate the consensus of all seeds is than its members.

    Args:
        lines: of `consensuses`.
    """
    better, best = int((lines.gain > 0).sum()), int((lines.consensus > lines.best).sum())
    once = gain_of_data_sets(lines)
    return (
        f"With each of the {len(once)} data sets counted once, the consensus is {interval_of(once)} percentage points "
        f"more accurate (Hungarian) than its members; on single data sets, its interval excludes zero for "
        f"{clear_of_zero(lines)}. Over all {len(lines)} configurations it is {interval_of(lines.gain)}, "
        f"which is too narrow for the same reason. The consensus is better than the mean of its "
        f"members in {better} of them, and better than the best of them in {best}."
    )
