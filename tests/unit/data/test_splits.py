"""Which rows a run trains on, validates and tests on: from the declared fractions and seed, and no row twice."""

from dataclasses import replace

import numpy as np
import pytest

from genclust.data import DataError, DataSet, Split
from genclust.data.base import whole_groups
from genclust.experiments import declaration, execution

ROW = declaration.load("simple-table1").row("proposed-mnist")


def rows(numbers) -> Split:
    """Rows that say which they are, and so do their labels."""
    numbers = np.asarray(numbers)
    return Split(numbers[:, None].astype(np.float32), numbers % 7)


@pytest.mark.parametrize(("n", "fraction", "held"), [(20, 0.3, 6), (25, 0.5, 12), (10, 0.27, 3), (10, 0.06, 1)])
@pytest.mark.parametrize("seed", [0, 5])
def test_what_is_held_out_are_the_last_rows_of_a_random_order(n, fraction, held, seed):
    """Of NumPy's own permutation, with ties rounded to even; both parts in the order that the rows had."""
    parts = DataSet("one", {"train": rows(range(n))}).hold_out("new", fraction, seed).splits
    order = np.random.default_rng(seed).permutation(n)
    assert parts["new"].x[:, 0].tolist() == sorted(order[n - held :].tolist())
    assert parts["train"].x[:, 0].tolist() == sorted(order[: n - held].tolist())
    assert parts["train"].y.tolist() == [int(i) % 7 for i in parts["train"].x[:, 0]]


@pytest.mark.parametrize(
    ("fraction", "fault"),
    [
        (0.0, "is none; set data.new_fraction to 0.1 or more"),
        (0.05, "is none; set data.new_fraction to 0.1 or more"),  # half a row, rounded to the even 0
        (0.95, "is all of them; set data.new_fraction to less"),  # nine and a half, to the even 10
        (1.0, "is all of them; set data.new_fraction to less"),
    ],
)
def test_no_part_may_be_empty(fraction, fault):
    with pytest.raises(DataError, match=f"{fraction:g} of the 10 training rows of one {fault}"):
        DataSet("one", {"train": rows(range(10))}).hold_out("new", fraction, 0)


@pytest.mark.parametrize("seed", [0, 3])
def test_groups_of_rows_are_held_out_whole(seed):
    """Exactly as many rows where there are groups of one; the groups in a random order, the train rows in their own."""
    groups = np.array([7, 3, 3, 3, 3, 9, 7, 7, 1, 12, 15, 15, 20, 21, 22, 1, 30, 30, 31, 32])
    data = DataSet("one", {"train": replace(rows(range(20)), groups=groups)})
    parts = data.hold_out("new", 0.25, seed).splits
    held = [set(part.groups) for part in parts.values()]
    assert len(parts["new"]) == 5 and not held[0] & held[1]
    for part in parts.values():
        assert part.x[:, 0].tolist() == sorted(part.x[:, 0])
        assert np.array_equal(part.groups, groups[part.x[:, 0].astype(int)])
    every = [data.hold_out("new", 0.25, s).splits["new"].x[:, 0].tolist() for s in range(8)]
    assert every[seed] == parts["new"].x[:, 0].tolist() and len(set(map(tuple, every))) > 4


def test_groups_are_taken_in_order_where_they_fit():
    groups = np.array([5, 5, 2, 8, 8, 8, 2])
    assert whole_groups(groups, np.array([2, 0, 1]), 4).tolist() == [3, 4, 5]  # 8, and neither 2 nor 5 fits any more
    assert whole_groups(groups, np.array([0, 1, 2]), 4).tolist() == [0, 1, 2, 6]
    assert whole_groups(groups, np.array([2, 1, 0]), 1).tolist() == []


def test_groups_are_part_of_what_a_digest_is_of_and_stay_with_rows_that_join():
    part = replace(rows(range(4)), groups=np.array([1, 1, 2, 3]))
    grouped, plain = (DataSet("one", {"train": p, "extra": p}) for p in (part, rows(range(4))))
    assert grouped.digest() != plain.digest()
    assert grouped.join("extra").splits["train"].groups.tolist() == [1, 1, 2, 3] * 2
    assert plain.join("extra").splits["train"].groups is None


@pytest.mark.parametrize("seed", [0, 3])
def test_a_run_splits_by_the_declared_seed(seed, tmp_path):
    """A tenth for tests first, then a fifth of what is left for validation, each from a permutation of that seed."""
    x = np.arange(100, dtype=np.float32)[:, None] / 100
    np.savez(tmp_path / "own.npz", x_train=x, y_train=np.arange(100) % 10)
    settings = {"name": str(tmp_path / "own.npz"), "test_fraction": 0.1, "validation_fraction": 0.2, "split_seed": seed}
    data, _ = execution.prepare(ROW.config("demo", {"data": settings}))
    found = {name: np.rint(100 * split.x[:, 0]).astype(int).tolist() for name, split in data.splits.items()}
    first = np.random.default_rng(seed).permutation(100)
    left = np.sort(first[:90])
    second = np.random.default_rng(seed).permutation(90)
    assert found["test"] == sorted(first[90:].tolist())
    assert found["validation"] == sorted(left[second[72:]].tolist())
    assert found["train"] == sorted(left[second[:72]].tolist())
    assert sorted(i for part in found.values() for i in part) == list(range(100))


def test_a_given_test_split_is_not_drawn_anew(tmp_path):
    x = np.arange(60, dtype=np.float32)[:, None] / 60
    np.savez(tmp_path / "own.npz", x_train=x[:50], y_train=np.arange(50) % 10, x_test=x[50:], y_test=np.arange(10))
    settings = {"name": str(tmp_path / "own.npz"), "test_fraction": 0.2, "validation_fraction": 0.2}
    data, _ = execution.prepare(ROW.config("demo", {"data": settings}))
    assert np.array_equal(data.splits["test"].x, x[50:])
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 40, "validation": 10, "test": 10}


def test_a_split_that_joins_the_training_split_is_no_split_any_more(tmp_path):
    """Its rows come behind those of the training split, before anything is held out, and are scored no more."""
    x = np.arange(60, dtype=np.float32)[:, None] / 60
    parts = {"train": slice(0, 30), "extra": slice(30, 50), "test": slice(50, 60)}
    splits = {name: Split(x[part], np.arange(60)[part] % 10) for name, part in parts.items()}
    joined = DataSet("three", splits).join("extra")
    assert set(joined.splits) == {"train", "test"}
    assert np.array_equal(joined.splits["train"].x, x[:50])
    assert joined.splits["train"].y.tolist() == [i % 10 for i in range(50)]
    assert np.array_equal(joined.splits["test"].x, x[50:])
