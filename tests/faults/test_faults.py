"""The list of faults does not rot: each can still be made, and the tests that should notice it are there."""

from dataclasses import replace
from pathlib import Path

import pytest
from check import SOURCE, UNIT, Fault, faults

FAULTS = faults()


def test_every_fault_can_still_be_made():
    for fault in FAULTS:
        assert fault.after in fault.applied(SOURCE)


def test_no_fault_stands_in_the_list_twice():
    assert len({(f.file, f.before, f.after) for f in FAULTS}) == len(FAULTS) >= 100


def test_every_fault_says_why_it_matters_and_which_tests_should_notice():
    for fault in FAULTS:
        assert fault.why.endswith(".") and fault.tests, fault
        for test in fault.tests:
            file, _, name = test.partition("::")
            assert (UNIT / file).is_file(), test
            assert not name or f"def {name}(" in (UNIT / file).read_text(encoding="utf-8"), test


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"before": "x * 3"}, "not 0 times"),
        ({"before": "x"}, "not 3 times"),
        ({"after": "x + 1"}, "nothing would change"),
        ({"after": "x +"}, "no Python"),
    ],
)
def test_a_fault_that_cannot_be_made_is_refused(tmp_path: Path, changes: dict[str, str], message: str):
    (tmp_path / "genclust").mkdir()
    (tmp_path / "genclust" / "some.py").write_text("def f(x):\n    return x + 1, x\n")
    fault = Fault("some.py", "x + 1", "x - 1", "A sign.", ("test_streams.py",))
    assert fault.applied(tmp_path) == "def f(x):\n    return x - 1, x\n"
    with pytest.raises(ValueError, match=message):
        replace(fault, **changes).applied(tmp_path)
