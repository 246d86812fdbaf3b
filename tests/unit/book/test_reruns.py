"""Notebooks run on files of one's own, and by papermill alone."""

from __future__ import annotations

from pathlib import Path

import nbformat
import numpy as np
import papermill
import pytest
from bs4 import BeautifulSoup
from nbformat import v4

from genclust.book import notebooks, parameters
from genclust.book.page import as_html
from genclust.settings import SettingError

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
DECLARED = 'seeds: str = ""  # which\nn_clusters: int = None  # K\n'


# ---- parameters that a notebook does not have


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_every_notebook_checks_its_parameters_in_its_first_cell(path: Path) -> None:
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    declaring = next(i for i, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", []))
    assert "parameters.check()" in cells[declaring + 1].source.splitlines()


def test_parameters_are_compared_with_the_cell_before() -> None:
    parameters.refuse_unknown(["", DECLARED, '# Parameters\nseeds = "0-1"\n', "sedes = 1"])
    parameters.refuse_unknown(["", DECLARED, "sedes = 1"])  # not papermill's cell
    with pytest.raises(SettingError, match="no parameter 'sedes'; did you mean 'seeds'"):
        parameters.refuse_unknown(["", DECLARED, "# Parameters\nn_clusters = 3\nsedes = 1\n", ""])
    parameters.check()  # outside of a notebook


def test_papermill_alone_is_stopped_by_a_parameter_that_the_notebook_does_not_have(tmp_path: Path) -> None:
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [v4.new_code_cell(DECLARED, metadata={"tags": ["parameters"]})]
    cells += [v4.new_code_cell("from genclust.book import parameters\n\nparameters.check()")]
    nbformat.write(v4.new_notebook(metadata={"kernelspec": kernel}, cells=cells), tmp_path / "toy.ipynb")
    given = {"log_output": False, "progress_bar": False}
    papermill.execute_notebook(tmp_path / "toy.ipynb", tmp_path / "out.ipynb", {"seeds": "0"}, **given)
    with pytest.raises(papermill.PapermillExecutionError, match="no parameter 'sedes'"):
        papermill.execute_notebook(tmp_path / "toy.ipynb", tmp_path / "out.ipynb", {"sedes": "0"}, **given)


# ---- the page


def test_a_page_has_text_parameters_and_results_without_code_or_roles() -> None:
    table = v4.new_output("display_data", data={"text/html": "<table></table>", "text/plain": "frame"})
    drawing = v4.new_output("display_data", data={"image/svg+xml": '<?xml version="1.0"?><svg></svg>'})
    cells = [
        v4.new_markdown_cell("# Title\n\nOf $w_G * 2 < w_C$, see {doc}`the scores </protocols>` and {cite:p}`key`."),
        v4.new_markdown_cell("```{choices} simple-table1\n```"),
        v4.new_code_cell(DECLARED, metadata={"tags": ["parameters"]}),
        v4.new_code_cell("secret()", outputs=[v4.new_output("stream", text="said <once>"), table, drawing]),
        v4.new_code_cell(
            "draw()",
            outputs=[drawing],
            metadata={"mystnb": {"image": {"alt": "Two < three."}, "figure": {"caption": "Of **all** $K$."}}},
        ),
    ]
    page = as_html(v4.new_notebook(cells=cells), "a <page>")
    assert "<h1>Title</h1>" in page
    assert '<span class="formula">$w_G * 2 &lt; w_C$</span>, see the scores and key.' in page
    assert "experiments/simple-table1.yaml" in page and "{" not in page.split("<body>")[-1]
    assert "n_clusters: int" in page and "secret" not in page
    assert "said &lt;once&gt;" in page and "<table></table>" in page
    assert '<figure><img alt="Two &lt; three." src="data:image/svg+xml;base64,' in page
    assert '<figcaption><p>Of <strong>all</strong> <span class="formula">$K$</span>.</p>' in page
    assert page.count("data:image/svg+xml;base64,") == 2 and "<title>a &lt;page&gt;</title>" in page


def test_a_link_of_a_page_leads_to_its_target() -> None:
    cells = [
        v4.new_markdown_cell("1. [One **2** [3, 4].](#of-one)"),
        v4.new_markdown_cell("(of-one)=\n## One\n\nOf one."),
    ]
    soup = BeautifulSoup(as_html(v4.new_notebook(cells=cells), "title"), "html.parser")
    (link,) = soup.find_all("a")
    target = soup.find(id=link["href"].removeprefix("#"))
    assert target is not None and target.find_next("h2").get_text() == "One"
    assert soup.body.get_text(" ", strip=True) == "One 2 [3, 4]. One Of one."


@pytest.mark.parametrize("installed", [True, False])
def test_a_page_asks_no_network_for_what_draws_its_formulas(installed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the page, where the book's packages are installed; the formulas are in the page as they were written."""
    if installed:
        pytest.importorskip("sphinx-mathjax-offline")
    else:
        monkeypatch.setattr("genclust.book.page.find_spec", lambda name: None)
    page = as_html(v4.new_notebook(cells=[v4.new_markdown_cell(r"Of $\alpha < 1$.")]), "title")
    soup = BeautifulSoup(page, "html.parser")
    assert [tag for tag in soup.find_all(["script", "link", "img"]) if tag.get("src") or tag.get("href")] == []
    assert bool(soup.find_all("script")) == installed
    assert soup.body.get_text().strip() == r"Of $\alpha < 1$."
    role = "Of {measured}`simple-table1/proposed-mnist/test.acc_hungarian/n` seeds, {measured}`none/such/a/n`."
    page = as_html(v4.new_notebook(cells=[v4.new_markdown_cell(role)]), "title")
    assert "Of 10 seeds, –." in page, "numbers of the published page, and a dash where there is none"
    plain = as_html(v4.new_notebook(cells=[v4.new_markdown_cell("Of one.")]), "title")
    assert "<script" not in plain


# ---- files of one's own


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Files without labels: images of 12 × 10 pixels, and rows."""
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    np.savez(tmp_path / "images.npz", x_train=random.integers(0, 255, (100, 12, 10), dtype=np.uint8))
    np.savez(tmp_path / "rows.npz", x_train=random.random((100, 13)).astype(np.float32))
    return {name: str(tmp_path / f"{name}.npz") for name in ("images", "rows")}


def run(name: str, target: Path, **given: object) -> str:
    """Results of a published notebook with other parameters, as HTML, at profile ``demo`` for two epochs."""
    notebooks.execute(ROOT / "notebooks" / f"{name}.ipynb", target, {"seeds": "0", "epochs": 2, **given})
    return notebooks.write_html(target).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "said"),
    [
        ("simple-table1", "rows", "Proposed, K&nbsp;=&nbsp;4"),
        ("simple-figure3", "rows", "held-out bound"),
        ("simple-figure5", "rows", "too few test points for t-SNE"),
        ("gmvae-figure4", "images", "held-out bound"),
        ("gmvae-which", "rows", "mean confidence"),
    ],
)
def test_data_without_labels_go_through(name: str, file: str, said: str, own: dict[str, str], tmp_path: Path) -> None:
    page = run(name, tmp_path / "out.ipynb", dataset=own[file])
    assert f"<strong>A rerun.</strong> Data: {file}.npz; profile: demo; seeds: 0;" in page and said in page
    assert "step/s" not in page + (tmp_path / "out.ipynb").read_text(encoding="utf-8")
    results = page.split("A rerun.")[1]
    assert "<td>nan</td>" not in results and "paper</th>" not in results and "<th>Paper</th>" not in results


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "file", "sentence"),
    [
        ("simple-table2", "images", "simple-table2: This page compares with labels, and images.npz has none."),
        ("gmvae-figure3", "rows", "gmvae-figure3: This page draws pictures, and rows.npz has no images in grey or "),
    ],
)
def test_data_that_a_notebook_cannot_use_are_refused_in_one_sentence(
    name: str, file: str, sentence: str, own: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(notebooks.NotebookError) as refused:
        run(name, tmp_path / "out.ipynb", dataset=own[file])
    assert str(refused.value).startswith(sentence) and len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "out.ipynb").exists() and not (tmp_path / "cache").exists()
