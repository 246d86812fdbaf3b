"""What the tests of the workflow share: a tiny experiment in a clone, starting it there, and what it should leave."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from genclust.experiments.status import Running, status
from genclust.experiments.store import Record, Store

ROOT = Path(__file__).parents[2]
SNAKEMAKE = ROOT / ".venv-runs" / "bin" / "snakemake"
DECLARED = """
paper: simple
table: Table
title: What is killed
evaluate: [clustering]
settings:
  data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2}
  model: {name: gumbel, n_clusters: 10, hidden: [128, 64], feature_dim: 50, latent_dim: 10}
  training: {epochs: 60, batch_size: 100, learning_rate: 0.001, temperature: 1, snapshots: [1, 60]}
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
#: What is changed in the clone, file by file: checkpoints every moment, a pause per step where PAUSE asks for one, and
#: a line in finished.txt for each record that is written.
CHANGES = {
    "training_run.py": {
        "SECONDS_BETWEEN_CHECKPOINTS = 60.0": "SECONDS_BETWEEN_CHECKPOINTS = 0.2",
        "    def _stop(self) -> bool:\n": (
            "    def _stop(self) -> bool:\n        time.sleep(float(__import__('os').environ.get('PAUSE', '0')))\n"
        ),
    },
    "execution.py": {
        "                found[seed] = store.write(\n": (
            "                with open(cache_folder() / 'finished.txt', 'a') as file:\n"
            "                    print(f'{task.config.address}/{seed:04d}', file=file)\n"
            "                found[seed] = store.write(\n"
        ),
    },
}


def commit(clone: Path) -> None:
    """Commit all that has been changed: the workflow runs what is committed."""
    git = ["git", "-C", clone, "-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", "What is killed"], check=True)


def change(file: Path, changes: dict[str, str]) -> None:
    text = file.read_text()
    for old, new in changes.items():
        assert old in text, f"{file} lacks {old}"
        text = text.replace(old, new)
    file.write_text(text)


def environment(clone: Path, cache: str) -> dict[str, str]:
    there = {"GENCLUST_CACHE": str(clone.with_name(cache)), "PYTHONPATH": str(clone / "src"), "OMP_NUM_THREADS": "1"}
    return os.environ | there | {"PYTHON": sys.executable, "SNAKEMAKE": str(SNAKEMAKE)}


def genclust(clone: Path, cache: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "genclust", *arguments]
    done = subprocess.run(command, cwd=clone, env=environment(clone, cache), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_alone(clone: Path) -> dict[float, Record]:
    """The records of an uninterrupted run, by their weight."""
    genclust(clone, "alone", "run", "killed", "--quiet")
    alone = by_weight(clone, "alone")
    assert {w: set(record.evaluations) for w, record in alone.items()} == UNIONS
    return alone


def by_weight(clone: Path, cache: str) -> dict[float, Record]:
    store = Store(clone.with_name(cache) / "results")
    return {record.config["model"]["w_gaussian"]: record for record in store.every()}


def log(clone: Path) -> str:
    """What the workflows have said so far."""
    return clone.with_name("log.txt").read_text()


def until(true: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what} did not happen in {seconds:g} seconds"
        time.sleep(0.2)


def until_something_trains(clone: Path, master: subprocess.Popen) -> list[Running]:
    """What is running, once a checkpoint has been written that was not there before; GENCLUST_CACHE says where."""

    def written():
        return max((path.stat().st_mtime for path in clone.with_name("cache").glob("runs/*/*.ckpt")), default=0.0)

    before, deadline = written(), time.monotonic() + 300
    while True:
        assert master.poll() is None and time.monotonic() < deadline, log(clone)
        if written() > before:
            time.sleep(0.5)
            if running := [one for one in status() if one.state == "running"]:
                return running
        time.sleep(0.05)


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


def kill_all(session: int, number: signal.Signals = signal.SIGKILL) -> None:
    for process in processes(session):
        os.kill(process, number)


def content(record: Record) -> dict[str, object]:
    """What two records of one run share: all but when, where, how long and in how many legs."""
    return {name: value for name, value in asdict(record).items() if name not in ("path", "seconds", "provenance")}


def assert_as_if_left_alone(clone: Path, alone: dict[float, Record]) -> None:
    """Every record is there, bit by bit as expected, and nothing else is left over."""
    found = by_weight(clone, "cache")
    assert found.keys() == alone.keys()
    for w, record in found.items():
        assert content(record) == content(alone[w])
        arrays, expected = record.arrays(), alone[w].arrays()
        assert arrays.keys() == expected.keys()
        assert all(np.array_equal(arrays[name], expected[name]) for name in expected)
    half_written = (".lock", ".breaking", ".next", ".commit", ".new", ".tmp")
    assert not [path for path in clone.with_name("cache").rglob("*") if path.name.endswith(half_written)]


def times_made(clone: Path) -> Counter[str]:
    """How often the record of each unit was written."""
    return Counter(clone.with_name("cache").joinpath("finished.txt").read_text().split())
