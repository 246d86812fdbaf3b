"""Locks, between real processes: who comes second leaves, and what a kill has left behind is broken."""

import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest
from examples import EXAMPLES

from genclust.experiments import declaration, execution, locks, training_run
from genclust.experiments.execution import run, task_for
from genclust.experiments.store import Store
from genclust.experiments.workers import Unfinished

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks processes up as Linux does")

FORK = multiprocessing.get_context("fork")  # a process in milliseconds


def start(function, *arguments):
    """A process that runs ``function(pipe, *arguments)``, once it has said its first word; and our end of the pipe."""
    here, there = FORK.Pipe()
    process = FORK.Process(target=function, args=(there, *arguments), daemon=True)
    process.start()
    assert here.poll(60) and here.recv() == "ready"
    return process, here


def holding(pipe, checkpoints):
    """Hold locks until told to end."""
    with locks.hold(checkpoints):
        pipe.send("ready")
        pipe.recv()


def crowding(pipe, checkpoint, inside):
    """Try to get a lock many times, and leave it every third time as a kill would: of a process that is no more."""
    pipe.send("ready")
    pipe.recv()
    taken = 0
    for _ in range(200):
        with contextlib.suppress(locks.Held), locks.hold([checkpoint]):
            os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails if another process is inside
            inside.unlink()
            taken += 1
            if taken % 3 == 0:
                lock = checkpoint.with_suffix(".lock")
                lock.write_text(json.dumps(asdict(replace(locks.holder(lock), started="1"))))
    pipe.send(taken)


@pytest.fixture
def checkpoints(tmp_path):
    """Three seeds of one configuration."""
    return [tmp_path / "digits-gumbel-0123456789ab" / f"seed-000{seed}.ckpt" for seed in range(3)]


def left(checkpoints):
    return sorted(path.name for path in checkpoints[0].parent.iterdir())


def test_the_second_process_is_told_who_holds_a_seed_since_when(checkpoints):
    first, pipe = start(holding, checkpoints[:1])
    since = json.loads(checkpoints[0].with_suffix(".lock").read_text())["since"]
    with pytest.raises(locks.Held) as told, locks.hold(checkpoints[:1]):
        pytest.fail("two processes hold one lock")
    pipe.send("end")
    first.join()
    assert f"0123456789ab/seed-0000 is being run by process {first.pid} on {os.uname().nodename}" in str(told.value)
    assert f"since {since}" in str(told.value)
    with locks.hold(checkpoints[:1]):
        assert left(checkpoints) == ["seed-0000.lock"]
    assert left(checkpoints) == []


def test_a_group_is_locked_as_a_whole_or_not_at_all(checkpoints):
    first, _ = start(holding, checkpoints[2:])
    with pytest.raises(locks.Held), locks.hold(checkpoints):
        pytest.fail("a group was locked in part")
    assert left(checkpoints) == ["seed-0002.lock"]
    first.kill()


def test_a_second_call_of_the_same_process_leaves_the_first_its_lock(checkpoints):
    with locks.hold(checkpoints[:1]):
        with pytest.raises(locks.Held), locks.hold(checkpoints[:1]):
            pytest.fail("one process holds a lock twice")
        assert left(checkpoints) == ["seed-0000.lock"]


@pytest.mark.parametrize("reaped", [True, False])
def test_the_lock_of_a_killed_process_is_broken_at_once(checkpoints, reaped):
    """Also while the system still lists it, because nobody has asked how it ended."""
    first, _ = start(holding, checkpoints)
    first.kill()
    os.waitid(os.P_PID, first.pid, os.WEXITED | (0 if reaped else os.WNOWAIT))
    assert len(left(checkpoints)) == 3
    with locks.hold(checkpoints):
        held = [locks.holder(path.with_suffix(".lock")) for path in checkpoints]
    assert {holder.process for holder in held} == {os.getpid()}
    assert left(checkpoints) == []


@pytest.mark.parametrize("silent, broken", [(590, False), (610, True)])
def test_a_lock_of_another_host_lives_as_long_as_its_heartbeat(checkpoints, silent, broken):
    first, _ = start(holding, checkpoints[:1])
    lock = checkpoints[0].with_suffix(".lock")
    elsewhere = json.loads(lock.read_text()) | {"host": "elsewhere", "place": "another boot"}
    first.kill()
    first.join()
    lock.write_text(json.dumps(elsewhere))
    os.utime(lock, (time.time() - silent,) * 2)
    if broken:
        with locks.hold(checkpoints[:1]):
            assert locks.holder(lock).process == os.getpid()
    else:
        with pytest.raises(locks.Held, match="on elsewhere"), locks.hold(checkpoints[:1]):
            pytest.fail("a living lock was broken")


