"""Whoever adds a paper adds files and touches no list: a fifth one, in a folder of its own."""

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from typer.testing import CliRunner

from genclust.book.build import pages
from genclust.cli import app
from genclust.data import DataError, load, sources
from genclust.experiments import Asked, declaration, execution, number, papers, records, verdicts, workers
from genclust.models import MODELS, register
from genclust.pages.tables import comparison
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
        return Terms(-bound.mean(-1), {"reconstruction": -bound})

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
    settings: {}
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
    (tmp_path / "experiments" / "fifth-table1.yaml").write_text(DECLARED)
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
    execution.source_revision.cache_clear()
    built_in = dict(MODELS)
    yield tmp_path
    papers._imported.cache_clear()
    execution.source_revision.cache_clear()
    sys.modules.pop("spheres", None)
    for name in MODELS.keys() - built_in.keys():
        del MODELS[name]


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def publish(folder) -> None:
    """Run the row at the paper's settings, from a commit, and publish it."""
    git = ["git", "-C", str(folder), "-c", "user.name=test", "-c", "user.email=test@localhost"]
    for command in (
        ["init", "--quiet"],
        ["add", "papers.yaml", "experiments", "spheres.py"],
        ["commit", "-qm", "Fifth"],
    ):
        subprocess.run([*git, *command], check=True)
    execution.source_revision.cache_clear()  # which had been asked for before there was a commit
    invoke("run", "fifth-table1", "--profile", "paper", "--quiet")
    invoke("publish", "fifth-table1")


def test_its_commands(folder):
    listed = invoke("list")
    assert "fifth-table1" in listed and "corners" in listed and "simple-table1" not in listed
    shown = invoke("show", "fifth-table1", "--profile", "demo")
    assert "Accuracy on two corners (fifth, Table 1)" in shown and "name: spheres" in shown and "Not run yet" in shown
    ran = invoke("run", "fifth-table1", "--profile", "demo", "--quiet")
    assert "100.00 ± 0.00" in ran and "99.00 ± 1.00" not in ran  # epochs are not the paper's
    assert "Not run yet" not in invoke("show", "fifth-table1", "--profile", "demo")
    assert "not run" in invoke("verdicts") and "corners" in invoke("data", "list")
    assert json.loads(invoke("plan", "--profile", "demo", "--json"))["units"] == []
    assert len(json.loads(invoke("plan", "--profile", "paper", "--json"))["units"]) == 5


def test_its_table_and_verdicts(folder):
    assert [one.verdict for one in verdicts()] == ["not run", "quoted"]
    publish(folder)
    table = comparison(Asked().rows("fifth-table1"), {"test.acc_hungarian": "ACC"}).set_index("Method")
    assert table.loc["Spheres"].tolist() == ["100.00 ± 0.00", "99.00 ± 1", "5"]
    assert table.loc["Cubes"].tolist() == ["–", "75.00", "quoted"]
    assert "99.00 ± 1.00" in invoke("run", "fifth-table1", "--profile", "paper", "--quiet")
    line, _ = json.loads(invoke("verdicts", "--json"))
    assert (line["paper"], line["row"], line["fidelity"]) == ("fifth", "fifth-table1/spheres", "exact")
    assert (line["verdict"], line["measured_mean"], line["n_seeds"]) == ("reproduced", 100, 5)
    assert number("fifth-table1/spheres/test.acc_hungarian/mean±sd") == "100.0 ± 0.0"
    assert len(records("fifth-table1", "spheres")) == 5
    invoke("audit")


def test_its_place_on_the_verdict_page(folder, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "book" / "_ext"))
    page = import_module("verdict_html").by_table(verdicts(), with_paper=True)
    assert "<caption>Spheres, Table 1</caption>" in page and '<td data-label="Data">Two corners</td>' in page
    assert "accuracy, Hungarian (%)" in page


@pytest.mark.slow
def test_its_seeds_train_in_processes_of_their_own(folder, monkeypatch):
    monkeypatch.setattr(workers, "count", lambda jobs: min(jobs, 2))
    monkeypatch.setattr(execution, "SMALL_NETWORK", 0)
    get_reusable_executor().shutdown(wait=True)  # its processes may be of other tests, and look in another folder
    found = Asked("demo", "0-1").row("fifth-table1", "spheres")
    assert [record.metrics["test.acc_hungarian"] for record in found] == [100, 100]


@pytest.mark.parametrize(
    ("file", "before", "after", "message"),
    [
        ("experiments/fifth-table1.yaml", "paper: fifth", "paper: fith", "did you mean 'fifth'"),
        ("experiments/fifth-table1.yaml", "name: spheres", "name: sphere", "did you mean 'spheres'"),
        ("experiments/fifth-table1.yaml", "acc_hungarian", "acc_hungarain", "did you mean 'test.acc_hungarian'"),
        ("papers.yaml", "title", "titel", "did you mean 'title'"),
        ("papers.yaml", "title: Spheres", "title: 5", "fifth.title must be text"),
        ("papers.yaml", "fifth:", "fifth: 5 #", "is not a list of papers"),
        ("papers.yaml", "models: spheres", "models: cubes", "The module cubes of its models is neither in"),
        ("spheres.py", "import torch\n", "import torhc\n", "The module torhc that spheres imports is neither in"),
        ("spheres.py", "import torch\n", "import torch, 5\n", "The module spheres cannot be imported: SyntaxError"),
        ("spheres.py", "(frozen=True)", "", "its settings, SpheresSettings, are not a frozen dataclass"),
        ("spheres.py", "Spheres(Model)", "Spheres(nn.Module)", "Spheres is not a subclass of genclust.models.Model"),
        ("spheres.py", "def loss", "def lost", "Spheres does not define loss"),
        ("spheres.py", '"spheres", S', '"gmvae", S', "There is a model 'gmvae' already"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(folder, file, before, after, message):
    text = (folder / file).read_text()
    assert before in text
    (folder / file).write_text(text.replace(before, after))
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 1 and result.output.count("\n") == 1 and message in result.output, result.output


def test_without_a_list_of_papers_it_is_said_where_it_should_be(folder):
    (folder / "papers.yaml").unlink()
    with pytest.raises(SettingError, match=re.escape(f"There is no {folder / 'papers.yaml'}; it names")):
        declaration.load("fifth-table1")


def test_a_data_set_without_a_reader_is_one_file_like_own_data(folder):
    assert {"corners", "mnist"} <= sources().keys() and load("corners").name == "corners"
    text = (folder / "sources.yaml").read_text()
    (folder / "sources.yaml").write_text(text.replace("corners.npz: null", "corners.csv: null"))
    with pytest.raises(DataError, match=re.escape("'corners' has no reader in genclust.data.readers, so it must")):
        load("corners")


def test_the_models_of_the_library_keep_the_contract_that_registering_asks_for(folder):
    for name, (model, settings) in list(MODELS.items()):
        register(f"{name}, again", settings)(model)


def test_every_paper_has_a_chapter():
    root = declaration.root()
    chapters = {page for page in pages(root) if (root / "book" / f"{page}.md").is_file()}
    assert papers.papers().keys() <= chapters
