"""The workflow on this machine: killed in several ways and started again, it leaves what an uninterrupted run leaves.

Needs Snakemake in .venv-runs, as `make runs` installs it: pytest -m engine tests/engine.  Everything happens in a clone
of the present commit with declarations of its own.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from genclust.experiments.status import Running, status
from genclust.experiments.store import Record, Store

ROOT = Path(__file__).parents[2]
SNAKEMAKE = ROOT / ".venv-runs" / "bin" / "snakemake"
pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not SNAKEMAKE.exists(), reason="Snakemake is not there; `make runs` installs it"),
]

DECLARED = """
paper: simple
table: Table
title: What is killed
evaluate: [clustering]
settings:
  data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2}
  model: {name: gumbel, n_clusters: 10, hidden: [128, 64], feature_dim: 50, latent_dim: 10}
  training: {epochs: 200, batch_size: 100, learning_rate: 0.001, temperature: 1, snapshots: [1, 200]}
profiles: {demo: {seeds: "0"}}
rows:
  two: {label: two, dataset: digits, settings: {model: {w_gaussian: 2}}}
  two-in-style: {label: two, dataset: digits, settings: {model: {w_gaussian: 2}}, evaluate: [style]}
  three: {label: three, dataset: digits, settings: {model: {w_gaussian: 3}}}
  three-neighbours: {label: three, dataset: digits, settings: {model: {w_gaussian: 3}}, evaluate: [neighbours]}
  four: {label: four, dataset: digits, settings: {model: {w_gaussian: 4}}}
  five: {label: five, dataset: digits, settings: {model: {w_gaussian: 5}}}
"""
UNIONS = {2: {"clustering", "style"}, 3: {"clustering", "neighbours"}, 4: {"clustering"}, 5: {"clustering"}}


@pytest.fixture
def clone(tmp_path):
    """A repository with only this experiment, whose runs leave a checkpoint every moment."""
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, folder], check=True)
    shutil.rmtree(folder / "experiments")
    shutil.rmtree(folder / "results")
    (folder / "experiments").mkdir()
    (folder / "experiments" / "killed.yaml").write_text(DECLARED)
    execution = folder / "src" / "genclust" / "experiments" / "execution.py"
    often = execution.read_text().replace("SECONDS_BETWEEN_CHECKPOINTS = 60.0", "SECONDS_BETWEEN_CHECKPOINTS = 0.2")
    execution.write_text(often)
    laptop = folder / "workflow" / "profiles" / "laptop" / "config.yaml"
    hurried = laptop.read_text().replace("minutes=0", "minutes=0.15").replace("retries: 3", "retries: 1000")
    (laptop.parents[1] / "hurried").mkdir()
    (laptop.parents[1] / "hurried" / "config.yaml").write_text(hurried)
    git = ["git", "-C", folder, "-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "What is killed"], check=True)
    return folder


def environment(clone: Path, cache: str) -> dict[str, str]:
    there = {"GENCLUST_CACHE": str(clone.with_name(cache)), "PYTHONPATH": str(clone / "src"), "OMP_NUM_THREADS": "1"}
    return os.environ | there | {"PYTHON": sys.executable, "SNAKEMAKE": str(SNAKEMAKE)}


def genclust(clone: Path, cache: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "genclust.cli", *arguments]
    done = subprocess.run(command, cwd=clone, env=environment(clone, cache), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def workflow(clone):
    """Starts the workflow in a session of its own; nothing of it outlives the test.

    By default with jobs that leave a checkpoint after seconds and are submitted again.
    """
    sessions = []

    def start(profile: str = "hurried") -> subprocess.Popen:
        command = [clone / "workflow" / "runs.sh", profile, "killed"]
        with open(clone.with_name("log.txt"), "a") as log:
            there = {"env": environment(clone, "cache"), "stdout": log, "stderr": log}
            sessions.append(subprocess.Popen(command, **there, start_new_session=True))
        return sessions[-1]

    yield start
    for session in sessions:
        for process in processes(session.pid):
            os.kill(process, signal.SIGKILL)


def until_something_trains(clone: Path, master: subprocess.Popen) -> list[Running]:
    """What is running, once a checkpoint has been written that was not there before."""

    def written():
        return max((path.stat().st_mtime for path in clone.with_name("cache").glob("runs/*/*.ckpt")), default=0.0)

    before, deadline = written(), time.monotonic() + 300
    while written() <= before:
        assert master.poll() is None and time.monotonic() < deadline, clone.with_name("log.txt").read_text()
        time.sleep(0.05)
    time.sleep(0.5)
    return [one for one in status() if one.state == "running"]


def processes(session: int) -> list[int]:
    """All processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of, *_ = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(of) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found


def content(record: Record) -> dict[str, object]:
    """What two records of one run share: all but when, where, how long and in how many legs."""
    return {name: value for name, value in asdict(record).items() if name not in ("path", "seconds", "provenance")}


def test_killed_again_and_again_it_ends_bit_by_bit_as_if_left_alone(clone, workflow, monkeypatch):
    genclust(clone, "alone", "run", "killed", "--quiet")
    alone = {
        record.config["model"]["w_gaussian"]: record for record in Store(clone.with_name("alone") / "results").every()
    }
    assert {w: set(record.evaluations) for w, record in alone.items()} == UNIONS
    # One row is done already, and the record of another lacks an evaluation.
    genclust(clone, "cache", "run", "killed", "--row", "four", "--row", "two", "--quiet")
    monkeypatch.setenv("GENCLUST_CACHE", str(clone.with_name("cache")))

    sessions = []
    for number, everything in ((signal.SIGTERM, True), (signal.SIGKILL, True), (signal.SIGKILL, False)):
        master = workflow()
        sessions.append(master.pid)
        running = until_something_trains(clone, master)
        assert running, "killed too early or too late to mean anything"
        if everything:
            for process in processes(master.pid):
                os.kill(process, number)
        else:  # the jobs go on, and those of the next workflow have to wait for them
            master.send_signal(number)
        master.wait()
    last = workflow()
    assert last.wait(600) == 0, clone.with_name("log.txt").read_text()
    assert not [process for session in sessions for process in processes(session)]

    left = Store(clone.with_name("cache") / "results")
    found = {record.config["model"]["w_gaussian"]: record for record in left.every()}
    assert found.keys() == alone.keys()
    for w, record in found.items():
        assert content(record) == content(alone[w])
        arrays, expected = record.arrays(), alone[w].arrays()
        assert arrays.keys() == expected.keys()
        assert all(np.array_equal(arrays[name], expected[name]) for name in expected)
    log = clone.with_name("log.txt").read_text()
    assert "Interrupted at epoch" in log and "The time is up at epoch" in log
    cache = clone.with_name("cache")
    half_written = (".lock", ".breaking", ".next", ".commit", ".new", ".tmp")
    assert not [path for path in (cache / "runs").rglob("*") if path.name.endswith(half_written)]

    before = {path: path.stat().st_mtime_ns for path in left.folder.rglob("*")}
    shutil.rmtree(cache / "workflow")
    assert workflow("laptop").wait(300) == 0, "what is done is not run again, whatever Snakemake remembers"
    assert {path: path.stat().st_mtime_ns for path in left.folder.rglob("*")} == before
    assert json.loads(genclust(clone, "cache", "plan", "--json"))["units"] == []
