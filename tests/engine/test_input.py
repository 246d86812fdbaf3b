"""What may be wrong with what the workflow is given, and with the machine: a sentence each, and nothing is lost."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from tiny import (
    DECLARED,
    SNAKEMAKE,
    assert_as_if_left_alone,
    commit,
    environment,
    genclust,
    log,
    processes,
    run_alone,
    times_made,
    until,
    until_something_trains,
)

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(not SNAKEMAKE.exists(), reason="Snakemake is not there; `make runs` installs it"),
]


def planned(clone: Path, profile: str, *arguments: str) -> tuple[dict[str, str], str]:
    """The jobs that a profile would run, with the minutes each asks for, and all that was said."""
    dry = clone.with_name("dry-snakemake")
    dry.write_text(f'#!/bin/sh\nexec {SNAKEMAKE} "$@" --dry-run --printshellcmds --quiet host\n')
    dry.chmod(0o755)
    command = [clone / "workflow" / "runs.sh", profile, *arguments]
    there = environment(clone, "cache") | {"SNAKEMAKE": str(dry), "GENCLUST_DATA": str(clone.with_name("no-data"))}
    done = subprocess.run(command, env=there, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return dict(re.findall(r"^rule (\S+):\n(?:    .*\n)*?    resources: .*\bruntime=(\d+)", said, re.MULTILINE)), said


def test_where_no_record_tells_the_cost_the_plan_says_so_and_a_job_asks_for_the_most(clone):
    assert re.search(r"of 4 no\s+record tells", genclust(clone, "cache", "plan"))
    jobs, _ = planned(clone, "slurm")
    assert len(jobs) == 4 and set(jobs.values()) == {"240"}
    jobs, _ = planned(clone, "laptop")
    assert len(jobs) == 4 and set(jobs.values()) == {"1440"}


def test_on_a_gpu_all_seeds_of_a_configuration_are_one_job(clone):
    (clone / "experiments" / "killed.yaml").write_text(DECLARED.replace('seeds: "0"', "seeds: 0-2"))
    commit(clone)
    jobs, said = planned(clone, "gpu")
    assert len(jobs) == 4 and said.count(" 0 1 2 --device cuda") == 4
    jobs, said = planned(clone, "laptop")
    assert len(jobs) == 12 and " 0 1 2 --device" not in said


def test_what_is_asked_for_twice_is_run_once(clone):
    assert planned(clone, "laptop", "killed", "killed")[0] == planned(clone, "laptop")[0]


def test_what_lacks_its_data_is_named_and_left_out(clone):
    row = "  six: {label: six, dataset: mnist, settings: {data: {name: mnist}, model: {w_gaussian: 6}}}\n"
    (clone / "experiments" / "killed.yaml").write_text(DECLARED + row)
    commit(clone)
    jobs, said = planned(clone, "laptop")
    assert len(jobs) == 4 and not any(name.startswith("mnist") for name in jobs)
    assert said.count("Left out, since its data are missing: killed/six, demo") == 1


@pytest.fixture
def small_disk(clone):
    """A disk of 40 MB where the runs go."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small disk")
    folder = clone.with_name("cache")
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_job_that_is_killed_and_a_full_disk_lose_nothing(clone, small_disk, workflow, monkeypatch):
    alone = run_alone(clone)
    monkeypatch.setenv("GENCLUST_CACHE", str(small_disk))
    master = workflow("laptop", PAUSE="0.05")
    [victim, *_] = until_something_trains(clone, master)
    os.kill(victim.holder.process, signal.SIGKILL)
    until(lambda: "Trying to restart job" in log(clone), 60, "a second attempt")
    until_something_trains(clone, master)

    with open(small_disk / "filling", "wb", buffering=0) as filling, pytest.raises(OSError, match="No space left"):
        while True:
            filling.write(bytes(4096))
    assert master.wait(600) == 1
    # Snakemake complains besides, since its own log is on this disk.
    said = re.findall(r"^\[Errno 28\].*$", log(clone), re.MULTILINE)
    assert said and all(re.fullmatch(r"\[Errno 28\] No space left on device: '\S+'", line) for line in said), said
    assert not processes(master.pid)

    (small_disk / "filling").unlink()
    assert workflow("laptop").wait(300) == 0, log(clone)
    assert_as_if_left_alone(clone, alone)
    assert set(times_made(clone).values()) == {1}
