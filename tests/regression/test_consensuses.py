"""The stored accuracies of consensuses are those of the published records; run as a script to measure them anew."""

import json
from functools import cache

import pytest

from genclust import data
from genclust.experiments.store import published
from genclust.pages import guide

PATH = published().folder / guide.CONSENSUSES
MEASURED = json.loads(PATH.read_text()) if PATH.exists() else {}


@cache
def with_data():
    """Configurations whose consensus needs data in files, by name."""
    found = {one.name: one for one in guide.configurations() if one.clusters is not None}
    return {name: one for name, one in found.items() if not guide._needs_no_file(one.records[0].data["name"])}


def test_every_published_configuration_with_clusters_has_its_consensus_measured():
    assert {name: guide._digests(one) for name, one in with_data().items()} == {
        name: entry["records"] for name, entry in MEASURED.items()
    }


@pytest.mark.data
@pytest.mark.parametrize("name", MEASURED)
def test_the_stored_accuracy_is_that_of_the_labels(name):
    one = with_data()[name]
    if data.verify(one.records[0].data["name"]).state == "missing":
        pytest.skip("the data are not in the data folder")
    assert guide.consensus_accuracy(one) == pytest.approx(MEASURED[name]["accuracy"], abs=1e-9)


if __name__ == "__main__":
    PATH.write_text(json.dumps(guide.measure_consensuses(with_data().values()), indent=1) + "\n")
