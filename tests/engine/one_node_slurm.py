"""A throw-away Slurm of this machine alone, without accounting, for trying the workflow out:

    python tests/engine/one_node_slurm.py COMMAND...

runs the command, in which `sbatch`, `squeue` and so on know this Slurm, and takes everything down when it has ended.
Two processors; a job of the partition `urgent` preempts those of the partition `work`, which are queued again.  Needs
root and two Debian packages, and neither systemd nor control groups.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
CONFIGURATION = """
ClusterName=throwaway
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5 # after which a job that was preempted may start again
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
MailProg=/bin/true
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
BatchStartTimeout=1
MessageTimeout=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobFileAppend=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=8000
PartitionName=work Nodes={host} PriorityTier=1 MaxTime=INFINITE
PartitionName=urgent Nodes={host} PriorityTier=9 MaxTime=INFINITE
"""


def refusal() -> str:
    """Why there can be no Slurm here, in a sentence; empty where there can."""
    if os.geteuid() != 0:
        return "A Slurm of one's own needs root."
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        return f"Slurm is not installed ({', '.join(missing)} not found): apt install slurm-wlm munge"
    return ""


class OneNodeSlurm:
    """A Slurm that runs.

    Attributes:
        folder: with all that it writes.
        environment: in which its commands find it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        }
        self._daemons: dict[str, subprocess.Popen] = {}

    def start(self) -> None:
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir()
        # Snakemake's plugin takes SLURM_CONF away from the srun that it calls in a job.
        srun = self.folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)
        with socket.socket() as one, socket.socket() as two:
            ports = []
            for free in (one, two):
                free.bind(("127.0.0.1", 0))
                ports.append(free.getsockname()[1])
        host = socket.gethostname().partition(".")[0]
        text = CONFIGURATION.format(host=host, ports=ports, folder=self.folder)
        (self.folder / "slurm.conf").write_text(text)
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        where = [f"--{option}={self.folder}/munge.{ending}" for option, ending in files.items()]
        self._launch("munged", "--foreground", "--force", *where)
        self._launch("slurmctld", "-D")
        self._launch("slurmd", "-D")
        self._until_idle()

    def stop(self) -> None:
        self.kill_jobs()
        for name in reversed(list(self._daemons)):
            self._daemons[name].kill()
            self._daemons[name].wait()

    def command(self, *words: str) -> str:
        """What one of Slurm's commands answers."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
        return done.stdout.strip()

    def restart_node(self) -> None:
        """As if somebody had pulled the plug: nothing on the node is told, and it comes back a moment later."""
        daemon = self._daemons.pop("slurmd")
        daemon.kill()
        daemon.wait()
        self.kill_jobs()
        self._launch("slurmd", "-D", "-b")
        self._until_idle()

    def kill_jobs(self) -> None:
        """Kill all processes of jobs, which know this Slurm, and those that started them."""
        mine = f"SLURM_CONF={self.environment['SLURM_CONF']}".encode()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                variables = (process / "environ").read_bytes().split(b"\0")
                of_job = any(variable.startswith(b"SLURM_JOB_ID=") for variable in variables)
                starts_jobs = (process / "comm").read_text().strip() == "slurmstepd"
                if mine in variables and (of_job or starts_jobs):
                    os.kill(int(process.name), signal.SIGKILL)

    def _launch(self, name: str, *arguments: str) -> None:
        with open(self.folder / f"{name}.out", "a") as out:
            # In a session of its own, so that Ctrl-C does not reach it before the jobs are gone.
            self._daemons[name] = subprocess.Popen(
                [name, *arguments], env=self.environment, stdout=out, stderr=out, start_new_session=True
            )

    def _until_idle(self) -> None:
        """Wait until the node is there."""
        deadline = time.monotonic() + 60
        while True:
            with suppress(RuntimeError):
                if self.command("sinfo", "--noheader", "--format=%t", "--partition=work") in ("idle", "mix", "alloc"):
                    return
            for name, daemon in self._daemons.items():
                if daemon.poll() is not None or time.monotonic() > deadline:
                    said = "".join(path.read_text() for path in sorted(self.folder.glob(f"{name}.*")))
                    raise RuntimeError(f"{name} did not come up:\n{said}")
            time.sleep(0.2)


@contextmanager
def one_node_slurm() -> Iterator[OneNodeSlurm]:
    """A Slurm as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        slurm = OneNodeSlurm(Path(folder))
        try:
            slurm.start()
            yield slurm
        finally:
            slurm.stop()


if __name__ == "__main__":
    if why := refusal():
        sys.exit(why)
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    with one_node_slurm() as running:
        sys.exit(subprocess.run(sys.argv[1:], env=running.environment).returncode)
