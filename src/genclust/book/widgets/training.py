"""What the maps of the page to touch show of training, stored in ``results/``: short runs, watched as they go.

Records keep no latent space of every cell of the phase map, and no clusters of every epoch.  So a few of the published
runs are trained anew, with the library's own training loop, and what the maps need is kept in two small files.  Each
names the configurations it is of, and a test holds them against the declarations of today::

    python -m genclust.book.widgets.training phases      # a quarter of an hour of one core
    python -m genclust.book.widgets.training formation   # two minutes of one core
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from sklearn.metrics import adjusted_rand_score

from genclust.data import DataSet
from genclust.evaluation.projection import PERPLEXITY
from genclust.evaluation.trained import snapshot_rows
from genclust.experiments import Asked
from genclust.experiments.access import Runs
from genclust.experiments.configuration import RunConfig, training_settings
from genclust.experiments.declaration import load, parse_profile
from genclust.experiments.execution import prepare
from genclust.experiments.store import Record
from genclust.experiments.training_run import build, fitted_rows
from genclust.models import Model
from genclust.models.inference import as_float
from genclust.pages import phases
from genclust.paths import root, write_whole
from genclust.training.loop import Training

#: The two files, and the numbers of points and epochs in them.
PHASES, FORMATION = "phase-maps.npz", "cluster-formation.npz"
PHASE_POINTS = 400
FORMATION_EPOCHS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100)
FORMATION_ROW = ("simple-table1", "proposed-mnist", "demo")

Arrays = dict[str, np.ndarray]


def train(
    config: RunConfig, seeds: Sequence[int], data: DataSet, epochs: Sequence[int], measure: Callable[[int, Model], None]
) -> Model:
    """Train seeds of a configuration side by side, as a run does, and return the model in evaluation mode.

    Args:
        config: configuration of the runs.
        seeds: one per replica.
        data: data set with its splits.
        epochs: epochs after which ``measure`` is called with the epoch and the model.
        measure: what is to be done then.
    """
    x = torch.from_numpy(fitted_rows(config, data))
    settings = training_settings(config.model["name"], config.training)
    training = Training(build(config, len(seeds), x.shape[1]), seeds, x, settings)

    def at(epoch: int) -> list[dict[str, float]]:
        measure(epoch, training.model)
        return [{} for _ in seeds]

    training.run(at, epochs)
    return training.model


def median_run(runs: Runs) -> Record:
    """Record with the median adjusted Rand index; of an even number, the lower of the middle two."""
    return sorted(runs, key=lambda record: (record.metrics[phases.ARI], record.seed))[(len(runs) - 1) // 2]


def phase_maps() -> Arrays:
    """Latent space of every cell of the phase map of the paper's networks, of one seed each (see :func:`median_run`).

    Returns:
        For C cells, in the order of η and α: ``address`` (of the configuration), ``eta``, ``alpha`` and ``seed``;
        ``ari``, the adjusted Rand index of all test points in per cent, as trained here; ``x`` ``[C, N, 2]`` means of
        q(x|y) of some test points, ``clusters`` ``[C, N]``, ``arms`` ``[N]``, and ``component_means`` and
        ``component_sds`` ``[C, K, 2]``, standard deviations, at w = 0.
    """
    found: dict[str, list[Any]] = {}
    for (eta, alpha), runs in sorted(phases.planes(Asked("published", ""), "plain")["plain"].items()):
        record = median_run(runs)
        config = record.run_config
        data, _ = prepare(config)
        model = train(config, [record.seed], data, [], lambda epoch, model: None)
        test = data.splits["test"]
        assert test.y is not None
        with torch.no_grad():
            latent = cast(Any, model).latent_map(as_float(torch.from_numpy(test.x))[None])
        clusters = latent["latent_clusters"][0].numpy()
        rows = snapshot_rows(data)[:PHASE_POINTS]
        cell = {
            "address": config.address,
            "eta": eta,
            "alpha": alpha,
            "seed": record.seed,
            "ari": 100 * adjusted_rand_score(test.y, clusters),
            "x": latent["latent_x"][0, rows].numpy(),
            "clusters": clusters[rows].astype(np.uint8),
            "component_means": latent["component_means"][0].numpy(),
            "component_sds": latent["component_sds"][0].numpy(),
        }
        for name, value in cell.items():
            found.setdefault(name, []).append(value)
        published = record.metrics[phases.ARI]
        print(f"η {eta:g}, α {alpha:g}, seed {record.seed}: {published:.2f}, anew {cell['ari']:.2f}", flush=True)
    arrays: Arrays = {name: np.stack(values) for name, values in found.items()}
    halved = {name: array.astype(np.float16) for name, array in arrays.items() if array.ndim == 3}
    assert test.y is not None
    return arrays | halved | {"arms": test.y[rows].astype(np.uint8)}


def cluster_formation() -> Arrays:
    """Features of test digits during training, in two dimensions, and their clusters.

    The t-SNE of an epoch starts from that of the epoch before, so that a group stays about where it was.

    Returns:
        For S seeds, E epochs and N test digits: ``address`` of the configuration, ``seeds``, ``epochs``, ``map``
        ``[S, E, N, 2]``, ``clusters`` ``[S, E, N]``, and ``rows`` ``[N]``, the digits' places in the test split.
    """
    from sklearn.manifold import TSNE

    experiment, name, profile = FORMATION_ROW
    row = load(experiment).rows[name]
    config, seeds = row.config(parse_profile(profile)), row.seeds(parse_profile(profile))
    data, _ = prepare(config)
    x = as_float(torch.from_numpy(data.splits["test"].x))
    maps: list[list[np.ndarray]] = []
    clusters: list[np.ndarray] = []

    @torch.no_grad()
    def measure(epoch: int, model: Model) -> None:
        inputs = x.expand(model.replicas, *x.shape)
        clusters.append(cast(Any, model).cluster_posterior(inputs).argmax(-1).numpy().astype(np.uint8))
        maps.append([])
        for s, features in enumerate(model.embed(inputs)["x_hat"].numpy()):
            start: object = "pca"
            if len(maps) > 1:
                start = maps[-2][s] / maps[-2][s].std() * 1e-4  # as small as the start from components
            projection = TSNE(perplexity=PERPLEXITY, init=start, random_state=0)
            maps[-1].append(projection.fit_transform(features).astype(np.float32))
        print(f"epoch {epoch}", flush=True)

    train(config, seeds, data, FORMATION_EPOCHS, measure)
    return {
        "address": np.array(config.address),
        "seeds": np.array(seeds),
        "epochs": np.array(FORMATION_EPOCHS),
        "map": np.stack(maps, 1).astype(np.float16),
        "clusters": np.stack(clusters, 1),
        "rows": np.arange(len(x)),
    }


def main(which: str, folder: Path) -> None:
    """Make one of the two files anew: ``phases`` or ``formation``."""
    name, make = {"phases": (PHASES, phase_maps), "formation": (FORMATION, cluster_formation)}[which]
    content = io.BytesIO()
    np.savez_compressed(content, **make())  # type: ignore[arg-type]
    write_whole(folder / name, content.getvalue())


if __name__ == "__main__":
    main(sys.argv[1], root() / "results")
