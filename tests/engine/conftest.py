"""These tests take minutes and start many processes, so they run only where they are asked for: pytest -m engine."""

import shutil
import subprocess

import pytest
from tiny import CHANGES, DECLARED, ROOT, change, commit, environment, kill_all


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr != "engine":
        for item in items:
            if item.get_closest_marker("engine"):
                item.add_marker(pytest.mark.skip(reason="takes minutes; ask for it by -m engine"))


@pytest.fixture
def clone(tmp_path):
    """A repository with only one experiment, of tiny runs that leave a checkpoint every moment."""
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--shared", ROOT, folder], check=True)
    shutil.rmtree(folder / "experiments")
    shutil.rmtree(folder / "results")
    (folder / "experiments").mkdir()
    (folder / "experiments" / "killed.yaml").write_text(DECLARED)
    for name, changes in CHANGES.items():
        change(folder / "src" / "genclust" / "experiments" / name, changes)
    commit(folder)
    return folder


@pytest.fixture
def workflow(clone):
    """Starts the workflow in a session of its own, with its own log; nothing of it outlives the test."""
    sessions = []

    def start(profile: str, **settings: str) -> subprocess.Popen:
        command = [clone / "workflow" / "runs.sh", profile, "killed"]
        with open(clone.with_name("log.txt"), "a") as log:
            there = {"env": environment(clone, "cache") | settings, "stdout": log, "stderr": log}
            sessions.append(subprocess.Popen(command, **there, start_new_session=True))
        return sessions[-1]

    yield start
    for session in sessions:
        kill_all(session.pid)
