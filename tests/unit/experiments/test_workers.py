"""Seeds in processes of their own: the same records, one bar, and an orderly end for all of them."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genclust.experiments import declaration, execution, training_run, workers
from genclust.experiments.store import Store
from genclust.experiments.workers import Unfinished

EPOCHS = {"training": {"epochs": 3}}

SCRIPT = """
import sys
from pathlib import Path
import torch
from genclust.experiments import declaration, execution, training_run
from genclust.experiments.store import Store
torch.set_num_threads(2)
execution.SMALL_NETWORK = 0  # so that seeds do not train side by side in one process
row = declaration.load("simple-table1").row("proposed-mnist")
task = execution.task_for(row, "demo", [0, 1, 2], {"training": {"epochs": int(sys.argv[2])}})
execution.run(task, Store(Path(sys.argv[1])))
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(execution, "SMALL_NETWORK", 0)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def demo(seeds, overrides=EPOCHS):
    task = execution.task_for(declaration.load("simple-table1").row("proposed-mnist"), "demo", seeds, overrides)
    return replace(task, evaluations=("clustering",))


@pytest.mark.slow
def test_processes_give_the_records_of_one_process(cache, tmp_path, monkeypatch):
    apart = execution.run(demo([0, 1, 2]), Store(tmp_path / "apart"), progress=False)
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(workers, "count", lambda jobs: 1)
    one_by_one = execution.run(demo([0, 1, 2]), Store(tmp_path / "one"), progress=False)
    for a, b in zip(apart, one_by_one, strict=True):
        assert a.seed == b.seed
        for one, other in zip(a.curve, b.curve, strict=True):
            assert one == pytest.approx(other, rel=1e-3, abs=1.0)  # a thread more sums in another order


@pytest.mark.slow
def test_termination_ends_all_processes_in_good_order(cache, tmp_path):
    """From a script without the usual guard around its main part, which other ways of starting processes need."""
    task = demo([0, 1, 2], {"training": {"epochs": 5000}})
    paths = [training_run.checkpoint_path(task.config, seed) for seed in (0, 1)]
    script = tmp_path / "script.py"
    script.write_text(
        SCRIPT.replace("execution.SMALL", "training_run.SECONDS_BETWEEN_CHECKPOINTS = 0.1\nexecution.SMALL")
    )
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "records"), "5000"], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 90
    error = ""
    # Workers keep their own pace of checkpoints (a minute), so what is waited for is the bar of both.
    while "loss" not in error and time.monotonic() < deadline and process.poll() is None:
        error += process.stderr.read(1)
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=60)
    assert "in 2 processes" in error
    assert "the same command goes on from there" in rest
    assert process.returncode == 1
    # On a busy machine the slower process may not have made a step when the signal comes; what lies there is whole.
    assert max(training_run.checkpoints.load(path)["step"] for path in paths if path.exists()) > 0
    assert not (tmp_path / "records").exists()


def test_an_error_in_one_process_stops_the_others_and_arrives(cache, tmp_path):
    task = demo([0, 1], {"training": {"epochs": 3000}})
    damaged = training_run.checkpoint_path(task.config, 1)
    damaged.parent.mkdir(parents=True)
    good = training_run.checkpoint_path(task.config, 0)
    with pytest.raises(Unfinished):
        execution.run(demo([0], {"training": {"epochs": 3000}}), Store(tmp_path), minutes=0.01, progress=False)
    begun = training_run.checkpoints.load(good)["step"]

    def fail_at_once(task, seeds, *rest):
        raise ValueError(f"seed {seeds[0]} is unlucky")

    data, _ = execution.prepare(task.config)
    jobs = [(task, [0], data, "cpu", time.monotonic() + 60), (task, [1], data, "cpu", None)]
    with pytest.raises(ValueError, match="seed 1 is unlucky"):
        list(
            workers.in_pool(
                lambda task, seeds, *rest: (fail_at_once if seeds == [1] else execution._train_and_evaluate)(
                    task, seeds, *rest
                ),
                jobs,
                "test",
                progress=False,
            )
        )
    assert training_run.checkpoints.load(good)["step"] >= begun


def test_the_death_of_one_process_is_told_and_what_was_finished_has_arrived(cache):
    def die_second(number, watch):
        if number == 1:
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    arrived = []
    with pytest.raises(Unfinished, match="A process was killed"):
        for result in workers.in_pool(die_second, [(0,), (1,)], "test", progress=False):
            arrived.append(result)
    assert arrived == [0]
    assert sorted(workers.in_pool(lambda number, watch: number, [(0,), (1,)], "test", progress=False)) == [0, 1]


def test_the_number_of_processes_follows_jobs_and_cores(cache):
    assert [workers.count(jobs) for jobs in (1, 2, 9)] == [1, 2, 2]


def processes(group: int) -> list[int]:
    """The processes of a group that are alive."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, of_group = path.read_text().rpartition(")")[2].split()[:3]
            if int(of_group) == group and state != "Z":
                found.append(int(path.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes under /proc")
def test_a_killed_parent_leaves_neither_processes_nor_folders(cache, tmp_path):
    """SIGKILL to the parent alone, while two workers train; each ends with a checkpoint."""
    (tmp_path / "temporary").mkdir()
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "records"), "50000"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path / "temporary")},
    )
    error, deadline = "", time.monotonic() + 600
    while "loss" not in error and time.monotonic() < deadline and process.poll() is None:
        error += process.stderr.read(1)
    assert "loss" in error  # one of them trains
    process.kill()
    process.wait()
    deadline = time.monotonic() + 120
    while (processes(process.pid) or list((tmp_path / "temporary").glob("genclust-*"))) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes(process.pid) == []
    assert list((tmp_path / "temporary").glob("genclust-*")) == []
    config = demo([0], {"training": {"epochs": 50000}}).config
    paths = [path for seed in (0, 1) if (path := training_run.checkpoint_path(config, seed)).exists()]
    assert max(training_run.checkpoints.load(path)["step"] for path in paths) > 0  # of the one whose loss was shown
