"""Kill runs at random moments, resume them, and compare what they leave with an uninterrupted run.

    python tests/fuzz/kills.py [--kills 200] [--seed 0]

Every run is a process of its own, forked from this one, which has the libraries.  It trains two or three seeds side by
side, or one, with a checkpoint after every few steps, evaluates them and writes their records; it is killed, terminated
or interrupted at a random moment, again and again, until it comes to its end.  Then every record and every array has to
be bit by bit that of a run that was left alone, nothing half-written may lie about, and nobody may have seen a trace.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from genclust.experiments import declaration, execution, training_run
from genclust.experiments.execution import Task
from genclust.experiments.store import Record, Store
from genclust.experiments.workers import Unfinished
from genclust.training import checkpoints

DEMO = declaration.load("simple-table1").row("proposed-mnist")
SIGNALS = {"killed": signal.SIGKILL, "terminated": signal.SIGTERM, "interrupted": signal.SIGINT}
STOPPED, FAILED = 3, 4  # what a process ends with


def tasks() -> list[Task]:
    """Groups of three seeds and of two, and a single one."""
    short = {"training": {"epochs": 8, "snapshots": [2, 8]}}
    evaluated = ("clustering", "neighbours", "style")
    groups = ([0, 1, 2], [4, 3], [5])
    return [replace(execution.task_for(DEMO, "demo", seeds, short), evaluations=evaluated) for seeds in groups]


def start(task: Task, folder: Path) -> int:
    """A process that runs the task; its identity."""
    process = os.fork()
    if process:
        return process
    os.environ["GENCLUST_CACHE"] = str(folder / "cache")
    training_run.SECONDS_BETWEEN_CHECKPOINTS = 0.005
    status = 0
    with open(folder / "errors.txt", "a") as errors, contextlib.redirect_stderr(errors):
        try:
            execution.run(task, Store(folder / "records"), progress=False)
        except (Unfinished, KeyboardInterrupt):
            status = STOPPED
        except BaseException:
            traceback.print_exc()
            status = FAILED
    os._exit(status)


def content(record: Record) -> dict[str, object]:
    """What two records of the same run share: all but when, how long and in how many legs."""
    kept = asdict(record)
    for name in ("path", "seconds", "provenance"):
        del kept[name]
    return kept


def differences(task: Task, folder: Path, expected: dict[int, Record]) -> list[str]:
    """Where the records in a folder are not the expected ones."""
    found = []
    for seed in task.seeds:
        record = Store(folder / "records").read(task.config, seed)
        if record is None or content(record) != content(expected[seed]):
            found.append(f"the record of seed {seed}")
            continue
        arrays, others = record.arrays(), expected[seed].arrays()
        if arrays.keys() != others.keys() or any(not np.array_equal(arrays[k], others[k]) for k in others):
            found.append(f"the arrays of seed {seed}")
    return found


def left_over(folder: Path) -> list[str]:
    """Files that belong to no finished run."""
    ends = (checkpoints.NEXT, checkpoints.COMMIT, ".tmp")
    return [path.name for path in folder.rglob("*") if path.name.endswith(ends) or path.name.startswith(".")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="how many to make")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and the kinds")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rng = random.Random(asked.seed)
    outcomes: Counter[str] = Counter()
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="genclust-kills-") as name:
        expected, durations = [], []
        for i, task in enumerate(tasks()):
            alone = Path(name, f"alone-{i}")
            alone.mkdir()
            began = time.monotonic()
            assert os.waitpid(start(task, alone), 0)[1] == 0, (alone / "errors.txt").read_text()
            durations.append(time.monotonic() - began)
            expected.append({r.seed: r for r in Store(alone / "records").every()})
        made = runs = 0
        while made < asked.kills:
            which = rng.randrange(len(expected))
            task, folder = tasks()[which], Path(name, f"run-{runs}")
            folder.mkdir()
            runs += 1
            status = STOPPED
            while status == STOPPED:
                kind = rng.choice(list(SIGNALS))
                process = start(task, folder)
                time.sleep(durations[which] * rng.random())
                ended, how = os.waitpid(process, os.WNOHANG)
                if not ended:
                    os.kill(process, SIGNALS[kind])
                    how = os.waitpid(process, 0)[1]
                    made += 1
                    where = "with a checkpoint" if list(folder.rglob("*.ckpt")) else "before the first checkpoint"
                    outcomes[f"{kind} {where}"] += 1
                status = os.WEXITSTATUS(how) if os.WIFEXITED(how) else STOPPED
            if status == FAILED:
                wrong = [f"a trace:\n{(folder / 'errors.txt').read_text()}"]
            else:
                wrong = [f"{what} differs" for what in differences(task, folder, expected[which])]
                wrong += [f"{what} is left over" for what in left_over(folder)]
            faults += [f"run {runs}, seeds {task.seeds}, at last {kind}: {what}" for what in wrong]
            outcomes["runs that ended with faults" if wrong else "runs that ended bit by bit as if left alone"] += 1
    print(f"| outcome of {made} kills in {runs} runs | times |\n|---|---|")
    for outcome, times in sorted(outcomes.items()):
        print(f"| {outcome} | {times} |")
    print(*faults, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
