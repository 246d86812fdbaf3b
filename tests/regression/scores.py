r"""Scores of whole runs made anew, and by how much rounding alone moves them.

A run on another processor starts from the same weights and sees the same examples in the same order, but rounding
is amplified until the ends differ.  By how much is measured, not guessed: ``scores.json`` holds the scores of
:math:`V` variants of one processor (see ``variants.py``) for each of :math:`n` seeds.  With :math:`\sigma^2` the
variance over the variants, pooled over the seeds, :math:`n (V - 1)` degrees of freedom, the means over the seeds of
two processors differ by a number of variance :math:`2\sigma^2/n`, and by more than

.. math:: t_{1 - \alpha/2m}\, \sigma \sqrt{2/n} + \text{resolution}

once in a thousand times (:math:`\alpha = 0.001`) for any of the :math:`m` scores, when nothing is wrong.  A shift of
this size is noticed every other time, and one half as large again nearly always.  The resolution, of one row that
is assigned otherwise or of float32, is what keeps the interval open where the variants all agree.

Two of the runs are whole demo runs, compared with what is published; two are shortened, since the whole ones take
minutes, and compared with the mean of the variants.  How much rounding moves them is very different: of the small
tanh networks of an IWAE the likelihood comes out again to float32, of CaGeM to 0.01 nat, the accuracy of a GMVAE to
two points, and of a convolutional GM-DGM the agreement of a layer with an attribute only to several: what is wrong
with that one ``first_steps.py`` has to find.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import first_steps
import numpy as np
from scipy import stats

from genclust.experiments import declaration, execution, published_records
from genclust.experiments.store import Store

STORED = Path(__file__).with_name("scores.json")
SEEDS = [0, 1, 2]
ALPHA = 0.001


@dataclass(frozen=True)
class Run:
    """A demo run.

    Attributes:
        row: ``experiment/row``.
        evaluations: what is measured.
        resolution: of every score, in its own units.
        shortened: settings that make it shorter; a run without any is compared with what is published.
    """

    row: str
    evaluations: tuple[str, ...]
    resolution: dict[str, float]
    shortened: dict[str, dict[str, Any]] = field(default_factory=dict)


#: In per cent, one of the 359 test digits, or in nats.
ONE_DIGIT, FLOAT32 = 100 / 359, 1e-4
RUNS = (
    Run("gmvae-figure3/k10-m1", ("clustering",), {"test.acc_hungarian": ONE_DIGIT, "test.nmi_geometric": ONE_DIGIT}),
    Run("cagem-iwae/vae-l2-k1", ("likelihood-500",), {"test.log_likelihood": FLOAT32}),
    Run(
        "cagem-table1/cagem-100",
        ("clustering", "likelihood-100"),
        {"test.acc_hungarian": ONE_DIGIT, "test.log_likelihood": FLOAT32},
        {"training": {"epochs": 10}},
    ),
    Run(
        "vlac-factors/gm-dgm",
        ("layers",),
        {"test.nmi_arithmetic_y3_background": 0.1, "test.nmi_arithmetic_y3_ink": 0.1},
        {"model": {"channels": [8, 16, 16]}, "training": {"epochs": 1}},
    ),
)

#: Scores of the seeds, by row and metric.
Scores = dict[str, dict[str, list[float]]]


def anew() -> Scores:
    """The scores of all runs, made here and now."""
    found: Scores = {}
    for run in RUNS:
        experiment, _, name = run.row.partition("/")
        config = declaration.load(experiment).row(name).config("demo", run.shortened)
        with tempfile.TemporaryDirectory() as folder:
            os.environ["GENCLUST_CACHE"] = folder  # so that no checkpoint of another run is taken up
            task = execution.Task(config, SEEDS, run.evaluations)
            records = execution.run(task, Store(Path(folder)), progress=False)
        found[run.row] = {metric: [record.metrics[metric] for record in records] for metric in run.resolution}
    return found


def gathered(of_variants: dict[str, Scores]) -> dict[str, Any]:
    """The content of the file, from the scores of every variant."""
    made_on = {key: value for key, value in first_steps.processor().items() if key in ("model", "torch")}
    return {"made_on": made_on, "variants": of_variants}


@dataclass(frozen=True)
class Comparison:
    """The mean of a score over the seeds beside the one it should be."""

    name: str
    expected: float
    found: float
    allowed: float

    @property
    def difference(self) -> float:
        return self.found - self.expected

    @property
    def holds(self) -> bool:
        return abs(self.difference) <= self.allowed

    def __str__(self) -> str:
        return f"{self.name}: {self.found:.4f}, where {self.expected:.4f} ± {self.allowed:.4f} is expected"


def comparisons(new: Scores) -> Iterator[Comparison]:
    """Every score beside the published one or, of a shortened run, the mean of the variants."""
    variants = json.loads(STORED.read_text())["variants"].values()
    tests = sum(len(run.resolution) for run in RUNS)
    for run in RUNS:
        for metric, resolution in run.resolution.items():
            values = np.array([scores[run.row][metric] for scores in variants])  # [V, n]
            V, n = values.shape
            sigma = np.sqrt(values.var(0, ddof=1).mean())
            t = stats.t.ppf(1 - ALPHA / (2 * tests), n * (V - 1))
            expected = values.mean() if run.shortened else np.mean(_published(run, metric))
            yield Comparison(
                f"{run.row} {metric}",
                float(expected),
                float(np.mean(new[run.row][metric])),
                float(t * sigma * np.sqrt(2 / n) + resolution),
            )


def _published(run: Run, metric: str) -> list[float]:
    experiment, _, name = run.row.partition("/")
    _, records = published_records(declaration.load(experiment).row(name), "demo")
    return [record.metrics[metric] for record in records if record.seed in SEEDS]


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(anew()) + "\n")
