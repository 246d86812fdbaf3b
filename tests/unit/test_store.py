"""Records: whole or absent, whoever writes."""

import json
import multiprocessing
from dataclasses import asdict

import numpy as np
import pytest

from genclust.experiments.declaration import RunConfig
from genclust.experiments.store import Record, Store, StoreError, find

CONFIG = RunConfig({"name": "digits"}, {"name": "gumbel", "hidden": [3]}, {"epochs": 1})


def record(seed: int, value: float = 1.0) -> Record:
    return Record(
        config=asdict(CONFIG),
        seed=seed,
        metrics={"test.acc_hungarian": value},
        curve=[{"epoch": 1, "loss": 2.0}],
        evaluations={"clustering": 1},
        failed_at_step=None,
        data={"name": "digits"},
        provenance={},
        seconds=1.0,
    )


def write_many(folder, value: float) -> None:
    store = Store(folder)
    for i in range(24):
        store.write(record(i % 3, value), {"big": np.full(20_000, value)})


def test_what_is_written_is_read(tmp_path):
    store = Store(tmp_path)
    written = store.write(record(4, 87.5), {"a": np.arange(3)})
    read = store.read(CONFIG, 4)
    assert read == written
    assert read.arrays()["a"].tolist() == [0, 1, 2]
    assert store.read(CONFIG, 5) is None
    assert store.read(RunConfig({"name": "digits"}, {"name": "gumbel", "hidden": [4]}, {"epochs": 1}), 4) is None


def test_concurrent_writers_leave_only_whole_records(tmp_path):
    """Two processes write the same records; a reader beside them never sees half of one."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(tmp_path, value)) for value in (1.0, 2.0)]
    for writer in writers:
        writer.start()
    store, seen = Store(tmp_path), 0
    while any(writer.is_alive() for writer in writers):
        for seed in range(3):
            found = store.read(CONFIG, seed)
            if found is not None:
                assert found.metrics["test.acc_hungarian"] in (1.0, 2.0)
                assert set(found.arrays()["big"]) <= {1.0, 2.0}
                seen += 1
    assert seen > 5
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert len(list(tmp_path.rglob("*"))) == 1 + 3 * 2  # the folder, three records with their arrays, no leftovers


def test_an_interrupted_write_leaves_the_old_record(tmp_path):
    store = Store(tmp_path)
    store.write(record(0, 1.0), {})
    with pytest.raises(ValueError, match="JSON"):
        store.write(record(0, float("nan")), {})
    assert store.read(CONFIG, 0).metrics == {"test.acc_hungarian": 1.0}
    assert len(list(tmp_path.rglob("*"))) == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"seed": 1}'])
def test_a_damaged_record_says_so(tmp_path, damage):
    store = Store(tmp_path)
    path = store.write(record(0), {}).path
    path.write_text(damage)
    with pytest.raises(StoreError, match="delete it"):
        store.read(CONFIG, 0)


def test_a_record_of_another_configuration_is_refused(tmp_path):
    store = Store(tmp_path)
    path = store.write(record(0), {}).path
    content = json.loads(path.read_text())
    content["config"]["model"]["hidden"] = [99]
    path.write_text(json.dumps(content))
    with pytest.raises(StoreError, match="another configuration"):
        store.read(CONFIG, 0)


def test_damaged_arrays_say_so(tmp_path):
    written = Store(tmp_path).write(record(0), {"a": np.arange(1000)})
    path = written.path.with_suffix(".npz")
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(StoreError, match="damaged"):
        written.arrays()


def test_earlier_stores_go_first(tmp_path):
    first, second = Store(tmp_path / "a"), Store(tmp_path / "b")
    first.write(record(0, 1.0), {})
    second.write(record(0, 2.0), {})
    second.write(record(1, 3.0), {})
    found = find(CONFIG, [0, 1, 2], [first, second])
    assert {seed: r.metrics["test.acc_hungarian"] for seed, r in found.items()} == {0: 1.0, 1: 3.0}
