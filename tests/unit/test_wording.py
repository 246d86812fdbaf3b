"""The words that messages share."""

import pytest

from genclust.wording import did_you_mean, first_few, quoted, signed, with_sd


@pytest.mark.parametrize(
    ("cutoff", "otherwise", "said"),
    [
        (0.65, ".", "; did you mean 'colour'?"),
        (0.95, ".", "."),
        (0.95, ", and none is near.", ", and none is near."),
    ],
)
def test_an_unknown_name_is_answered_by_the_nearest_or_by_what_is_to_be_said_otherwise(cutoff, otherwise, said):
    assert did_you_mean("color", iter(["flavour", "colour", "size"]), cutoff, otherwise) == said


def test_among_no_names_none_is_near():
    assert did_you_mean("color", [], cutoff=0) == "."


def test_of_many_items_the_first_four_are_named():
    assert first_few([1, "two"]) == "'1', 'two'"
    assert first_few(range(6)) == "'0', '1', '2', '3' and 2 more"


def test_a_long_text_is_quoted_without_its_middle():
    assert quoted("short") == "'short'"
    long = quoted("begin " + 100 * "x" + " end")
    assert len(long) == 80 and long.startswith("'begin x") and long.endswith("x end'") and "..." in long


def test_numbers_have_a_minus_sign_and_zero_has_none():
    assert [signed(value) for value in (-1.5, 2.005, -0.001)] == ["−1.50", "2.00", "0.00"]
    assert with_sd(-84.123, 1.3) == "−84.12 ± 1.30" and with_sd(-84.123, 1.3, 0) == "−84 ± 1"
    assert with_sd(7.0, None, 1) == "7.0" and with_sd(None, None) == "–"
