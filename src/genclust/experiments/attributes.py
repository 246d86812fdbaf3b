"""Which layer clusters by which attribute: tables of models whose clusters, or latent variables, come in layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from genclust.evaluation.layers import LEADING
from genclust.experiments.access import Runs
from genclust.experiments.columns import Column
from genclust.experiments.store import Record
from genclust.experiments.tables import measured
from genclust.experiments.verdicts import Summary

#: In the order in which they are shown.
ATTRIBUTES = ("identity", "ink", "background", "weight", "slant", "left", "right")
#: Clusterings of ``vlac-factors``: the row, whether its clusters (y) or those of k-means in its latent variables (z),
#: and what they are called.
CLUSTERINGS = (
    ("vlac", "y", "VLAC, clusters"),
    ("vlac", "z", "VLAC, k-means"),
    ("vlae", "z", "VLAE, k-means"),
    ("gm-dgm", "y", "GM-DGM, clusters"),
)


class Agreement(NamedTuple):
    """How well the clusters of every layer agree with every attribute, in per cent."""

    #: The scores.
    values: Float[np.ndarray, "L A"]
    #: The names of the L layers, from the one nearest to the image.
    layers: list[str]
    #: The names of the A attributes.
    attributes: list[str]


def agreement(runs: Sequence[Record], kind: str, score: str = "nmi_arithmetic") -> Agreement:
    """The means over seeds of a score of all layers and attributes.

    Args:
        runs: records of the evaluation ``layers``.
        kind: ``y``, clusters; or ``z``, k-means in the latent variables.
        score: ``nmi_arithmetic`` or ``acc_many_to_one``.
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
    """The attributes that are known of the data of all records, in the order in which they are shown; for those of
    the user's own, the labels alone or nothing."""
    every = [run.metrics for runs in found.values() for run in runs]
    return [name for name in ATTRIBUTES if every and all(f"test.floor_{name}" in metrics for metrics in every)]


def layers_by_attribute(found: Mapping[str, Runs]) -> dict[str, Agreement]:
    """The mutual information of every clustering of ``vlac-factors`` with all attributes, by the title of its map;
    none for data without labels."""
    maps = {}
    for name, kind, title in CLUSTERINGS if known_of(found) else ():
        if runs := found[name]:
            model = title.partition(",")[0]
            what = "clusters $y$" if kind == "y" else "k-means in $z$"
            data = runs[0].data["name"].replace("_", " ")
            scores, layers, attributes = agreement(runs, kind)
            layers = [f"layer {layer}" for layer in layers]
            maps[f"{model}: {what} ({data}, {len(runs)} seeds)"] = Agreement(scores, layers, attributes)
    return maps


def by_chance(found: Mapping[str, Runs]) -> str:
    """The greatest mutual information that clusters like VLAC's have with any attribute by chance, for a line above
    the maps; or why there are none."""
    if not any(found.values()):
        return "not run"
    if not known_of(found):
        return "no labels, and so nothing to compare clusters with"
    start = "test.chance_nmi"
    chance = [value for run in found["vlac"] for name, value in run.metrics.items() if name.startswith(start)]
    return f"NMI by chance, in any cell of VLAC's: {max(chance):.1f} % at most" if chance else ""


def leaders(found: Mapping[str, Runs]) -> pd.DataFrame:
    """One line for each seed of ``vlac-factors``: the attribute that every layer tells most about, if it leads."""
    lines = []
    for name, kind, title in CLUSTERINGS:
        for run in found[name]:
            scores, layers, attributes = agreement([run], kind)
            line = {"": title, "seed": run.seed}
            for layer, row in zip(layers, scores, strict=True):
                first = attributes[row.argmax()]
                leads = row.max() >= LEADING
                line[f"layer {layer}"] = f"{first} ({row.max():.0f})" if leads else f"none ({first} {row.max():.0f})"
            lines.append(line | {"attributes that lead": f"{run.metrics[f'test.leading_{kind}']:.0f}"})
    return pd.DataFrame(lines).fillna("–")


def accuracies(found: Mapping[str, Runs]) -> pd.DataFrame:
    """The many-to-one accuracy of ``vlac-factors`` for each attribute, in the layer where its mean is highest.

    The last two lines are that of VLAC by chance, in the layer where it is highest, and that of a single cluster.
    """
    score = "acc_many_to_one"
    lines = []
    for name, kind, title in CLUSTERINGS:
        if runs := found[name]:
            scores, layers, attributes = agreement(runs, kind, score)
            line = {"": title}
            for attribute, column in zip(attributes, scores.T, strict=True):
                layer = layers[column.argmax()]
                line[attribute] = f"{measured(runs, f'test.{score}_{kind}{layer}_{attribute}', 1)} (layer {layer})"
            lines.append(line | {"seeds": str(len(runs))})
    if found["vlac"]:
        chance = agreement(found["vlac"], "y", "chance_many_to_one")
        best = dict(zip(chance.attributes, chance.values.max(0), strict=True))
        lines.append({"": "VLAC, by chance"} | {name: f"{value:.1f}" for name, value in best.items()} | {"seeds": ""})
    if lines:
        run = next(runs[0] for runs in found.values() if runs)
        floors = {name: f"{run.metrics[f'test.floor_{name}']:.1f}" for name in known_of({"": [run]})}
        lines.append({"": "floor"} | floors | {"seeds": ""})
    return pd.DataFrame(lines)


def best_layer(attribute: str) -> Column:
    """A column with mean ± sd over seeds of the mutual information of the clusters with an attribute, in per cent, in
    the layer where each seed's is highest."""
    start, end = "test.nmi_arithmetic_y", f"_{attribute}"

    def column(runs: Runs) -> str:
        layers = [[v for k, v in run.metrics.items() if k.startswith(start) and k.endswith(end)] for run in runs]
        summary = Summary.of([max(scores) for scores in layers])
        return f"{summary.mean:.1f}" + ("" if summary.sd is None else f" ± {summary.sd:.1f}")

    return column
