"""The workflow on this machine: killed in several ways and started again, it leaves what an uninterrupted run leaves.

Needs Snakemake in .venv-runs, as `make runs` installs it: pytest -m engine tests/engine.  Everything happens in a clone
of the present commit with declarations of its own.
"""

import json
import shutil
import signal

import pytest
from tiny import (
    SNAKEMAKE,
    assert_as_if_left_alone,
    change,
    commit,
    genclust,
    kill_all,
    log,
    processes,
    run_alone,
    until_something_trains,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not SNAKEMAKE.exists(), reason="Snakemake is not there; `make runs` installs it"),
]


def test_killed_again_and_again_it_ends_bit_by_bit_as_if_left_alone(clone, workflow, monkeypatch):
    # Of this profile, jobs leave a checkpoint after seconds and are submitted again.
    profiles = clone / "workflow" / "profiles"
    shutil.copytree(profiles / "laptop", profiles / "hurried")
    change(profiles / "hurried" / "config.yaml", {"minutes=0": "minutes=0.15", "retries: 3": "retries: 1000"})
    commit(clone)
    alone = run_alone(clone)
    # One row is done already, and the record of another lacks an evaluation.
    genclust(clone, "cache", "run", "killed", "--row", "four", "--row", "two", "--quiet")
    monkeypatch.setenv("GENCLUST_CACHE", str(clone.with_name("cache")))

    sessions = []
    for number, everything in ((signal.SIGTERM, True), (signal.SIGKILL, True), (signal.SIGKILL, False)):
        master = workflow("hurried", PAUSE="0.03")
        sessions.append(master.pid)
        assert until_something_trains(clone, master)
        if everything:
            kill_all(master.pid, number)
        else:  # the jobs go on, and those of the next workflow have to wait for them
            master.send_signal(number)
        master.wait()
    last = workflow("hurried", PAUSE="0.03")
    assert last.wait(600) == 0, log(clone)
    assert not [process for session in sessions for process in processes(session)]
    assert_as_if_left_alone(clone, alone)
    assert "Interrupted at epoch" in log(clone) and "The time is up at epoch" in log(clone)

    results = clone.with_name("cache") / "results"
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    shutil.rmtree(clone.with_name("cache") / "workflow")
    assert workflow("laptop").wait(300) == 0, "what is done is not run again, whatever Snakemake remembers"
    assert {path: path.stat().st_mtime_ns for path in results.rglob("*")} == before
    assert json.loads(genclust(clone, "cache", "plan", "--json"))["units"] == []
