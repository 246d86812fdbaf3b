"""Baselines whose libraries are missing: refused in one sentence, while everything else works."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from genclust.baselines import BASELINES, MissingLibrary
from genclust.baselines.clustpy import NAMES, stand_in_for_torchvision
from genclust.baselines.libraries import quiet
from genclust.experiments import Asked, access, declaration, execution
from genclust.experiments.execution import run, task_for
from genclust.experiments.store import Store
from genclust.experiments.verdicts import published_records
from genclust.pages.tables import seeds_of

ROWS = {"umap": "umap-gmm", "autoencoder": "ae-gmm", "n2d": "n2d", "dec": "dec", "idec": "idec", "dcn": "dcn"}
ROWS |= {"vade": "vade"}


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that can import neither library, and a cache folder of its own."""
    monkeypatch.setitem(sys.modules, "umap", None)
    monkeypatch.setitem(sys.modules, "clustpy", None)
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))


def task(row: str, profile: declaration.Profile = "demo", seeds: tuple[int, ...] = (0,)) -> execution.Task:
    return task_for(declaration.load("baselines").row(row), profile, seeds)


def test_every_baseline_that_needs_a_library_is_looked_at() -> None:
    assert {name for name, settings in BASELINES.items() if getattr(settings, "needs", ())} == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_without_its_library_is_refused_before_anything_is_computed(
    without: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(execution, "prepare", lambda config: pytest.fail("data were read"))
    sentence = rf"^The model {name} needs (umap-learn|clustpy), which is not installed; `make baselines` installs it\.$"
    for refused in (
        lambda: run(task(f"{ROWS[name]}-usps"), Store(tmp_path / "records"), progress=False),
        lambda: execution.check(task(f"{ROWS[name]}-usps")),
    ):
        with pytest.raises(MissingLibrary, match=sentence):
            refused()
    assert not (tmp_path / "records").exists()


def test_other_rows_are_run_and_tables_have_all(without: None, tmp_path: Path) -> None:
    (record,) = run(task("kmeans-usps"), Store(tmp_path / "records"), progress=False)
    assert 40 < record.metrics["test.acc_hungarian"] < 100
    row = declaration.load("baselines").row("umap-gmm-arcs")
    _, found = published_records(row, "demo")
    assert seeds_of(row, []) == "not run" and len(found) in (0, len(row.seeds("demo")))


def test_a_page_that_is_run_anew_leaves_such_rows_out_and_says_why(
    without: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(access, "_say", said.append)
    found = Asked("demo", seeds="0").rows("baselines", "kmeans-usps,umap-gmm-usps,dec-usps")
    assert list(found) == ["kmeans-usps"] and len(found["kmeans-usps"]) == 1 and not found["dec-usps"]
    assert said[-1].startswith("**Left out:** UMAP + GMM: The model umap needs umap-learn") and "DEC: " in said[-1]


def test_no_library_is_imported_with_the_package() -> None:
    code = (
        "import sys, genclust.baselines, genclust.models;"
        "sys.exit(', '.join({'sklearn', 'umap', 'numba', 'clustpy', 'torchvision'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_libraries_are_silent_and_their_errors_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings(record=True) as warned, pytest.raises(ValueError, match="loud"), quiet():
        print("a message")
        print("a bar", file=sys.stderr)
        warnings.warn("a warning", stacklevel=1)
        raise ValueError("loud")
    assert capsys.readouterr() == ("", "") and not warned
    print("heard")
    assert capsys.readouterr().out == "heard\n"


def test_what_clustpy_imports_of_torchvision_is_stood_in_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    stand_in_for_torchvision()
    try:
        from torchvision.datasets import VisionDataset
        from torchvision.models._api import Weights, WeightsEnum

        assert all(isinstance(kind, type) for kind in (VisionDataset, Weights, WeightsEnum))
    finally:
        for name in NAMES:
            del sys.modules[name]
