"""The local Sphinx extension: numbers in prose are looked up, tracked, and missed loudly."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from sphinx.application import Sphinx

import genclust.experiments
from genclust.experiments.verdicts import Verdict

ROOT = Path(__file__).resolve().parents[3]
PAGE = """\
# Page

The mean is {measured}`toy/row/test.acc/mean`.

```{choices} toy
```

```{verdict-table} toy
```
"""
VERDICT = Verdict(
    paper="toy",
    table="Table 1",
    row="toy/row",
    label="Ours <new>",
    dataset="reuters10k",
    metric="test.knn_error_x_hat_3",
    name="error",
    reported_mean=3.46,
    reported_sd=None,
    below=None,
    above=None,
    measured_mean=3.5,
    measured_sd=0.25,
    measured_median=3.5,
    measured_best=3.25,
    n_seeds=5,
    ci_low=3.2,
    ci_high=3.8,
    profile="paper",
    fidelity="surrogate",
    stand_in="rcv1_10k",
    quoted=False,
    tolerance=None,
    verdict="surrogate data",
    own=True,
    second_reading=False,
    seeds=(3.25, 3.5, 3.5, 3.5, 3.75),
    lost=None,
    anchor="toy-row-test-knn-error-x-hat-3",
)


class Book:
    """A book of one page in a repository of one experiment."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.source = root / "_build" / "source"
        for folder in (self.source, root / "experiments", root / "results"):
            folder.mkdir(parents=True)
        (root / "pyproject.toml").touch()
        choices = "choices: [{setting: model.w, taken: 1, why: The paper is silent.}]\n"
        (root / "experiments" / "toy.yaml").write_text(choices)
        (self.source / "index.md").write_text(PAGE)
        (self.source / "other.md").write_text("---\norphan: true\n---\n# Other\n")

    def build(self) -> tuple[str, str, list[str]]:
        """The page, the warnings, and which pages were read."""
        warnings, read = io.StringIO(), []
        app = Sphinx(
            self.source,
            None,
            self.root / "html",
            self.root / "doctrees",
            "html",
            confoverrides={"extensions": ["myst_parser", "measured"]},
            status=None,
            warning=warnings,
        )
        app.connect("source-read", lambda app, docname, source: read.append(docname))
        app.build()
        return (self.root / "html" / "index.html").read_text(encoding="utf8"), warnings.getvalue(), read


@pytest.fixture
def book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Book:
    monkeypatch.syspath_prepend(str(ROOT / "book" / "_ext"))
    monkeypatch.setattr(genclust.experiments, "verdicts", lambda: [VERDICT])
    monkeypatch.setattr(genclust.experiments, "number", lambda key: "78.2")
    return Book(tmp_path)


def test_numbers_choices_and_verdicts_are_shown(book: Book) -> None:
    page, warnings, _ = book.build()
    assert warnings == ""
    assert '<span class="measured">78.2</span>' in page
    assert "model.w" in page and "The paper is silent." in page
    assert "kNN error, k = 3, on x̂ (%)" in page
    assert "RCV1-10k" in page and "REUTERS-10K" in page and "5 seeds" in page
    assert "Ours &lt;new&gt;" in page
    assert '<span class="verdict surrogate-data">surrogate data</span>' in page


@pytest.mark.parametrize(
    ("fidelity", "stand_in", "verdict", "shown"),
    [
        ("subset", "svhn_10k", "subset of the data", ["first 10,000 test images", "of SVHN"]),
        ("rebuilt", "omniglot (rebuilt)", "partly", ["official drawings, rebuilt", "rebuilt data</small>"]),
        ("exact", None, "partly", []),
    ],
)
def test_a_table_says_how_near_the_data_is(book: Book, monkeypatch, fidelity, stand_in, verdict, shown) -> None:
    one = replace(VERDICT, dataset="svhn", fidelity=fidelity, stand_in=stand_in, verdict=verdict)
    monkeypatch.setattr(genclust.experiments, "verdicts", lambda: [one])
    page = book.build()[0]
    assert f'<span class="verdict {verdict.replace(" ", "-")}">{verdict}</span>' in page
    assert all(text in page for text in shown)
    assert ("rebuilt data" in page) == (fidelity == "rebuilt") and ("stand-in" in page) == (fidelity != "exact")


def test_a_page_follows_the_records(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    book.build()
    assert book.build()[2] == [], "nothing has changed"
    monkeypatch.setattr(genclust.experiments, "number", lambda key: "79.9")
    (book.root / "results" / "seed-0000.json").write_text("{}")
    page, _, read = book.build()
    assert read == ["index"] and "79.9" in page


def test_a_number_that_is_not_there_is_a_warning(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    def number(key: str) -> str:
        raise KeyError(f"nothing is published for {key}")

    monkeypatch.setattr(genclust.experiments, "number", number)
    page, warnings, _ = book.build()
    assert "nothing is published for toy/row/test.acc/mean" in warnings and "index.md:3" in warnings
    assert "[no number: toy/row/test.acc/mean]" in page


def test_causes_of_missed_numbers_are_those_of_the_paper(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    from genclust.pages import gaps as page
    from genclust.pages import missed

    rows = [SimpleNamespace(paper="toy", name="ours"), SimpleNamespace(paper="other", name="theirs")]
    monkeypatch.setattr(missed, "missed", lambda: rows)
    monkeypatch.setattr(page, "causes", lambda found: "\n".join(f"1. *It was short:* {one.name}." for one in found))
    (book.source / "index.md").write_text("# Page\n\n```{gaps} toy\n```\n")
    shown, warnings, _ = book.build()
    assert (
        "<li><p><em>It was short:</em> ours.</p></li>" in shown and "theirs" not in shown and "no gaps" not in warnings
    )
    (book.source / "index.md").write_text("# Page\n\n```{gaps} toi\n```\n")
    assert "no gaps of toi" in book.build()[1]
