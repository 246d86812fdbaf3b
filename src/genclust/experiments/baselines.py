"""Fitting of the baselines, which need neither checkpoints nor a training loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from genclust.baselines import BASELINES
from genclust.data import DataSet
from genclust.evaluation import measures
from genclust.evaluation.results import Results
from genclust.experiments.configuration import RunConfig
from genclust.experiments.training_run import fitted_rows
from genclust.experiments.workers import Unfinished
from genclust.settings import read
from genclust.timing import clock


def fit_seeds(
    config: RunConfig, seeds: Sequence[int], data: DataSet, deadline: float | None, progress: bool
) -> Iterator[tuple[int, Results, float]]:
    """Fit a baseline with each seed in turn; yield the seed, its scores and its time in seconds.

    The time includes that of an autoencoder which an earlier fit has trained and kept.

    Raises:
        Unfinished: if the deadline, a time of the monotonic clock, passed between two seeds.
    """
    for seed in tqdm(seeds, disable=not progress, desc=f"{config.model['name']} on {data.name}", unit="seed"):
        if deadline is not None and time.monotonic() > deadline:
            raise Unfinished("The time is up between two seeds; the same command goes on.")
        began = clock("cpu")
        scores, saved_seconds = fit(config, data, seed)
        yield seed, scores, clock("cpu") - began + saved_seconds


def fit(config: RunConfig, data: DataSet, seed: int) -> tuple[Results, float]:
    """Fit a baseline; returns its clustering scores on all splits, and the seconds that what was kept has saved."""
    settings = {key: value for key, value in config.model.items() if key != "name"}
    baseline: Any = read(BASELINES[config.model["name"]], settings, "model")
    rows = _as_float(fitted_rows(config, data))
    fitted = baseline.fit(rows, seed)
    # Together, as they were fitted: UMAP gives them the places of the fit, and others new ones.
    ends = np.cumsum([len(data.splits[name]) for name in config.fitted_splits])
    known = dict(zip(config.fitted_splits, np.split(fitted.cluster_posterior(rows), ends[:-1]), strict=True))
    posteriors = {
        name: known[name] if name in known else fitted.cluster_posterior(_as_float(split.x))
        for name, split in data.splits.items()
    }
    return measures.clustering(data, posteriors), getattr(fitted, "saved_seconds", 0.0)


def _as_float(x: np.ndarray) -> np.ndarray:
    return x.astype(np.float32) / 255 if x.dtype == np.uint8 else x
