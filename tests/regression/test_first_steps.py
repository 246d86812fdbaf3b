"""The first numbers of every declared run are those that are stored; see ``first_steps.py``."""

import json

import first_steps
import pytest

from genclust.data import DataError

STORED = json.loads(first_steps.STORED.read_text())


def check(row: str, profile: str) -> None:
    stored = STORED[profile]
    config = first_steps.configuration(row, profile)
    new = first_steps.first_numbers(row, profile)
    moved = [str(each) for each in first_steps.comparisons(config, stored["rows"][row], new) if not each.holds]
    assert not moved, "\n".join(
        [f"{row} ({profile})", *moved, f"stored from {stored['made_on']}", f"now on {first_steps.processor()}"]
    )


def test_every_distinct_demo_configuration_is_stored():
    """After a row was added: python tests/regression/first_steps.py."""
    stored = {first_steps.configuration(row, "demo").address for row in STORED["demo"]["rows"]}
    declared = {config.address for config in first_steps.distinct("demo").values()}
    assert stored == declared


@pytest.mark.parametrize("row", STORED["demo"]["rows"])
def test_first_numbers_of_a_demo_run(row):
    check(row, "demo")


@pytest.mark.data
@pytest.mark.parametrize(
    ("profile", "row"), [(profile, row) for profile in ("quick", "paper") for row in STORED[profile]["rows"]]
)
def test_first_numbers_on_real_data(profile, row):
    try:
        first_steps.data_of(first_steps.configuration(row, profile))
    except DataError as error:
        pytest.skip(str(error))
    check(row, profile)