def test_a_held_lock_beats(checkpoints, monkeypatch):
    monkeypatch.setattr(locks, "SECONDS_BETWEEN_BEATS", 0.01)
    lock = checkpoints[0].with_suffix(".lock")
    with locks.hold(checkpoints[:1]):
        os.utime(lock, (0, 0))
        deadline = time.monotonic() + 60
        while lock.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert time.time() - lock.stat().st_mtime < locks.SILENCE


def test_a_later_process_of_the_same_number_is_not_taken_for_the_holder(checkpoints):
    with locks.hold(checkpoints[:1]):
        lock = checkpoints[0].with_suffix(".lock")
        assert locks.is_alive(lock, locks.holder(lock))
        assert not locks.is_alive(lock, replace(locks.holder(lock), started="1"))


def test_of_a_crowd_one_at_a_time_gets_a_lock_that_is_broken_again_and_again(checkpoints, tmp_path):
    crowd = [start(crowding, checkpoints[0], tmp_path / "inside") for _ in range(4)]
    for _, pipe in crowd:
        pipe.send("go")
    for process, _ in crowd:
        process.join()
    assert all(process.exitcode == 0 for process, _ in crowd), "two held the lock at once"
    counts = [pipe.recv() for _, pipe in crowd]
    assert sum(counts) > 3, counts
    assert set(left(checkpoints)) <= {"seed-0000.lock"}


RUN = """
import sys
from pathlib import Path
from genclust.experiments import declaration, execution, training_run
from genclust.experiments.store import Store
training_run.SECONDS_BETWEEN_CHECKPOINTS = 0.1
row = declaration.load("simple-table1").row("proposed-mnist")
task = execution.task_for(row, "demo", [0, 1], {"training": {"epochs": 5000}})
execution.run(task, Store(Path(sys.argv[1])), progress=False)
"""


def test_a_seed_that_is_being_trained_is_left_alone_until_its_process_is_killed(tmp_path, monkeypatch):
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))
    row = declaration.load("simple-table1").row("proposed-mnist")
    task = task_for(row, "demo", [1, 2], {"training": {"epochs": 5000}})
    paths = [training_run.checkpoint_path(task.config, seed) for seed in (0, 1)]
    first = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path / "records")], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while not paths[1].exists() and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert paths[1].exists(), first.stderr.read()
    try:
        with pytest.raises(locks.Held, match=rf"seed-0001 is being run by process {first.pid} on"):
            run(task, Store(tmp_path / "records"), progress=False)
    finally:
        first.kill()
        first.wait()
    assert not training_run.checkpoint_path(task.config, 2).exists(), (
        "nothing is computed of a group that is held in part"
    )
    for path in paths:
        assert locks.holder(path.with_suffix(".lock")).steps == 5000 * 12  # of 100 of the 1,150 images each
    with pytest.raises(Unfinished, match="The time is up"):
        run(replace(task, seeds=[1]), Store(tmp_path / "records"), minutes=0.001, progress=False)
    assert [path.name for path in paths[0].parent.glob("*.lock")] == ["seed-0000.lock"]


@pytest.mark.parametrize("n", [199, 200, 201, 202])
def test_the_steps_that_a_lock_tells_are_those_of_the_training(n):
    training = EXAMPLES["gumbel"].training([0], n, 50)
    config = execution.RunConfig({}, {}, {"epochs": training.settings.epochs, "batch_size": 50})
    assert training_run.total_steps(config, n) == training.total_steps


def test_each_call_gets_on_however_short_its_time(tmp_path, monkeypatch):
    """Else calling again would go on for ever."""
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))
    task = task_for(declaration.load("simple-table1").row("proposed-mnist"), "demo", [0])
    path = training_run.checkpoint_path(task.config, 0)
    for calls in (1, 2, 3):
        with pytest.raises(Unfinished, match="The time is up"):
            run(task, Store(tmp_path / "records"), minutes=1e-9, progress=False)
        assert training_run.checkpoints.load(path)["step"] == calls


def test_a_full_disk_is_named_and_leaves_no_lock(tmp_path, monkeypatch):
    checkpoint = tmp_path / "seed-0000.ckpt"
    fdopen = os.fdopen
    with monkeypatch.context() as full, pytest.raises(OSError, match=r"No space left on device: .*seed-0000\.lock"):
        full.setattr(
            os, "fdopen", lambda handle, mode: os.close(handle) or fdopen(os.open("/dev/full", os.O_WRONLY), mode)
        )
        with locks.hold([checkpoint]):
            raise AssertionError("no lock could be written")
    assert not checkpoint.with_suffix(locks.SUFFIX).exists()
    with locks.hold([checkpoint]):
        pass
