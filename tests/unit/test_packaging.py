"""pyproject.toml, constraints.txt and environment.yml say the same."""

from __future__ import annotations

import ast
import json
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import genclust
from genclust.baselines.libraries import PACKAGES

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf8"))["project"]


@pytest.fixture(scope="module")
def declared(project: dict) -> dict[str, Requirement]:
    texts = project["dependencies"] + [text for group in project["optional-dependencies"].values() for text in group]
    found = [Requirement(text) for text in texts]
    names = [canonicalize_name(requirement.name) for requirement in found]
    assert len(set(names)) == len(names), "a dependency is declared twice"
    return dict(zip(names, found, strict=True))


def pins(lines: list[str]) -> dict[str, str]:
    without_marker = [line.split(";")[0] for line in lines if not line.startswith("#")]
    split = [line.split("==") for line in without_marker if "==" in line]
    return {canonicalize_name(name.strip()): version.strip() for name, version in split}


@pytest.fixture(scope="module")
def constraints() -> dict[str, str]:
    return pins((ROOT / "constraints.txt").read_text(encoding="utf8").splitlines())


@pytest.fixture(scope="module")
def conda() -> dict:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf8"))


@pytest.fixture(scope="module")
def conda_pip(conda: dict) -> list[str]:
    return next(entry["pip"] for entry in conda["dependencies"] if isinstance(entry, dict))


def test_constraints_pin_every_dependency_as_declared(declared: dict, constraints: dict) -> None:
    for name, requirement in declared.items():
        assert name in constraints, f"{name} is not pinned in constraints.txt"
        assert requirement.specifier.contains(constraints[name]), f"{name} is pinned outside of what is declared"


def test_constraints_hold_nothing_but_pins() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf8").splitlines()
    for line in lines:
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.!]*", line), line


def test_conda_names_the_same_dependencies_at_the_same_versions(
    declared: dict, constraints: dict, conda_pip: list[str]
) -> None:
    assert pins(conda_pip) == {name: constraints[name] for name in declared}
    assert "-c constraints.txt" in conda_pip and "-e ." in conda_pip


def test_conda_has_a_python_that_is_new_enough(project: dict, conda: dict) -> None:
    python = next(str(entry) for entry in conda["dependencies"] if str(entry).startswith("python="))
    assert Requirement(f"python{project['requires-python']}").specifier.contains(python.split("=")[1] + ".0")


def test_torch_is_pinned_exactly(declared: dict) -> None:
    assert str(declared["torch"].specifier) == "==2.13.0"


def test_the_kernel_is_older_than_the_one_that_warns(constraints: dict) -> None:
    assert Version(constraints["ipykernel"]) < Version("7")


def test_every_dependency_says_why(declared: dict) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf8").partition("[project.scripts]")[0]
    reasons = re.findall(r'^    "([A-Za-z0-9._-]+)[^"]*",\s+# \S+ \S+', text, flags=re.MULTILINE)
    assert {canonicalize_name(name) for name in reasons} == set(declared)


def test_the_command_exists(project: dict) -> None:
    from importlib import import_module

    module, function = project["scripts"]["genclust"].split(":")
    assert callable(getattr(import_module(module), function))


#: Imported by the library, and always there with what is declared.
COME_ALONG = {"cycler": "matplotlib", "matplotlib-inline": "ipykernel", "ipython": "ipykernel"}


def test_the_library_imports_nothing_undeclared(declared: dict) -> None:
    owners = packages_distributions()
    imported = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                imported.add(str(node.module).split(".")[0])
    foreign = {name for name in imported if name not in sys.stdlib_module_names and name != "genclust"}
    undeclared = {  # what is not installed, as the baselines need not be, has no owner here
        name
        for name in foreign
        if not {canonicalize_name(o) for o in owners.get(name, [PACKAGES.get(name, name)])} & set(declared)
    }
    assert {name for name in undeclared if canonicalize_name(name) not in COME_ALONG} == set()


def test_version_and_licence_are_said_alike(project: dict) -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf8"))
    assert citation["version"] == genclust.__version__ and citation["license"] == project["license"]
    assert json.loads((ROOT / ".zenodo.json").read_text(encoding="utf8"))["title"] == citation["title"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf8")
    released = re.findall(r"^## (\d\S+?)(?:, (\S+))?$", changes, re.MULTILINE)
    assert released[0] == (genclust.__version__, str(citation["date-released"]))
    assert (ROOT / "LICENSE").read_text(encoding="utf8").startswith("MIT License")


def test_workflows_call_commands_that_are_there() -> None:
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        steps = [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]
        commands = [line for step in steps for line in step.get("run", "").splitlines()]
        targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
        for command in commands:
            words = command.split()
            if words[0] == "make":
                assert words[1] in targets, command
            elif words[0] not in ("for", "done"):
                assert words[0] in (".ci/run", ".venv/bin/genclust"), command
