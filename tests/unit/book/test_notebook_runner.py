"""Running a notebook with parameters: refused early, written late."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import v4
from typer.testing import CliRunner, Result

from genclust.book import build, notebooks
from genclust.cli import app
from genclust.data import DataError
from genclust.estimators.saving import ModelError
from genclust.experiments.store import StoreError
from genclust.experiments.workers import Unfinished
from genclust.pages.speed import ResultsError
from genclust.settings import SettingError
from genclust.training.checkpoints import DamagedCheckpoint

PARAMETERS = """\
seeds: str = "0-2"  # which seeds
w_gaussian: float = 5.0  # weight of the Gaussian divergence
n_clusters: int = 10  # K
verbose: bool = False
epochs: int = None  # as declared
"""


def write(folder: Path, *cells: str, name: str = "toy") -> Path:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = v4.new_notebook(metadata={"kernelspec": kernel})
    notebook.cells = [v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})]
    notebook.cells += [v4.new_code_cell(cell) for cell in cells]
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def command(root: Path, name: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, [name, "--root", str(root), *arguments])


def stdout(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(out.get("text", "") for cell in cells if cell.cell_type == "code" for out in cell.outputs)


def test_values_take_the_declared_type(tmp_path: Path) -> None:
    values = notebooks.parse_parameters(
        write(tmp_path), {"seeds": "3", "w_gaussian": "3", "n_clusters": "14", "verbose": "true", "epochs": "20"}
    )
    assert values == {"seeds": "3", "w_gaussian": 3, "n_clusters": 14, "verbose": True, "epochs": 20}
    assert notebooks.parse_parameters(write(tmp_path), {"epochs": "None"}) == {"epochs": None}


def test_an_unknown_parameter_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(notebooks.NotebookError, match=r"no parameter 'w_gausian'; did you mean 'w_gaussian'\?"):
        notebooks.parse_parameters(write(tmp_path), {"w_gausian": "3"})


@pytest.mark.parametrize(
    ("name", "value"), [("n_clusters", "many"), ("n_clusters", "2.5"), ("verbose", "3"), ("epochs", "x")]
)
def test_a_value_of_another_type_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(notebooks.NotebookError, match=name):
        notebooks.parse_parameters(write(tmp_path), {name: value})


def test_an_unknown_notebook_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path, name="simple-table1")
    with pytest.raises(notebooks.NotebookError, match="did you mean 'simple-table1'"):
        notebooks.find(tmp_path, "simple-tabel1")


def test_who_is_outside_of_the_repository_is_told_how_to_name_it(tmp_path: Path) -> None:
    said, folder = command(tmp_path, "notebook", "own-data").stderr, tmp_path / "notebooks"
    assert said == f"notebook: there are no notebooks in {folder}; give a clone of the repository as --root FOLDER\n"


def test_files_and_folders_lie_where_the_command_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write(tmp_path / "notebooks", "import os\nprint(os.path.isabs(data) and os.listdir(data), seeds)")
    notebook = nbformat.read(source, as_version=4)
    notebook.cells[0].source = 'data: str = ""  # a file or a folder of images\nseeds: str = ""  # which seeds'
    nbformat.write(notebook, source)
    (tmp_path / "here" / "mine").mkdir(parents=True)
    (tmp_path / "here" / "mine" / "a.png").touch()
    monkeypatch.chdir(tmp_path / "here")
    for given, printed in (("mine", "['a.png'] mine\n"), ("yours", "False mine\n")):  # seeds are no folder
        assert command(tmp_path, "notebook", "toy", "-p", "data", given, "-p", "seeds", "mine").exit_code == 0
        assert stdout(tmp_path / "_build" / "notebooks" / "toy.ipynb") == printed


def test_nothing_runs_for_an_unknown_parameter(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    write(tmp_path / "notebooks", f"open({str(marker)!r}, 'w').close()")
    result = command(tmp_path, "notebook", "toy", "-p", "sedes", "0-1")
    assert result.exit_code == 1
    assert result.stderr.startswith("notebook: toy has no parameter 'sedes'; did you mean 'seeds'?")
    assert not marker.exists() and not (tmp_path / "_build").exists()


def test_a_parameter_without_a_value_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "notebooks")
    result = command(tmp_path, "notebook", "toy", "-p", "seeds")
    assert result.exit_code == 2 and "'-p' requires 2 arguments" in result.stderr
    assert not (tmp_path / "_build").exists()


def test_parameters_are_listed_with_their_meanings(tmp_path: Path) -> None:
    write(tmp_path / "notebooks", "1 / 0")
    result = command(tmp_path, "notebook", "toy", "--list")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[:2] == [
        'seeds = "0-2"  # which seeds',
        "w_gaussian = 5.0  # weight of the Gaussian divergence",
    ]


def test_a_whole_run_is_written_with_its_parameters(tmp_path: Path) -> None:
    source = write(tmp_path / "notebooks", "print(f'<{seeds} {w_gaussian}>')")
    before = source.read_bytes()
    result = command(tmp_path, "notebook", "toy", "-p", "seeds", "0-1", "-p", "w_gaussian", "-3")
    target = tmp_path / "_build" / "notebooks" / "toy.ipynb"
    assert result.exit_code == 0 and f"notebook: wrote {target}" in result.stdout
    assert "<0-1 -3" in stdout(target)
    assert notebooks.problems(target) == []
    assert source.read_bytes() == before
    assert sorted(path.name for path in target.parent.iterdir()) == ["toy.html", "toy.ipynb"], (
        "temporary files are gone"
    )
    assert str(tmp_path) not in target.read_text(encoding="utf8"), "no path of this machine is in the copy"


def test_the_copy_goes_where_it_is_asked_for(tmp_path: Path) -> None:
    write(tmp_path / "notebooks", "print('whole')")
    result = command(tmp_path, "notebook", "toy", "-o", str(tmp_path / "copy.ipynb"))
    assert result.exit_code == 0 and stdout(tmp_path / "copy.ipynb") == "whole\n"


def test_a_folder_without_a_book_is_refused_in_one_sentence(tmp_path: Path) -> None:
    result = command(tmp_path, "book")
    assert result.exit_code == 1
    assert (
        result.stderr == f"book: there is no {tmp_path / '_toc.yml'}; the book is built in a clone of the repository\n"
    )


def test_the_command_line_starts_without_what_runs_notebooks() -> None:
    loaded = "import sys, genclust.cli; print({'papermill', 'nbformat'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True).stdout == "set()\n"


def test_an_error_is_one_sentence_without_the_source_of_the_cell(tmp_path: Path) -> None:
    refusing = "from genclust.settings import SettingError\nraise SettingError('Give fewer\\n  seeds.')"
    with pytest.raises(notebooks.NotebookError) as told:
        notebooks.execute(write(tmp_path, refusing), tmp_path / "out.ipynb", {})
    assert str(told.value) == "toy: Give fewer seeds."
    with pytest.raises(notebooks.NotebookError) as unforeseen:
        notebooks.execute(write(tmp_path, "x = 0\n1 / x"), tmp_path / "out.ipynb", {})
    assert str(unforeseen.value) == "toy: cell 1 failed with ZeroDivisionError: division by zero"


def test_all_errors_that_a_user_can_mend_are_told_in_their_own_words() -> None:
    """Those of the command line, and of pages; rows are not published in notebooks."""

    def below(error: type) -> set[type]:
        return {error}.union(*(below(kind) for kind in error.__subclasses__()))

    told = (SettingError, DataError, StoreError, Unfinished, DamagedCheckpoint, ModelError, ResultsError)
    known = {kind.__name__ for error in told for kind in below(error) if kind.__module__.startswith("genclust.")}
    assert known - {"NotWhole"} == set(notebooks.TOLD)


def test_progress_is_for_the_terminal_and_not_in_the_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bar = (
        "import sys\nfrom tqdm import tqdm\nfor _ in tqdm(range(3), unit='step'): pass\nprint('mind', file=sys.stderr)"
    )
    notebooks.execute(write(tmp_path, bar), tmp_path / "out.ipynb", {}, progress=True)
    assert "3/3" in capfd.readouterr().err
    assert "3/3" not in (tmp_path / "out.ipynb").read_text() and stdout(tmp_path / "out.ipynb").strip() == "mind"
    assert "mind" in notebooks.write_html(tmp_path / "out.ipynb").read_text()


def test_a_failing_run_leaves_the_last_good_one(tmp_path: Path) -> None:
    source, target = write(tmp_path, "print('whole')", "1 / 0"), tmp_path / "out" / "toy.ipynb"
    target.parent.mkdir()
    target.write_text("the last good one")
    with pytest.raises(notebooks.NotebookError, match="ZeroDivisionError"):
        notebooks.execute(source, target, {})
    assert target.read_text() == "the last good one"
    assert [path.name for path in target.parent.iterdir()] == ["toy.ipynb"]


def test_error_outputs_and_cells_that_never_ran_are_problems(tmp_path: Path) -> None:
    path = write(tmp_path, "1 / 0", "x = 1")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].execution_count = 1
    notebook.cells[1].outputs = [v4.new_output("error", ename="ZeroDivisionError", evalue="", traceback=[])]
    nbformat.write(notebook, path)
    assert [problem.split(":")[0] for problem in notebooks.problems(path)] == ["cell 1", "cell 2"]


class TestStaging:
    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        for folder in ("book", "src", "experiments", "results"):
            (tmp_path / folder).mkdir()
        (tmp_path / "_config.yml").write_text("title: toy\n")
        (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: intro\nchapters: [{file: notebooks/toy}]\n")
        (tmp_path / "book" / "intro.md").write_text("# Toy\n")
        (tmp_path / "experiments" / "toy.yaml").write_text("paper: toy\n")
        write(tmp_path / "notebooks", "import time; print(time.time_ns())")
        return tmp_path

    def test_a_notebook_runs_again_only_when_something_changed(self, repository: Path) -> None:
        first = stdout(build.run_notebooks(repository)["toy"])
        assert stdout(build.run_notebooks(repository)["toy"]) == first
        (repository / "results" / "record.json").write_text("{}")
        assert stdout(build.run_notebooks(repository)["toy"]) != first

    def test_only_changed_files_are_touched(self, repository: Path) -> None:
        source = build.stage(repository, {})
        before = (source / "intro.md").stat().st_mtime_ns
        (repository / "book" / "new.md").write_text("# New\n")
        build.stage(repository, {})
        assert (source / "new.md").is_file() and (source / "intro.md").stat().st_mtime_ns == before
        (repository / "book" / "new.md").unlink()
        build.stage(repository, {})
        assert not (source / "new.md").exists()

    def test_the_book_is_built_again_only_when_something_changed(self, repository: Path, capsys) -> None:
        def said() -> str:
            index = build.build(repository)
            assert index.is_file()
            return capsys.readouterr().out

        assert "building" in said()
        assert "building" not in said()
        (repository / "book" / "intro.md").write_text("# Another toy\n")
        assert "building" in said() and "Another toy" in (repository / "_build/html/intro.html").read_text()
        (repository / "_build" / "html" / "index.html").unlink()
        assert "building" in said()

    def test_a_failing_notebook_fails_the_build(self, repository: Path) -> None:
        write(repository / "notebooks", "raise ValueError('no such row')")
        with pytest.raises(build.BuildError, match="no such row"):
            build.run_notebooks(repository)

    def test_a_notebook_that_is_not_there_is_named(self, repository: Path) -> None:
        (repository / "notebooks" / "toy.ipynb").unlink()
        with pytest.raises(build.BuildError, match="notebooks/toy"):
            build.run_notebooks(repository)
