"""The workflow on a Slurm of this machine alone: whatever befalls its jobs, it leaves what an uninterrupted run leaves.

Needs root, Slurm (apt install slurm-wlm munge) and Snakemake in .venv-runs, as `make runs` installs it:
pytest -m engine -s tests/engine/test_slurm.py
"""

import json
import re
import signal
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from one_node_slurm import OneNodeSlurm, one_node_slurm, refusal
from tiny import (
    SNAKEMAKE,
    assert_as_if_left_alone,
    change,
    commit,
    genclust,
    log,
    run_alone,
    times_made,
    until,
    until_something_trains,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not SNAKEMAKE.exists(), reason="Snakemake is not there; `make runs` installs it"),
    pytest.mark.skipif(bool(refusal()), reason=refusal()),
]


@pytest.fixture
def slurm():
    with one_node_slurm() as running:
        yield running


def job_of(process: int) -> str:
    """The number of the job that a process belongs to."""
    found = re.search(r"\bSLURM_JOB_ID=(\d+)", Path(f"/proc/{process}/environ").read_text())
    assert found
    return found[1]


def states(slurm: OneNodeSlurm) -> dict[str, str]:
    """Of every job of the workflow, by its number."""
    lines = slurm.command("squeue", "--noheader", "--states=all", "--partition=work", "--format=%i %T").splitlines()
    return dict(line.split() for line in lines)


def restarts(slurm: OneNodeSlurm, job: str) -> int:
    found = re.search(r"Restarts=(\d+)", slurm.command("scontrol", "show", "job", job))
    return int(found[1]) if found else 0


def pull_the_plug(slurm: OneNodeSlurm, job: str) -> None:
    """Restart the node, once the job has run for long enough that Slurm will miss it.

    Of a node that comes back Slurm asks only for jobs that started longer ago than BatchStartTimeout and MessageTimeout
    together; a younger one it takes for running ever after.
    """

    def seconds() -> float:
        started = slurm.command("squeue", "--noheader", f"--jobs={job}", "--format=%S")
        return (datetime.now() - datetime.fromisoformat(started)).total_seconds()

    until(lambda: seconds() > 10, 60, "a job that has run for ten seconds")
    slurm.restart_node()


def test_whatever_befalls_the_jobs_it_ends_bit_by_bit_as_if_left_alone(clone, workflow, slurm, tmp_path, monkeypatch):
    # The profile as it is, except jobs that are looked after more often.
    change(clone / "workflow" / "profiles" / "slurm" / "config.yaml", {"status-checks: 60": "status-checks: 3"})
    commit(clone)
    # What a cluster wants besides, here the name of a partition, comes from the user's own profile.
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.yaml").write_text("default-resources: [slurm_partition=work]\n")
    alone = run_alone(clone)
    monkeypatch.setenv("GENCLUST_CACHE", str(clone.with_name("cache")))
    settings = {name: slurm.environment[name] for name in ("SLURM_CONF", "PATH")}
    settings |= {"SNAKEMAKE_PROFILE": str(tmp_path / "mine"), "PAUSE": "0.15"}
    hits: Counter[str] = Counter()

    def hit(kind: str, blow: Callable[[str], object], struck: Callable[[str], bool]) -> None:
        """Strike a job that trains, and count those that were struck before they had finished."""
        victims = {job_of(one.holder.process): one for one in until_something_trains(clone, master)}
        blow(next(iter(victims)))
        until(lambda: any(map(struck, victims)), 120, kind)
        for job in filter(struck, victims):
            address, seed = victims[job].unit.split("/")
            process = Path(f"/proc/{victims[job].holder.process}")
            until(lambda process=process: not process.exists(), 60, "the end of a process")
            assert not (clone.with_name("cache") / "results" / address / f"seed-{seed}.json").exists()
            hits[kind] += 1

    master = workflow("slurm", **settings)
    hit(
        "preemptions",
        lambda job: slurm.command("sbatch", "--partition=urgent", "--output=/dev/null", "--wrap=sleep 1"),
        lambda job: restarts(slurm, job) > 0,
    )
    hit("cancellations", lambda job: slurm.command("scancel", job), lambda job: states(slurm)[job] == "CANCELLED")
    before = {job: restarts(slurm, job) for job in states(slurm)}
    hit("node restarts", lambda job: pull_the_plug(slurm, job), lambda job: restarts(slurm, job) > before[job])
    hit(
        "time limits",
        lambda job: slurm.command("scontrol", "update", f"jobid={job}", "EndTime=now+2"),
        lambda job: states(slurm)[job] == "TIMEOUT",
    )
    hit("interruptions", lambda job: master.send_signal(signal.SIGINT), lambda job: states(slurm)[job] == "CANCELLED")
    master.wait()
    master = workflow("slurm", **settings)
    assert until_something_trains(clone, master)
    master.send_signal(signal.SIGKILL)
    master.wait()
    hits["kills of the workflow"] = list(states(slurm).values()).count("RUNNING")
    master = workflow("slurm", **settings)
    assert master.wait(900) == 0, log(clone)

    until(lambda: not slurm.command("squeue", "--noheader"), 120, "the end of the first workflow's jobs")
    submitted = len(re.findall("has been submitted with SLURM jobid", log(clone)))
    made = times_made(clone)
    print(f"\n{submitted} jobs; that ran when it happened: {dict(hits)}; records made: {dict(made)}")
    assert len(hits) == 6 and all(hits.values())
    assert_as_if_left_alone(clone, alone)
    assert len(made) == len(alone) and set(made.values()) == {1}
    assert json.loads(genclust(clone, "cache", "plan", "--json"))["units"] == []
