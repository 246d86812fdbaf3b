"""Phase map of GMVAE: the results of training as a function of the weights η and α."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

from genclust.experiments.access import Asked, Runs, common_profile
from genclust.experiments.declaration import load
from genclust.pages.columns import each_seed, how_many, median, minutes, short, values

#: Metric of the adjusted Rand index of clusters and arcs, and the per cent from which the arcs count as found.
ARI, FOUND = "test.ari", 95
USED = "test.clusters_used"
TITLES = {"plain": "networks of the paper", "bn": "with batch normalisation"}
#: The records of each pair of weights (η, α).
Plane = Mapping[tuple[float, float], Runs]
#: A number for each pair of weights, the values of η, and those of α.
Map = tuple[Float[np.ndarray, "etas alphas"], list[float], list[float]]


def planes(asked: Asked, networks: str) -> dict[str, dict[tuple[float, float], Runs]]:
    """Records of the phase map: for each kind of network, those of each pair of weights (η, α).

    Published records are all of one profile, the most faithful that all cells have.

    Args:
        asked: requested runs.
        networks: kinds of networks, separated by commas: ``plain``, the networks of the paper; ``bn``, with batch
            normalisation; ``m10``, the pairs with ten Monte-Carlo samples.

    Returns:
        Records by kind of network and by pair; planes without any records are left out.
    """
    if asked.profile == "published" and not asked.is_rerun:
        asked = asked.at(common_profile("gmvae-phases") or asked.profile)
    records: dict[str, dict[tuple[float, float], Runs]] = {name.strip(): {} for name in networks.split(",")}
    for row in load("gmvae-phases").runnable:
        model = (row.settings or {})["model"]
        kind = "m10" if model["samples"] > 1 else "bn" if model["batch_norm"] else "plain"
        if kind in records and (runs := asked.row("gmvae-phases", row.name)):
            records[kind][model["eta"], model["alpha"]] = runs
    return {kind: plane for kind, plane in records.items() if plane}


def weights(plane: Plane) -> tuple[list[float], list[float]]:
    """Values of η and values of α in a plane, each in increasing order."""
    return sorted({eta for eta, _ in plane}), sorted({alpha for _, alpha in plane})


def medians(plane: Plane, metric: str) -> Map:
    """Median of a metric over the seeds of each pair (NaN without), the values of η, and those of α."""
    etas, alphas = weights(plane)
    by_pair = {pair: np.median(values(runs, metric)) for pair, runs in plane.items()}
    return np.array([[by_pair.get((eta, alpha), np.nan) for alpha in alphas] for eta in etas]), etas, alphas


def maps(planes: Mapping[str, Plane]) -> dict[str, list[Map]]:
    """Maps of the median adjusted Rand index and of the median number of components used, by title of the plane."""
    return {TITLES[kind]: [medians(plane, metric) for metric in (ARI, USED)] for kind, plane in planes.items()}


def components(planes: Mapping[str, Plane]) -> int:
    """Largest number K of mixture components of the models."""
    return max(runs[0].config["model"]["n_clusters"] for plane in planes.values() for runs in plane.values())


def reached(plane: Plane) -> pd.DataFrame:
    """Table of how many seeds of each pair (η, α) find the arcs: their adjusted Rand index is at least ``FOUND``."""
    etas, alphas = weights(plane)
    cells = {pair: how_many(ARI, FOUND)(runs) for pair, runs in plane.items()}
    return pd.DataFrame(
        [{"η": f"{eta:g}"} | {f"α = {alpha:g}": cells.get((eta, alpha), "–") for alpha in alphas} for eta in etas]
    )


def beside_figure2(planes: Mapping[str, Plane]) -> pd.DataFrame:
    """Table of the pairs of weights of Figure 2 in this map, and in Figure 2, where they train at full length."""
    figure2, lines = load("gmvae-figure2").rows, []
    centre, by_seed = median(ARI, 0), each_seed(ARI, in_order=True)
    for kind, plane in planes.items():
        for (eta, alpha), mapped in plane.items():
            name = f"eta{eta:g}-alpha{alpha:g}" + "-bn" * (kind == "bn")
            if name in figure2 and (original := Asked().row("gmvae-figure2", name)):
                line = {
                    "": short(original),
                    "this map, median ARI": centre(mapped),
                    "each seed of the map": by_seed(mapped),
                }
                lines.append(
                    line | {"Figure 2, median ARI": centre(original), "each seed of Figure 2": by_seed(original)}
                )
    return pd.DataFrame(lines)


def more_samples(many: Plane, one: Plane) -> pd.DataFrame:
    """Table of pairs of weights with several Monte-Carlo samples M, beside the same pairs with one."""
    lines = []
    for (eta, alpha), runs in many.items():
        for M, records in ((1, one.get((eta, alpha))), (runs[0].config["model"]["samples"], runs)):
            if records:
                line = {"": f"η = {eta:g}, α = {alpha:g}", "M": M, "median ARI": median(ARI, 0)(records)}
                line |= {"each seed": each_seed(ARI)(records), "components used": each_seed(USED)(records)}
                lines.append(line | {"minutes per seed": minutes()(records)})
    return pd.DataFrame(lines)
