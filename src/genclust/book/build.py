"""Building the book: run the notebooks that need it, gather the sources, call Jupyter Book.

The book never runs a notebook itself. What it shows is an executed copy, made here with papermill in
``_build/executed`` and kept there until the notebook, the library, a declaration or a record changes. Prose,
executed notebooks and the pages of the API are gathered in ``_build/source``; a file is touched there only if its
content changed, so that Sphinx rebuilds what changed and no more.
"""

from __future__ import annotations

import base64
import hashlib
import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import nbformat
import yaml

from genclust.book import api, markup, notebooks

#: Folders that a notebook's output depends on, besides itself and the lists of papers and data sets.
WATCHED = ("src", "experiments", "results", "benchmarks")
IGNORED = {"__pycache__", ".ipynb_checkpoints"}
PARALLEL = 2  # notebooks at once
PICTURES = {"image/svg+xml", "image/png"}


class BuildError(Exception):
    """Raised if the book cannot be built; the message says why."""


def build(root: Path, strict: bool = False, verbose: bool = False) -> Path:
    """Build the whole book, unless nothing has changed since it was built, and return the path of its first page.

    Args:
        root: folder of the repository.
        strict: whether to build everything anew and fail on any warning.
        verbose: whether to show the output of Sphinx for every page.
    """
    executed = run_notebooks(root)
    from genclust.book.widgets.files import files  # here, as it imports PyTorch

    source = stage(root, executed, files())
    html, stamp = root / "_build" / "html", root / "_build" / "book.digest"
    index = html / "index.html"
    digest = _digest([*_files(source, "*"), *_watched(root), *root.glob("constraints.txt")])
    if not strict and index.is_file() and stamp.is_file() and stamp.read_text() == digest:
        print("book: nothing has changed since it was built", flush=True)
        return index
    stamp.unlink(missing_ok=True)
    if strict:
        shutil.rmtree(html, ignore_errors=True)
    jupyter_book = str(Path(sys.executable).parent / "jupyter-book")
    command = [jupyter_book, "build", str(source), "--path-output", str(root)]
    if strict:
        command += ["-n", "-W", "--keep-going", "--all"]
    if not verbose:
        command.append("-q")
    print(f"book: building {sum(1 for _ in _files(source, '*.md', '*.ipynb', '*.rst'))} pages", flush=True)
    log = root / "_build" / "book.log"
    result = subprocess.run(
        command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    log.write_text(result.stdout, encoding="utf8")
    shown, _, _ = result.stdout.partition("\nTraceback ")  # that of Jupyter Book's wrapper says nothing more
    lines = shown.splitlines()
    if not (verbose or result.returncode):
        lines = [line for line in lines if "WARNING" in line or "ERROR" in line]
    if lines:
        print("\n".join(lines), file=sys.stderr)
    if result.returncode or not index.is_file():
        reason = "; in a strict build every warning is an error" if strict else ""
        raise BuildError(f"Jupyter Book failed{reason}. Everything it said: {log}")
    markup.mend_pages(html)
    stamp.write_text(digest)
    return index


def pages(root: Path) -> list[str]:
    """All pages in the table of contents, without the suffixes of their files.

    Raises:
        BuildError: if the folder has no table of contents.
    """
    contents = root / "_toc.yml"
    if not contents.is_file():
        raise BuildError(f"there is no {contents}; the book is built in a clone of the repository")
    toc = yaml.safe_load(contents.read_text(encoding="utf8"))

    def walk(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                if key in ("root", "file"):
                    yield str(value)
                else:
                    yield from walk(value)
        elif isinstance(node, list):
            for child in node:
                yield from walk(child)

    return list(walk(toc))


def run_notebooks(root: Path) -> dict[str, Path]:
    """Run the notebooks whose executed copy is missing or out of date; return all copies by name."""
    sources = {}
    for page in pages(root):
        if page.startswith("notebooks/"):
            path = root / f"{page}.ipynb"
            if not path.is_file():
                raise BuildError(f"_toc.yml names {page}, but there is no {path.relative_to(root)}")
            sources[path.stem] = path
    folder = root / "_build" / "executed"
    folder.mkdir(parents=True, exist_ok=True)
    common = _digest(_watched(root))
    copies, stale = {}, {}
    for name, path in sources.items():
        copies[name] = folder / f"{name}.ipynb"
        digest = hashlib.sha256(common.encode() + path.read_bytes()).hexdigest()
        stamp = folder / f"{name}.digest"
        if not (copies[name].is_file() and stamp.is_file() and stamp.read_text() == digest):
            stale[name] = digest
    if stale:
        print(f"book: running {len(stale)} of {len(sources)} notebooks", flush=True)
    failures = []
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(PARALLEL, spawn, _one_thread) as pool:
        jobs = {pool.submit(notebooks.execute, sources[name], copies[name], {}): name for name in stale}
        for job in as_completed(jobs):
            name = jobs[job]
            error = job.exception()
            if error is None:
                (folder / f"{name}.digest").write_text(stale[name])
                print(f"book: ran {name}", flush=True)
            else:
                failures.append(str(error))
    if failures:
        raise BuildError("\n".join(failures))
    broken = [f"{name}: {problem}" for name, copy in copies.items() for problem in notebooks.problems(copy)]
    if broken:
        raise BuildError("executed notebooks hold errors:\n" + "\n".join(broken))
    return copies


def _one_thread() -> None:
    """Sums over several threads are rounded in another way, and the outputs are compared with those that are stored."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


#: Beginning of the tag of a notebook's cell whose picture other pages show, as ``figures/NAME.svg`` or ``.png``.
FIGURE = "figure:"


def key_figures(executed: Iterable[Path]) -> dict[Path, bytes]:
    """The pictures of cells of executed notebooks that are tagged ``figure:NAME``, by their paths in the book."""
    found = {}
    for path in executed:
        for cell in nbformat.read(path, as_version=4).cells:
            for tag in cell.metadata.get("tags", []):
                if tag.startswith(FIGURE):
                    name = Path("figures", tag.removeprefix(FIGURE))
                    data = next(output["data"] for output in cell.outputs if PICTURES & output.get("data", {}).keys())
                    if (svg := data.get("image/svg+xml")) is not None:
                        found[name.with_suffix(".svg")] = svg.encode()
                    else:
                        found[name.with_suffix(".png")] = base64.b64decode(data["image/png"])
    return found


def stage(root: Path, executed: Mapping[str, Path], widgets: Mapping[str, bytes] | None = None) -> Path:
    """Gather prose, executed notebooks and their key figures, pages of the API, files of widgets and configuration."""
    target = root / "_build" / "source"
    paths = {path.relative_to(root / "book"): path for path in _files(root / "book", "*")}
    paths |= {Path("notebooks") / copy.name: copy for copy in executed.values()}
    paths |= {Path(name): root / name for name in ("_config.yml", "_toc.yml")}
    paths |= {path.relative_to(root): path for path in root.glob("CITATION.cff")}
    wanted = {relative: path.read_bytes() for relative, path in paths.items()}
    wanted |= {Path("api") / f"{name}.rst": page.encode() for name, page in api.pages(root / "src").items()}
    wanted |= key_figures(executed.values())
    wanted |= {Path("widgets") / name: content for name, content in (widgets or {}).items()}
    for relative, content in wanted.items():
        copy = target / relative
        if not copy.is_file() or copy.read_bytes() != content:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
    for path in list(_files(target, "*")):
        if path.relative_to(target) not in wanted:
            path.unlink()
    return target


def _watched(root: Path) -> list[Path]:
    """Files that the output of every notebook, and the numbers in the prose, may depend on."""
    return [*sorted(root.glob("*.yaml")), *(path for part in WATCHED for path in _files(root / part, "*"))]


def _files(folder: Path, *patterns: str) -> Iterator[Path]:
    for pattern in patterns:
        for path in sorted(folder.rglob(pattern)):
            if path.is_file() and not IGNORED & set(path.parts):
                yield path


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.name.encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
