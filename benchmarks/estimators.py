"""Benchmark of the estimators: fitting ten seeds against peers' training of one, and predicting a million rows."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks import peers
from benchmarks.machine import quiet
from benchmarks.runs import Result, Setup, whole_batches
from benchmarks.timing import Comparison, Variant
from genclust import GumbelClustering
from genclust.models.inference import as_float

BATCH = 300
#: Memory that must be free for a million rows to go through the network at once: as float32, and two layers of 512.
ROOM = 12 * 2**30
ESTIMATOR, AT_ONCE = "predict", "one tensor"


def estimators(setup: Setup) -> Result:
    """What a user of the estimators waits for: ``fit`` of ten seeds, and ``predict`` of a million rows."""
    return {"fit": fit(setup), "predict": predict(setup)}


def fit(setup: Setup) -> Result:
    """Images per second and seed of ``GumbelClustering.fit``, and of an epoch of the nearest models of other libraries.

    One epoch each, in batches of 300.  An image counts once for every seed that trains on it, so the held-out tenth of
    the rows, which costs ``fit`` time, does not count.  What is compared differs:

    - ``fit`` is timed whole.  Besides training it checks and scales the rows, draws the initial weights, evaluates the
      bound on the held-out rows twice, and finds the clusters of all rows by all seeds.  Of the others the epoch alone
      is timed: models, optimisers, data loaders and float32 images are made before, and VaDE is neither pretrained nor
      initialised by a mixture, which takes ClustPy many epochs more.
    - The models are not the same, and the peers' are those of their libraries.  GumbelClustering has the paper's
      network 784-512-256-100 with batch normalisation, a head of clusters, a style of dimension 150 and the mirrored
      decoder: 1.2 million weights.  ClustPy's VaDE is 784-500-500-2000-10, 3.3 million weights; pythae has no model
      that clusters, and its VAE is 784-512-16, 0.8 million weights.
    - Ten seeds train side by side in one ``fit``.  The peers train one seed, and several one after the other, so that
      their rate is the same for any number of seeds.

    Returns:
        The comparison, and for the fits the rows given and those trained on.
    """
    x = whole_batches(setup.mnist, BATCH, setup.pick(60_000, 600))
    rows = x.numpy()
    variants: dict[str, Variant] = {}
    for seeds in (10, 1) if not setup.smoke else (2, 1):
        variants[f"GumbelClustering, {seeds} seed" + "s" * (seeds > 1)] = partial(_fit, rows, seeds)
    builds: dict[str, Callable[[Tensor], Variant]] = {
        "ClustPy's VaDE": partial(peers.clustpy_vade, batch=BATCH),
        "pythae's VAE": partial(peers.pythae_training, batch=BATCH, samples=1),
    }
    for peer, build in builds.items():
        try:
            variants[peer] = build(x)
        except peers.NotInstalled as missing:
            quiet(f"  {missing}")
        except Exception as error:  # whatever a peer does not find on this machine, the rest is measured
            quiet(f"  {peer} cannot be run here: {type(error).__name__}: {error}")
    trained = len(x) - _held_out(len(x))
    return setup.compare(variants, "images/s").as_dict() | {"batch": BATCH, "rows": len(x), "trained on": trained}


def _held_out(n: int) -> int:
    return round(GumbelClustering().validation_fraction * n)


def _fitted(rows: np.ndarray, seeds: int) -> GumbelClustering:
    model = GumbelClustering(10, latent_dim=150, n_init=seeds, epochs=1, batch_size=BATCH, random_state=0)
    return model.fit(rows)


def _fit(rows: np.ndarray, seeds: int) -> float:
    _fitted(rows, seeds)
    return float(seeds * (len(rows) - _held_out(len(rows))))


# ---- predicting


def predict(setup: Setup) -> Result:
    """Rows per second, and memory, of ``predict`` on a million rows of uint8, beside all rows at once as one tensor.

    The rows are the images again and again.  Every call has a process of its own, whose peak of resident memory during
    the call is compared with what it held before, the rows themselves included.  The plain way is the same network on
    one float32 tensor of all rows; where too little memory is free for that, it gets a fifth of the rows.

    Returns:
        The comparison, and for every variant its number of rows and the most bytes it took above the rows themselves
        (None where the system does not tell).
    """
    n = setup.pick(1_000_000, 3000)
    rows = {ESTIMATOR: n, AT_ONCE: n if setup.smoke or _free_memory() > ROOM else n // 5}
    images = setup.mnist[: setup.pick(60_000, 600)].numpy()
    model = _fitted(images[: 10 * BATCH], 1)
    rates: dict[str, list[float]] = {way: [] for way in rows}
    above: dict[str, list[int]] = {way: [] for way in rows}
    for number in range(setup.rounds):  # a call warms up by itself, on some rows
        for way in list(rows) if number % 2 == 0 else reversed(rows):
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
                seconds, peak = process.submit(_predicted, model, way, images, rows[way], setup.threads).result()
            rates[way].append(rows[way] / seconds)
            if peak is not None:
                above[way].append(peak)
    comparison: dict[str, Any] = Comparison("rows/s", ESTIMATOR, rates).as_dict()
    for way, variant in comparison["variants"].items():
        variant["rows"] = rows[way]
        variant["bytes above the rows"] = max(above[way]) if above[way] else None
    return comparison | {"bytes per row": images.shape[1]}


def _predicted(model: GumbelClustering, way: str, images: np.ndarray, n: int, threads: int) -> tuple[float, int | None]:
    """Seconds of one call on ``n`` rows, and the bytes by which memory rose meanwhile at its peak."""
    torch.set_num_threads(threads)
    calls: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        ESTIMATOR: model.predict,
        AT_ONCE: partial(_at_once, model.model_),
    }
    rows = np.empty((n, images.shape[1]), np.uint8)
    for start in range(0, n, len(images)):
        rows[start : start + len(images)] = images[: n - start]
    calls[way](rows[:BATCH])
    before = _memory("VmRSS")
    began = time.perf_counter()
    clusters = calls[way](rows)
    seconds = time.perf_counter() - began
    peak = _memory("VmHWM")
    if clusters.shape != (n,):
        raise ValueError(f"{way} gave {clusters.shape} instead of {n} clusters")
    return seconds, None if before is None or peak is None else max(peak - before, 0)


@torch.no_grad()
def _at_once(model: Any, rows: np.ndarray) -> np.ndarray:
    x = as_float(torch.from_numpy(rows))
    return model.cluster_posterior(x[None])[0].argmax(-1).numpy()


def _memory(what: str, file: str = "/proc/self/status") -> int | None:
    """Bytes that Linux states: ``VmRSS`` is what the process holds, ``VmHWM`` its most so far; elsewhere None.

    ``resource.getrusage`` would not do: its peak is handed on to a process from the one that started it.
    """
    try:
        lines = Path(file).read_text(encoding="utf8").splitlines()
    except OSError:
        return None
    found = [line.split() for line in lines if line.startswith(f"{what}:")]
    return 1024 * int(found[0][1]) if found else None


def _free_memory() -> int:
    return _memory("MemAvailable", "/proc/meminfo") or 0
