"""The phase map of GMVAE: what training finds, in the plane of the weights η and α."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from genclust.experiments.access import Asked, Runs, common_profile
from genclust.experiments.columns import each_seed, how_many, median, minutes, short, values
from genclust.experiments.declaration import load

#: Adjusted Rand index of clusters and arms, in per cent, and from where on the arms count as found.
ARI, FOUND = "test.ari", 95
USED = "test.clusters_used"
TITLES = {"plain": "networks of the paper", "bn": "with batch normalisation"}
#: The records of each pair of weights (η, α).
Plane = Mapping[tuple[float, float], Runs]
#: A number for each pair, all η, and all α.
Map = tuple[Float[np.ndarray, "etas alphas"], list[float], list[float]]


def planes(asked: Asked, networks: str) -> dict[str, dict[tuple[float, float], Runs]]:
    """The records of each plane, by weights.

    What is published is of one profile, the most faithful that all cells have.

    Args:
        asked: which runs.
        networks: which planes, with commas between: ``plain``, the networks of the paper; ``bn``, with batch
            normalisation; ``m10``, the pairs with ten Monte-Carlo samples.

    Returns:
        By network; planes without any records are left out.
    """
    changed = asked.seeds or any(asked.model.values()) or any(asked.training.values())
    if asked.profile == "published" and not changed:
        asked = asked.at(common_profile("gmvae-phases") or asked.profile)
    found: dict[str, dict[tuple[float, float], Runs]] = {name.strip(): {} for name in networks.split(",")}
    for row in load("gmvae-phases").runnable:
        model = (row.settings or {})["model"]
        kind = "m10" if model["samples"] > 1 else "bn" if model["batch_norm"] else "plain"
        if kind in found and (runs := asked.row("gmvae-phases", row.name)):
            found[kind][model["eta"], model["alpha"]] = runs
    return {kind: plane for kind, plane in found.items() if plane}


def weights(plane: Plane) -> tuple[list[float], list[float]]:
    """All η and all α of a plane, each in increasing order."""
    return sorted({eta for eta, _ in plane}), sorted({alpha for _, alpha in plane})


def medians(plane: Plane, metric: str) -> Map:
    """The median of a metric over the seeds of every pair, NaN where there is none; all η; all α."""
    etas, alphas = weights(plane)
    found = {pair: np.median(values(runs, metric)) for pair, runs in plane.items()}
    return np.array([[found.get((eta, alpha), np.nan) for alpha in alphas] for eta in etas]), etas, alphas


def maps(planes: Mapping[str, Plane]) -> dict[str, list[Map]]:
    """For each plane, by its title, the medians of the adjusted Rand index and of the number of components used."""
    return {TITLES[kind]: [medians(plane, metric) for metric in (ARI, USED)] for kind, plane in planes.items()}


def components(planes: Mapping[str, Plane]) -> int:
    """The number K of components that the models have, at most."""
    return max(runs[0].config["model"]["n_clusters"] for plane in planes.values() for runs in plane.values())


def reached(plane: Plane) -> pd.DataFrame:
    """How many seeds of every pair find the arms."""
    etas, alphas = weights(plane)
    cells = {pair: how_many(ARI, FOUND)(runs) for pair, runs in plane.items()}
    return pd.DataFrame(
        [{"η": f"{eta:g}"} | {f"α = {alpha:g}": cells.get((eta, alpha), "–") for alpha in alphas} for eta in etas]
    )


def beside_figure2(planes: Mapping[str, Plane]) -> pd.DataFrame:
    """The pairs of Figure 2 in this map and as published there, where they train at full length."""
    figure2, lines = load("gmvae-figure2").rows, []
    centre, each = median(ARI, 0), each_seed(ARI, in_order=True)
    for kind, plane in planes.items():
        for (eta, alpha), here in plane.items():
            name = f"eta{eta:g}-alpha{alpha:g}" + "-bn" * (kind == "bn")
            if name in figure2 and (there := Asked().row("gmvae-figure2", name)):
                line = {"": short(there), "this map, median ARI": centre(here), "each seed of the map": each(here)}
                lines.append(line | {"Figure 2, median ARI": centre(there), "each seed of Figure 2": each(there)})
    return pd.DataFrame(lines)


def more_samples(many: Plane, one: Plane) -> pd.DataFrame:
    """Pairs with several Monte-Carlo samples M beside the same pairs with one."""
    lines = []
    for (eta, alpha), runs in many.items():
        for M, found in ((1, one.get((eta, alpha))), (runs[0].config["model"]["samples"], runs)):
            if found:
                line = {"": f"η = {eta:g}, α = {alpha:g}", "M": M, "median ARI": median(ARI, 0)(found)}
                line |= {"each seed": each_seed(ARI)(found), "components used": each_seed(USED)(found)}
                lines.append(line | {"minutes per seed": minutes()(found)})
    return pd.DataFrame(lines)
