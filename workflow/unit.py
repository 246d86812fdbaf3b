"""One job of the workflow: some seeds of one configuration, as a plan lists them.

    python workflow/unit.py PLAN ADDRESS SEED... [--device cuda] [--minutes M]

Where another process runs one of the seeds (that of a workflow which was killed, perhaps), it is waited for.
Ends with 3 where a checkpoint was left and the same call goes on, with 1 after an error that a user can mend.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from pathlib import Path

from genclust.data import DataError
from genclust.experiments.configuration import RunConfig
from genclust.experiments.execution import Task, run
from genclust.experiments.locks import Held
from genclust.experiments.planning import PEAK
from genclust.experiments.store import StoreError, in_repository, own
from genclust.experiments.training_run import checkpoint_path
from genclust.experiments.workers import Unfinished
from genclust.settings import SettingError
from genclust.training.checkpoints import DamagedCheckpoint

SECONDS_BETWEEN_TRIES = 10.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plan", type=Path)
    parser.add_argument("address")
    parser.add_argument("seeds", type=int, nargs="+")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--minutes", type=float)
    asked = parser.parse_args()
    plan = json.loads(asked.plan.read_text())
    config = RunConfig(**plan["configurations"][asked.address])
    evaluations = {unit["seed"]: unit["evaluations"] for unit in plan["units"] if unit["address"] == asked.address}
    began = time.monotonic()
    for wanted in sorted({tuple(evaluations[seed]) for seed in asked.seeds}):
        task = Task(config, [seed for seed in asked.seeds if tuple(evaluations[seed]) == wanted], wanted)
        finished = False
        while not finished:
            left = None if asked.minutes is None else max(0.0, asked.minutes - (time.monotonic() - began) / 60)
            try:
                run(task, own(), device=asked.device, minutes=left, progress=False, also_look_in=in_repository())
                finished = True
            except Held as held:
                if left == 0:
                    raise
                print(held, file=sys.stderr, flush=True)
                time.sleep(SECONDS_BETWEEN_TRIES)
    peak = checkpoint_path(config, 0).with_name(PEAK)
    peak.parent.mkdir(parents=True, exist_ok=True)
    written = peak.with_name(f"{PEAK}.{os.getpid()}")
    written.write_text(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}\n")
    written.replace(peak)


if __name__ == "__main__":
    try:
        main()
    except Unfinished as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(3)
    except (SettingError, DataError, StoreError, DamagedCheckpoint, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
