"""The published scores follow from what the published records keep."""

import subprocess
from collections import Counter

import pytest

from genclust.data import MissingData
from genclust.experiments import declaration
from genclust.experiments.audit import audit, keeps_something
from genclust.experiments.configuration import RunConfig
from genclust.experiments.execution import prepare
from genclust.experiments.provenance import is_committed
from genclust.experiments.store import find, published
from genclust.paths import root

EMBEDDED = {"digits", "arcs", "arcs_5000"}
#: Data sets whose pictures take a minute to draw.
DRAWN = {"coloured_digits", "coloured_mnist"}
#: Rows whose scores all come out again; others were made before records kept what their scores are made of.
IN_FULL = [
    "gmvae-figure2/eta1-alpha2",
    "gmvae-figure2/eta1-alpha0",
    "gmvae-figure2/eta0-alpha0",
    "gmvae-figure2/eta0-alpha1",
    "gmvae-figure2/eta1-alpha2-5000",
    "simple-table1/proposed-usps",
]
EVERY = list(published().every())


def test_no_score_on_embedded_data_is_wrong():
    found = list(audit(record for record in EVERY if record.data["name"] in EMBEDDED))
    assert [one.record.path for one in found if one.state == "wrong"] == []
    assert Counter(one.state for one in found)["in full"] >= 10


@pytest.mark.data
def test_no_score_on_real_data_is_wrong():
    kept = [r for r in EVERY if r.data["name"] not in {*EMBEDDED, *DRAWN} and keeps_something(r)]
    assert kept
    assert [one.record.path for one in audit(kept) if one.state == "wrong"] == []


@pytest.mark.data
@pytest.mark.parametrize("name", sorted({record.data["name"] for record in EVERY} - DRAWN))
def test_data_is_what_the_records_were_made_of(name):
    one_each = {record.data["variant"]: record for record in EVERY if record.data["name"] == name}
    for record in one_each.values():
        try:
            data, digest = prepare(RunConfig(**record.config))
        except MissingData as error:
            pytest.skip(str(error))
        assert digest == record.data["digest"] or data.variant != record.data["variant"], record.path


@pytest.mark.data
@pytest.mark.parametrize("row", IN_FULL)
def test_headline_rows_are_auditable_in_full(row):
    experiment, _, name = row.partition("/")
    declared = declaration.load(experiment).row(name)
    records = find(declared.config("paper"), declared.seeds("paper"), [published()])
    assert sorted(records) == declared.seeds("paper")
    try:
        prepare(declared.config("paper"))
    except MissingData as error:
        pytest.skip(str(error))
    assert {seed: one.unknown for seed, one in zip(records, audit(records.values()), strict=True) if one.unknown} == {}


def test_records_of_unknown_code_are_counted_on_the_contributors_page():
    """Made beside uncommitted changes, or by a commit that the history no longer has; no such record is added."""

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(root()), *arguments], capture_output=True, text=True)
        return done.stdout.strip()

    page = " ".join((root() / "book" / "contribute.md").read_text(encoding="utf-8").split())
    assert "153 name one of seven commits that are no longer part of the history" in page
    sources = [record.provenance["source"] for record in EVERY]
    assert f"{sum(not is_committed(source) for source in sources)} were made beside uncommitted changes" in page
    if git("rev-parse", "--is-shallow-repository") != "false":
        pytest.skip("which commits are lost is seen in the whole history of the repository only")
    history = {commit[:7] for commit in git("rev-list", "HEAD").split()}
    lost = [source for source in sources if source[:7] not in history]
    assert (len(lost), len(set(lost))) == (153, 7)
