"""What ``genclust fit``, ``assign``, ``sample`` and ``card`` print: what was found, and what to be wary of."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table as Printed
from sklearn.metrics import adjusted_rand_score

from genclust.data.tables import Table, numberings
from genclust.estimators import cautions, report, saving
from genclust.metrics import named
from genclust.wording import counted, first_few, signed, size

#: How many times the mean the largest value of a column of counts is, from which on logarithms are proposed.
SKEWED = 10
#: How headings of columns of text begin.
TEXTS = ("typical", "least certain", "class")
console = Console(width=None if sys.stdout.isatty() else 140, markup=False)  # names of rows may have brackets


def note(text: Any) -> None:
    """Print a sentence into the error stream."""
    print(f"genclust: {text}", file=sys.stderr)


def cautions_before(models: list[Any], table: Table) -> Iterator[str]:
    """What to be wary of that can be told of the rows, and of the numbers of clusters, without training."""
    if table.named_by is not None:
        yield named_by(table)
    if table.columns and (same := np.ptp(table.x, axis=0) == 0).any():
        have = _columns_have([table.columns[i] for i in np.flatnonzero(same)])
        yield f"{have} one value only, which tells nothing; --ignore leaves it out."
    gaussian = getattr(models[0], "likelihood", None) in ("auto", "gaussian")  # others need values in [0, 1]
    if gaussian and models[0].scale == "auto" and _are_counts(table):
        yield (
            "The values are counts, of which a few are much larger than most; their logarithms often show more: "
            "--set scale=log."
        )
    if (bits := cautions.columns_drawn_as_bits(models[0], table.x)).any():
        have = _columns_have([(table.columns or list(map(str, range(len(bits)))))[i] for i in np.flatnonzero(bits)])
        yield (
            f"{have} values between 0 and 1 once scaled. {type(models[0]).__name__} is a model of bits and draws a "
            "random bit with each of them as its probability. That suits grey values; other continuous columns lose "
            "most of their information. --model gumbel or gmvae takes values as they are."
        )
    if found := numberings(table):
        have = _columns_have(found)
        yield f"{have} another number in every row, and so is probably no feature; --ignore leaves it out."
    K, n = getattr(models[-1], "n_clusters", None), len(table.x)
    if isinstance(K, int) and n / 10 < K <= n:
        yield f"{counted(K, 'cluster')} of {counted(n, 'row')} would hold few rows each, and say little; take fewer."


def named_by(table: Table) -> str:
    """That the names of the rows are in a column which nothing but its text tells."""
    return f"The column {table.named_by!r} differs in every row, and is taken for the names of the rows."


def _are_counts(table: Table) -> bool:
    """Whether a table holds whole numbers from 0 on, in most columns with some far above the mean."""
    x = table.x
    if x.ndim > 2 or x.min() < 0 or (x != np.rint(x)).any():
        return False
    skewed = x.max(0) > SKEWED * np.maximum(x.mean(0, dtype=np.float64), 1)
    return bool(skewed.sum() > (x.max(0) > 0).sum() / 2)


def _columns_have(names: list[str]) -> str:
    return f"The columns {first_few(names)} have" if len(names) > 1 else f"The column {names[0]!r} has"


def cautions_of_outliers(model: Any, X: Any) -> Iterator[str]:
    """What to be wary of in the columns of the rows that a model was fitted on."""
    if found := cautions.columns_with_outliers(model, X):
        yield (
            f"{_columns_have(found)} values beyond {cautions.FAR} robust standard deviations, which squeeze the rest "
            "of the column together; clip them, take the logarithm, or leave such rows out."
        )


def print_fit(model: Any, X: Any, table: Table, out: Path) -> None:
    """Print what was found in the rows ``X`` of a table, by a model that is now in the folder ``out``."""
    for caution in cautions.cautions(model):
        note(caution)
    name, epochs = type(model).__name__, counted(model.n_epochs_, "epoch")
    if cautions.interrupted(model):
        epochs += f" (interrupted, of {model.epochs:,})"
    console.print(f"Fitted {name} on {_rows_of(model, table)}, {epochs}, into {out}")
    bounds = ", ".join(map(signed, model.bounds_))
    best = f" (the best of {bounds})" if len(model.bounds_) > 1 else ""
    console.print(
        f"{model.bound_in_words} on held-out rows: {signed(model.bound_)} nats per row{best}; comparable only between "
        "fits of the same rows with the same likelihood and scale"
    )
    if model.bound_remark:
        console.print(model.bound_remark)
    if not hasattr(model, "labels_"):
        console.print(f"Log-likelihood of all rows, taken as bits: {signed(model.score(X))} nats per row")
        return
    if np.isfinite(model.bounds_).sum() > 1:
        agree = ("–" if math.isnan(a) else f"{a:.2f}" for a in cautions.seeds_agree(model))
        console.print(
            f"Agreement between seeds: {cautions.mean_agreement(model):.2f}, so {cautions.seeds_in_words(model)} (mean "
            f"adjusted Rand index, 1 is the same clusters and 0 is chance; below {cautions.DISAGREE} seeds disagree, "
            f"above {cautions.AGREE} they mostly agree; of each seed with the others {', '.join(agree)})"
        )
    else:
        console.print("Agreement between seeds: one seed cannot tell; --seeds 5 trains five")
    simple = report.k_means(model, X)
    console.print(
        f"Beside it k-means (best of 10 restarts, same input): adjusted Rand index of its clusters and the model's "
        f"{adjusted_rand_score(simple, model.labels_):.2f}"
    )
    if table.labels is not None:
        print_scores("Against the labels", report.scores(model, X, table.labels))
        print_scores("k-means against the labels", report.scores_of_clusters(simple, table.labels))
    summary = report.summary(model, X, table.names)
    console.print(_printed(summary))
    console.print(
        "Probability: mean over a cluster's rows of the probability that they are of it; the model is not sure of a "
        "low one"
    )
    if empty := model.n_clusters_ - len(summary):
        console.print(f"{empty} of {counted(model.n_clusters_, 'cluster')} {'is' if empty == 1 else 'are'} empty.")
    console.print(f"Clusters of all rows: {out / 'clusters.csv'}; a picture of every cluster: {out / 'clusters.png'}")


def _rows_of(model: Any, table: Table) -> str:
    """How many rows or images there are, and of what size."""
    if model.image_shape_ is None:
        return f"{counted(len(table.x), 'row')} of {counted(model.n_features_in_, 'value')}"
    return f"{counted(len(table.x), 'image')} of {size(model.image_shape_)}"


def print_learned(model: Any, labels: np.ndarray) -> None:
    """Print which cluster stands for which known class, and how many of the known rows are in theirs."""
    names, known = report.class_names(model), labels != ""
    right = int((np.array(report.classes_of(model, model.labels_))[known] == labels[known]).sum())
    shown = [f"{k} {name!r} ({counted(int((labels == name).sum()), 'row')})" for k, name in enumerate(names[:20])]
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    console.print(
        f"Learned from {counted(int(known.sum()), 'row')} of known class, {right} of which are in the cluster of their "
        f"class; clusters and their classes: {', '.join(shown)}{more}"
    )
    if model.n_clusters_ == len(names):
        console.print("All other rows are put into these clusters too; more --clusters leave room for other classes")


def print_comparison(models: list[Any], X: Any, table: Table, out: Path) -> None:
    """Print a table of fits of the rows ``X`` that differ in the number of clusters, and what to choose by."""
    for model in models:
        for caution in cautions.cautions(model):
            note(f"{counted(model.n_clusters, 'cluster')}: {caution}")
    lines = [
        {
            "clusters": f"{model.n_clusters}{' (interrupted)' * cautions.interrupted(model)}",
            "agreement of seeds": _agreement(model),
            "held-out bound (nats)": signed(model.bound_),
            "clusters in use": int((model.cluster_sizes_ > 0).sum()),
            "smallest cluster": int(model.cluster_sizes_[model.cluster_sizes_ > 0].min()),
            "mean probability": f"{report.mean_probability(model):.2f}",
        }
        for model in models
    ]
    if table.labels is not None:
        title = f"{named('ari').title} with the labels (%)"
        for line, model in zip(lines, models, strict=True):
            line[title] = f"{report.scores(model, X, table.labels)['ari']:.1f}"
    name, rows = type(models[0]).__name__, _rows_of(models[0], table)
    console.print(f"Fitted {name} on {rows} with {counted(len(models), 'number')} of clusters, into {out}/NUMBER")
    console.print(_printed(pd.DataFrame(lines)))
    console.print(
        "Neither number finds how many clusters there are: few clusters often agree more easily than many, and the "
        "bound says how well the rows are described, not whether the clusters are your groups. Take both as hints, and "
        "look at the pictures."
    )
    if models[0].bound_remark:
        console.print(models[0].bound_remark)
    console.print(f"Of each number its model, clusters.csv and clusters.png: {out / str(models[0].n_clusters)}, …")


def _agreement(model: Any) -> str:
    """Mean agreement of the seeds; a dash for a single seed, and where a seed put all rows into one cluster."""
    mean = cautions.mean_agreement(model)
    return "–" if math.isnan(mean) or cautions.seeds_of_one_cluster(model) else f"{mean:.2f}"


def print_scores(what: str, scores: dict[str, float], where: Console = console) -> None:
    """Print scores with their titles and units in a line."""
    texts = (f"{named(name).title}: {value:.1f} {named(name).unit}" for name, value in scores.items())
    where.print(f"{what}: {'; '.join(texts)}")


def _printed(lines: pd.DataFrame) -> Printed:
    """A table for the terminal, with texts to the left and numbers to the right."""
    printed = Printed(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in lines:
        printed.add_column(str(heading), justify="left" if str(heading).startswith(TEXTS) else "right")
    for _, line in lines.iterrows():
        printed.add_row(*(f"{value:,}" if isinstance(value, int) else str(value) for value in line))
    return printed


def print_published() -> None:
    """Print a table of the published models."""
    published = saving.published()
    lines = pd.DataFrame([_published(name) for name in published])
    console.print(_printed(lines) if published else "No trained model is published.")


def _published(name: str) -> dict[str, str]:
    """A line on a published model, from its description and its card."""
    folder = saving.folder_of(name)
    text = saving.card_of(name)
    description = json.loads(folder.joinpath(saving.DESCRIPTION).read_text(encoding="utf8"))
    data = re.search(r"^## Data\n\n(.+?):", text, re.MULTILINE)
    score = re.search(r"^\|---.*\n\| (.+?) \| (.+?) \|", text, re.MULTILINE)
    K = description["model"].get("n_clusters", "–")
    image = description["image_shape"]
    return {
        "name": name,
        "data": data[1] if data else "–",
        "images": size(image) if image else "–",
        "clusters": ", ".join(map(str, K)) if isinstance(K, list) else str(K),
        "main score": f"{score[1].replace(' ()', '')}: {score[2]}" if score else "–",
    }
