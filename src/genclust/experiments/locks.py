"""Locks beside the checkpoints, so that no two processes train the same seed at once.

A lock is a file that is created only where there is none.  It names its process, and its modification time is a
heartbeat.  A lock that a kill has left behind is broken: at once where its process can be looked up and is gone,
elsewhere when its heartbeat has been silent for ten minutes.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from genclust.experiments.workers import Unfinished
from genclust.paths import naming

#: Suffix of the file name of a lock.
SUFFIX = ".lock"
SECONDS_BETWEEN_BEATS = 60.0
#: Seconds without a heartbeat after which a lock counts as abandoned.
SILENCE = 600.0
#: Seconds in which an abandoned lock is certainly removed, which takes microseconds.
_BREAKING = 60.0


class Held(Unfinished):
    """Raised if another process trains the seed."""


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock.

    Attributes:
        host: name of the host.
        place: identifier of the processes among which its number is unique, see `_place`; empty if unknown.
        process: number of the process.
        started: start time of the process, so that a later process of that number is not taken for it.
        since: time at which it took the lock, in UTC.
        steps: total number of steps of its training, 0 if unknown.
    """

    host: str
    place: str
    process: int
    started: str
    since: str
    steps: int = 0


@contextmanager
def hold(checkpoints: Sequence[Path], steps: int = 0) -> Iterator[None]:
    """Context that holds the locks of all given checkpoints, or of none.

    Raises:
        Held: if another process holds one.
    """
    process, now = os.getpid(), datetime.now(UTC).isoformat(timespec="seconds")
    me = Holder(platform.node(), _place(), process, _started(process), now, steps)
    taken: list[Path] = []
    done = threading.Event()

    def beat() -> None:
        while not done.wait(SECONDS_BETWEEN_BEATS):
            for lock in taken:
                with suppress(OSError):  # removed by hand, or a server that is away for a while
                    os.utime(lock)

    try:
        for checkpoint in checkpoints:
            lock = checkpoint.with_suffix(SUFFIX)
            _take(lock, me)
            taken.append(lock)
        # A thread, since preparing and evaluating may take longer than the silence that is given up.
        threading.Thread(target=beat, daemon=True).start()
        yield
    finally:
        done.set()
        for lock in taken:
            if holder(lock) == me:
                lock.unlink(missing_ok=True)


def holder(lock: Path) -> Holder | None:
    """Process that holds a lock, or None if there is no lock.

    Of a lock that is just being written only its existence is known.
    """
    try:
        return Holder(**json.loads(lock.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        return Holder("", "", 0, "", "a moment ago")


def is_alive(lock: Path, holder: Holder) -> bool:
    """Whether the process that holds a lock still runs."""
    if holder.place and holder.place == _place():
        return _started(holder.process) == holder.started
    try:
        return time.time() - lock.stat().st_mtime < SILENCE
    except FileNotFoundError:
        return False


def _take(lock: Path, me: Holder) -> None:
    lock.parent.mkdir(parents=True, exist_ok=True)
    while True:
        try:
            handle = os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            other = holder(lock)
            if other and is_alive(lock, other):
                raise _held(lock, other) from None
            if other:
                _break(lock, other)
        else:
            try:
                with naming(lock), os.fdopen(handle, "w") as file:
                    file.write(json.dumps(asdict(me)))
            except OSError:
                lock.unlink()  # an empty one would be waited for
                raise
            return


def _break(lock: Path, gone: Holder) -> None:
    """Remove the lock of a process that is gone, unless another process has replaced the lock meanwhile.

    For this only one process at a time checks again and removes.
    """
    breaking = lock.with_name(lock.name + ".breaking")
    try:
        os.close(os.open(breaking, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        with suppress(FileNotFoundError):
            if time.time() - breaking.stat().st_mtime > _BREAKING:  # left by a kill
                breaking.unlink()
        time.sleep(0.01)
        return
    try:
        if holder(lock) == gone:
            lock.unlink(missing_ok=True)
    finally:
        breaking.unlink(missing_ok=True)


def _held(lock: Path, other: Holder) -> Held:
    return Held(
        f"{lock.parent.name}/{lock.stem} is being run by process {other.process} on {other.host or 'some host'} "
        f"since {other.since}; wait for it, or stop it (its lock is {lock})."
    )


def _place() -> str:
    """Identifier of the processes whose numbers this one can look up: the boot of a host and a container on it.

    Empty where the system has no such identifier, so that only the heartbeat counts there.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def _started(process: int) -> str:
    """Start time of the process with this number, in ticks of the system; empty if it does not run."""
    try:
        state, *fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if state == "Z" else fields[18]  # killed, but not yet taken note of: Z
