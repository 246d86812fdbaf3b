"""Fitting of the scikit-learn baselines, which need neither checkpoints nor a training loop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from genclust.data import DataSet
from genclust.evaluation import measures
from genclust.evaluation.results import Results
from genclust.experiments.configuration import RunConfig
from genclust.experiments.workers import Unfinished
from genclust.models import BASELINES
from genclust.settings import read


def fit_seeds(
    config: RunConfig, seeds: Sequence[int], data: DataSet, deadline: float | None, progress: bool
) -> Iterator[tuple[int, Results, float]]:
    """Fit a baseline with each seed in turn; yield the seed, its scores and its time in seconds.

    Raises:
        Unfinished: if the deadline, a time of the monotonic clock, passed between two seeds.
    """
    for seed in tqdm(seeds, disable=not progress, desc=f"{config.model['name']} on {data.name}", unit="seed"):
        if deadline is not None and time.monotonic() > deadline:
            raise Unfinished("The time is up between two seeds; the same command goes on.")
        began = time.perf_counter()
        scores = fit(config, data, seed)
        yield seed, scores, time.perf_counter() - began


def fit(config: RunConfig, data: DataSet, seed: int) -> Results:
    """Fit a baseline to the training split and return its clustering scores on all splits."""
    parts = {
        name: split.x.astype(np.float32) / 255 if split.x.dtype == np.uint8 else split.x
        for name, split in data.splits.items()
    }
    settings = {key: value for key, value in config.model.items() if key != "name"}
    baseline: Any = read(BASELINES[config.model["name"]], settings, "model")
    fitted = baseline.fit(parts["train"], seed)
    return measures.clustering(data, {name: fitted.cluster_posterior(x) for name, x in parts.items()})
