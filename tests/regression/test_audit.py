"""The published scores follow from what the published records keep."""

from collections import Counter

import pytest

from genclust.experiments import declaration
from genclust.experiments.audit import audit
from genclust.experiments.store import find, published

#: Rows whose scores all come out again; others were made before records kept what their scores are made of.
IN_FULL = ["gmvae-figure2/eta1-alpha2"]


def test_no_score_on_embedded_data_is_wrong():
    found = list(audit(published().every()))
    assert [one.record.path for one in found if one.state == "wrong"] == []
    assert Counter(one.state for one in found if not one.fault)["in full"] >= 10


@pytest.mark.data
def test_no_score_on_real_data_is_wrong():
    real = [record for record in published().every() if record.data["name"] not in ("digits", "arcs", "arcs_5000")]
    assert [one.record.path for one in audit(real) if one.state == "wrong"] == []


@pytest.mark.data
@pytest.mark.parametrize("row", IN_FULL)
def test_headline_rows_are_auditable_in_full(row):
    experiment, _, name = row.partition("/")
    declared = declaration.load(experiment).row(name)
    records = find(declared.config("paper"), declared.seeds("paper"), [published()])
    assert sorted(records) == declared.seeds("paper")
    assert {seed: one.unknown for seed, one in zip(records, audit(records.values()), strict=True) if one.unknown} == {}
