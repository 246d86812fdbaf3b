"""Whoever adds a paper adds files and touches no list: a fifth paper in a folder of its own, with nothing of the library
changed."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from genclust.cli import app
from genclust.data import DataError, load, sources
from genclust.experiments import declaration, number, papers, records, verdicts, workers
from genclust.experiments.tables import comparison
from genclust.models import MODELS, Model, register
from genclust.models.base import BernoulliModel
from genclust.settings import SettingError

MODEL = '''
"""A mixture of spheres around learned centres: the smallest model with clusters."""

from dataclasses import dataclass

import torch
from torch import nn

from genclust.models import Model, Terms, register
from genclust.settings import within


@dataclass(frozen=True)
class SpheresSettings:
    n_clusters: int = within(1, 100)


@register("spheres", SpheresSettings)
class Spheres(Model):
    r"""$p(x) = \\sum_k \\mathcal N(x; \\mu_k, 1) / K$, whose exact likelihood is the objective."""

    def __init__(self, replicas, x_dim, settings):
        super().__init__()
        self.replicas, self.settings = replicas, settings
        self.centres = nn.Parameter(torch.zeros(replicas, settings.n_clusters, x_dim))

    def initialise(self, generators):
        shape = self.centres.shape[1:]
        self.centres.data = torch.stack([3 * torch.randn(shape, generator=generator) for generator in generators])

    def log_joint(self, x):
        """log p(x, y), up to a constant, [R, B, K]."""
        return -0.5 * torch.cdist(x, self.centres) ** 2

    def loss(self, x, scheduled, noise):
        bound = self.log_joint(x).logsumexp(-1)
        return Terms(-bound.mean(-1), {"log_likelihood": bound})

    def cluster_posterior(self, x):
        return self.log_joint(x).log_softmax(-1)

    def embed(self, x):
        return {"x": x}
'''
PAPERS = """
fifth:
  title: Spheres
  models: spheres
"""
SOURCES = """
corners:
  title: Two corners
  what: points in the plane
  citation: Nobody, 2020
  splits: {train: 400, test: 100}
  digest: null
  files: {corners.npz: null}
  obtain: it is made by the test
"""
DECLARED = """
paper: fifth
table: Table 1
title: Accuracy on two corners
settings:
  data: {name: corners, validation_fraction: 0.2}
  model: {name: spheres, n_clusters: 2}
  training: {epochs: 5, batch_size: 50, learning_rate: 0.05}
profiles:
  demo: {seeds: 0-1}
  paper: {seeds: 0-4, settings: {training: {epochs: 50}}}
choices:
  - {setting: training.epochs, taken: 50, why: The paper does not say.}
rows:
  spheres:
    label: Spheres
    dataset: corners
    reported: [{name: ACC, metric: test.acc_hungarian, mean: 99, sd: 1, tolerance: 2}]
  theirs:
    label: Cubes
    dataset: corners
    quoted: true
    reported: [{name: ACC, metric: test.acc_hungarian, mean: 75}]
"""


def corners(n: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    return {"x": (10 * y[:, None] - 5 + rng.normal(size=(n, 2))).astype(np.float32), "y": y}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of one's own with one paper; afterwards the library knows nothing of it."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "fifth-table1.yaml").write_text(DECLARED.replace("    label: Spheres", "    settings: {}\n    label: Spheres"))
    (tmp_path / "papers.yaml").write_text(PAPERS)
    (tmp_path / "sources.yaml").write_text(SOURCES)
    (tmp_path / "spheres.py").write_text(MODEL)
    (tmp_path / "data" / "corners").mkdir(parents=True)
    train, test = corners(400, 0), corners(100, 1)
    arrays = {f"{name}_train": part for name, part in train.items()} | {f"{name}_test": p for name, p in test.items()}
    np.savez(tmp_path / "data" / "corners" / "corners.npz", **arrays)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GENCLUST_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))
    built_in = dict(MODELS)
    yield tmp_path
    papers._imported.cache_clear()
    sys.modules.pop("spheres", None)
    for name in MODELS.keys() - built_in.keys():
        del MODELS[name]


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str) -> str:
    """The one sentence that is said."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1 and result.output.count("\n") == 1, result.output
    return result.output


def test_its_commands(folder):
    listed = invoke("list")
    assert "fifth-table1" in listed and "spheres" in listed and "simple-table1" not in listed
    shown = invoke("show", "fifth-table1", "--profile", "demo")
    assert "Accuracy on two corners (fifth, Table 1)" in shown and "n_clusters: 2" in shown and "Not run yet" in shown
    ran = invoke("run", "fifth-table1", "--profile", "demo", "--quiet")
    assert "100.00 ± 0.00" in ran and "99.00 ± 1.00" in ran and "not on the paper's" not in ran
    assert "Not run yet" not in invoke("show", "fifth-table1", "--profile", "demo")
    assert "spheres" in invoke("verdicts") and "corners" in invoke("data", "list")
    (line, quoted) = json.loads(invoke("verdicts", "--json"))
    assert (line["paper"], line["row"], line["verdict"]) == ("fifth", "fifth-table1/spheres", "not run")
    assert quoted["verdict"] == "quoted"
