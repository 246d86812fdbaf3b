"""Tables of how well the clusters of each layer agree with each attribute, for models with several layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from genclust.evaluation.layers import LEADING
from genclust.experiments.access import Runs
from genclust.experiments.store import Record
from genclust.experiments.verdicts import Summary
from genclust.pages.columns import Column, label, table
from genclust.pages.tables import measured
from genclust.wording import counted, with_sd

#: Names of the attributes, in the order in which they are shown.
ATTRIBUTES = ("identity", "ink", "background", "weight", "slant", "left", "right")
#: Clusterings of ``vlac-factors``, each given by its row, its kind (``y`` for the model's clusters, ``z`` for those of
#: k-means in its latent variables) and its title.
CLUSTERINGS = (
    ("vlac", "y", "VLAC, clusters"),
    ("vlac", "z", "VLAC, k-means"),
    ("vlae", "z", "VLAE, k-means"),
    ("gm-dgm", "y", "GM-DGM, clusters"),
)


class Agreement(NamedTuple):
    """Agreement of the clusters of each layer with each attribute, in per cent."""

    #: Scores in per cent.
    values: Float[np.ndarray, "L A"]
    #: Names of the L layers, from the one nearest to the image.
    layers: list[str]
    #: Names of the A attributes.
    attributes: list[str]


def scores_by_attribute(runs: Sequence[Record], kind: str, score: str = "nmi_arithmetic") -> Agreement:
    """Score of each layer with each attribute in per cent, averaged over seeds.

    Args:
        runs: records with the evaluation ``layers``.
        kind: ``y`` for clusters, or ``z`` for k-means in the latent variables.
        score: name of the score, ``nmi_arithmetic`` or ``acc_many_to_one``.
    """
    means = pd.DataFrame([run.metrics for run in runs]).mean()
    start = f"test.{score}_{kind}"
    cells = {
        tuple(name.removeprefix(start).split("_", 1)): value for name, value in means.items() if name.startswith(start)
    }
    layers = sorted({layer for layer, _ in cells})
    attributes = [name for name in ATTRIBUTES if (layers[0], name) in cells]
    scores = np.array([[cells[layer, name] for name in attributes] for layer in layers])
    return Agreement(scores, layers, attributes)


def known_of(found: Mapping[str, Sequence[Record]]) -> list[str]:
    """Names of the attributes that the data of all records have, in the order in which they are shown.

    For a user's own data these are the labels alone, or none.
    """
    every = [run.metrics for runs in found.values() for run in runs]
    return [name for name in ATTRIBUTES if every and all(f"test.floor_{name}" in metrics for metrics in every)]


def layers_by_attribute(found: Mapping[str, Runs]) -> dict[str, Agreement]:
    """Normalised mutual information (per cent) of layers and attributes for each clustering of ``vlac-factors``.

    By the title of its map; without those that have no runs, and empty for data without labels.
    """
    maps = {}
    for name, kind, title in CLUSTERINGS if known_of(found) else ():
        if runs := found.get(name):
            model = title.partition(",")[0]
            what = "clusters $y$" if kind == "y" else "k-means in $z$"
            data = runs[0].data_name
            scores, layers, attributes = scores_by_attribute(runs, kind)
            layers = [f"layer {layer}" for layer in layers]
            maps[f"{model}: {what} ({data}, {counted(len(runs), 'seed')})"] = Agreement(scores, layers, attributes)
    return maps


def by_chance(found: Mapping[str, Runs]) -> str:
    """Sentence with the highest mutual information that VLAC's clusters reach by chance, or why there is none.

    It is the normalised mutual information with any attribute, in per cent, for a line above the maps.
    """
    if not any(found.values()):
        return "not run"
    if not known_of(found):
        return "no labels, and so nothing to compare clusters with"
    start = "test.chance_nmi"
    chance = [value for run in found["vlac"] for name, value in run.metrics.items() if name.startswith(start)]
    return f"NMI by chance, in any cell of VLAC's: {max(chance):.1f} % at most" if chance else ""


def leaders(found: Mapping[str, Runs]) -> pd.DataFrame:
    """Table with one line per seed of ``vlac-factors``: the attribute with the highest NMI in each layer.

    NMI is in per cent; an attribute leads a layer if its NMI is at least ``LEADING``, and otherwise stands in brackets.
    """
    lines = []
    for name, kind, title in CLUSTERINGS:
        for run in found.get(name, ()):
            scores, layers, attributes = scores_by_attribute([run], kind)
            line = {"": title, "seed": run.seed}
            for layer, row in zip(layers, scores, strict=True):
                first = attributes[row.argmax()]
                leads = row.max() >= LEADING
                line[f"layer {layer}"] = f"{first} ({row.max():.0f})" if leads else f"none ({first} {row.max():.0f})"
            lines.append(line | {"attributes that lead": f"{run.metrics[f'test.leading_{kind}']:.0f}"})
    return pd.DataFrame(lines).fillna("–")


def accuracies(found: Mapping[str, Runs]) -> pd.DataFrame:
    """Table of many-to-one accuracies (per cent) on ``vlac-factors``, per attribute in its best layer on average.

    The last two lines are the accuracy of VLAC by chance, in its best layer, and that of a single cluster.
    """
    score = "acc_many_to_one"
    lines = []
    for name, kind, title in CLUSTERINGS:
        if runs := found[name]:
            scores, layers, attributes = scores_by_attribute(runs, kind, score)
            line = {"": title}
            for attribute, column in zip(attributes, scores.T, strict=True):
                layer = layers[column.argmax()]
                line[attribute] = f"{measured(runs, f'test.{score}_{kind}{layer}_{attribute}', 1)} (layer {layer})"
            lines.append(line | {"seeds": str(len(runs))})
    if found["vlac"]:
        chance = scores_by_attribute(found["vlac"], "y", "chance_many_to_one")
        best = dict(zip(chance.attributes, chance.values.max(0), strict=True))
        lines.append({"": "VLAC, by chance"} | {name: f"{value:.1f}" for name, value in best.items()} | {"seeds": ""})
    if lines:
        run = next(runs[0] for runs in found.values() if runs)
        floors = {name: f"{run.metrics[f'test.floor_{name}']:.1f}" for name in known_of({"": [run]})}
        lines.append({"": "floor"} | floors | {"seeds": ""})
    return pd.DataFrame(lines)


def by_attribute(found: Mapping[str, Runs]) -> pd.DataFrame:
    """Table with one line per row: NMI of clusters and attributes in the best layer, see :func:`best_layer`."""
    if not (attributes := known_of(found)):
        return pd.DataFrame({"": ["no labels, and so nothing to compare clusters with"]})
    return table(found, {"": label} | {name: best_layer(name) for name in attributes})


def best_layer(attribute: str) -> Column:
    """Column with the NMI of clusters and an attribute (per cent) in the best layer of each seed, mean ± sd."""
    start, end = "test.nmi_arithmetic_y", f"_{attribute}"

    def column(runs: Runs) -> str:
        layers = [[v for k, v in run.metrics.items() if k.startswith(start) and k.endswith(end)] for run in runs]
        summary = Summary.of([max(scores) for scores in layers])
        return with_sd(summary.mean, summary.sd, 1)

    return column
