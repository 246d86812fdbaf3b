"""Records: whole or absent, whoever writes."""

import json
import multiprocessing
import os
import re
import resource
import signal
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest

from genclust.experiments.configuration import RunConfig
from genclust.experiments.store import Record, Store, StoreError, find, to_write
from genclust.paths import prepared

CONFIG = RunConfig({"name": "digits"}, {"name": "gumbel", "hidden": [3]}, {"epochs": 1})


def record(seed: int, value: float = 1.0) -> Record:
    return Record(
        config=asdict(CONFIG),
        seed=seed,
        metrics={"test.acc_hungarian": value},
        curve=[{"epoch": 1, "loss": 2.0}],
        evaluations={"clustering": 1},
        failed_at_step=None,
        data={"name": "digits", "digest": "0" * 64, "variant": "", "sizes": {}},
        provenance={},
        seconds=1.0,
    )


@pytest.fixture(scope="module")
def processes():
    """Starter of processes that have imported the store already."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["genclust.experiments.store"])
    return context


def test_what_is_written_is_read(tmp_path):
    store = Store(tmp_path)
    written = store.write(record(4, 87.5), {"a": np.arange(3)})
    read = store.read(CONFIG, 4)
    assert read == written
    assert read.arrays()["a"].tolist() == [0, 1, 2]
    assert store.read(CONFIG, 5) is None
    assert store.read(RunConfig({"name": "digits"}, {"name": "gumbel", "hidden": [4]}, {"epochs": 1}), 4) is None


def write_with_a_limit(folder, new: Record, arrays, most: int) -> None:
    """Write a record; the system kills the process in the middle of a file that becomes longer than ``most`` bytes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it
    Store(folder).write(new, arrays)


@pytest.mark.slow
@pytest.mark.parametrize("killed_in", ["arrays", "record"])
def test_a_process_that_is_killed_in_the_middle_of_a_file_leaves_the_old_record(tmp_path, processes, killed_in):
    n_values, n_epochs = (20_000, 1) if killed_in == "arrays" else (1, 2_000)
    arrays = {"noise": np.random.default_rng(0).random(n_values)}
    curve = [{"epoch": epoch, "loss": 2.0} for epoch in range(n_epochs)]
    store = Store(tmp_path)
    path = store.write(replace(record(0, 1.0), curve=curve), arrays).path
    short, long = sorted((path, path.with_suffix(".npz")), key=lambda file: file.stat().st_size)
    assert 4 * short.stat().st_size < long.stat().st_size and (long == path) == (killed_in == "record")
    most = long.stat().st_size // 2
    new = replace(record(0, 2.0), curve=curve)
    writer = processes.Process(target=write_with_a_limit, args=(tmp_path, new, {"noise": -arrays["noise"]}, most))
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGXFSZ
    kept = store.read(CONFIG, 0)
    assert kept.metrics == {"test.acc_hungarian": 1.0} and (kept.arrays()["noise"] == arrays["noise"]).all()


def write_and_pause(folder, value: float, begins, between, go_on) -> None:
    """Write a record, and wait between the renaming of its arrays and that of the record itself."""
    renamed = []

    def wait(event: str, arguments) -> None:
        if event == "os.rename":
            renamed.append(arguments[1])
            if len(renamed) == 2:
                between.set()
                go_on.wait()

    sys.addaudithook(wait)
    begins.set()
    Store(folder).write(record(0, value), {"big": np.full(9, value)})


@pytest.mark.slow
def test_of_two_writers_one_waits_until_the_other_has_written_both_files(tmp_path, processes):
    begins, between, go_on, never = (processes.Event() for _ in range(4))
    first = processes.Process(target=write_and_pause, args=(tmp_path, 1.0, never, between, go_on))
    first.start()
    between.wait()
    second = processes.Process(target=write_and_pause, args=(tmp_path, 2.0, begins, never, begins))
    second.start()
    begins.wait()
    second.join(timeout=1)  # without a lock it renames its arrays in this time, and they come under the first record
    go_on.set()
    for writer in (first, second):
        writer.join()
        assert writer.exitcode == 0
    kept = Store(tmp_path).read(CONFIG, 0)
    assert kept.metrics == {"test.acc_hungarian": 2.0} and set(kept.arrays()["big"]) == {2.0}


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


@pytest.mark.parametrize("kept", ["results", "waiting"])
def test_a_damaged_record_of_the_repository_is_had_back_from_it(tmp_path, monkeypatch, kept):
    monkeypatch.setattr("genclust.experiments.store.root", lambda: tmp_path)
    store = Store(tmp_path / kept)
    path = store.write(record(0), {"a": np.zeros(3)}).path
    path.with_suffix(".npz").unlink()
    with pytest.raises(StoreError, match=r"cannot be read .*; get it back with git restore "):
        store.read(CONFIG, 0).arrays()
    path.write_text("{")
    with pytest.raises(StoreError, match=r"is damaged .*; get it back with git restore "):
        store.read(CONFIG, 0)


def test_what_to_do_where_arrays_are_missing(tmp_path):
    store = Store(tmp_path)
    path = store.write(record(0), {"a": np.zeros(3)}).path
    path.with_suffix(".npz").unlink()
    with pytest.raises(StoreError, match=re.escape(f"; delete {path} and run it anew.")):
        store.read(CONFIG, 0).arrays()


def test_there_is_no_store_in_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "store"):
        with pytest.raises(StoreError, match=re.escape(f"as {tmp_path / 'file'} is a file; give a folder")):
            to_write(folder)
    assert to_write(tmp_path / "new" / "store") == Store(tmp_path / "new" / "store")


def test_a_record_of_another_configuration_is_refused(tmp_path):
    store = Store(tmp_path)
    path = store.write(record(0), {}).path
    other = RunConfig({"name": "digits"}, {"name": "gumbel", "hidden": [99]}, {"epochs": 1})
    written = Store(tmp_path).write(replace(record(0), config=asdict(other)), {})
    written.path.rename(path)
    with pytest.raises(StoreError, match="another run than its name says"):
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


def spoiled(content, *place_and_value):
    *place, last, value = place_and_value
    for key in place:
        content = content[key]
    content[last] = value


@pytest.mark.parametrize(
    "damage, why",
    [
        (("metrics", "test.acc_hungarian", float("nan")), "it holds NaN"),
        (("metrics", "test.acc_hungarian", float("inf")), "it holds Infinity"),
        (("metrics", "test.acc_hungarian", 250), "test.acc_hungarian is 250 per cent"),
        (("metrics", "test.nmi_geometric", -3), "test.nmi_geometric is -3 per cent"),
        (("metrics", "test.knn_error_x_hat_3", 100.5), "100.5 per cent"),
        (("metrics", "test.ari", -101), "test.ari is -101 per cent"),
        (("metrics", "test.acc_hungarian", "50"), "test.acc_hungarian is '50'"),
        (("metrics", "test.acc_hungarian", True), "test.acc_hungarian is True"),
        (("metrics", []), "its metrics is"),
        (("curve", [3]), "a point of its curve is 3"),
        (("curve", [{"epoch": None}]), "its epoch is None"),
        (("curve", {}), "its curve is"),
        (("seed", "0"), "its seed is '0'"),
        (("seconds", None), "its seconds is None"),
        (("failed_at_step", 2.5), "its failed_at_step is 2.5"),
        (("evaluations", ["clustering"]), "its evaluations is"),
        (("evaluations", {"clustering": "1"}), "no revisions"),
        (("config", {}), "its config is not one"),
        (("data", {}), "its data lacks"),
        (("provenance", None), "its provenance is None"),
        (("surplus", 1), "unexpected keyword"),
    ],
    ids=str,
)
def test_a_record_with_impossible_content_says_so(tmp_path, damage, why):
    path = Store(tmp_path).write(record(0), {}).path
    content = json.loads(path.read_text())
    spoiled(content, *damage)
    path.write_text(json.dumps(content))
    for read in (lambda: Store(tmp_path).read(CONFIG, 0), lambda: list(Store(tmp_path).every())):
        with pytest.raises(StoreError, match=re.escape(why)):
            read()


def test_a_negative_rand_index_and_a_log_likelihood_are_no_faults(tmp_path):
    metrics = {"test.ari": -5.0, "test.log_likelihood": -250.0, "test.acc_hungarian": 100.0}
    written = Store(tmp_path).write(replace(record(0), metrics=metrics), {})
    assert Store(tmp_path).read(CONFIG, 0) == written


def test_a_loop_of_links_says_so(tmp_path):
    path = Store(tmp_path).write(record(0), {}).path
    path.unlink()
    path.symlink_to(path.name)
    with pytest.raises(StoreError, match="cannot be read"):
        Store(tmp_path).read(CONFIG, 0)


def test_a_record_of_another_seed_is_refused(tmp_path):
    path = Store(tmp_path).write(record(0), {}).path
    path.rename(path.with_name("seed-0001.json"))
    with pytest.raises(StoreError, match="another run than its name says"):
        Store(tmp_path).read(CONFIG, 1)
    with pytest.raises(StoreError, match="another run than its name says"):
        list(Store(tmp_path).every())


def test_what_a_killed_write_left_is_removed_by_the_next_one_an_hour_later(tmp_path):
    path = Store(tmp_path).write(record(0), {}).path
    old, young = path.with_name(".seed-0000.json.abc"), path.with_name(".seed-0000.npz.def")
    of_a_model = path.with_name(".seed-0000.model-ghi")
    of_a_model.mkdir()
    for left in (old, young, of_a_model / "weights"):
        left.touch()
    for left in (old, of_a_model):
        os.utime(left, (0, 0))
    Store(tmp_path).write(record(0), {})
    assert not old.exists() and not of_a_model.exists() and young.exists()


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_a_record_that_cannot_be_written_whole_leaves_the_old_one(tmp_path, monkeypatch, suffix):
    """The disk is full when the arrays are written, or the record; no new arrays may lie beside the old record."""
    store = Store(tmp_path)
    store.write(record(0, 1.0), {"clusters_test": np.zeros(3)})

    def full(path, content):
        if path.suffix == suffix:
            raise OSError(28, "No space left on device", str(path))
        return prepared(path, content)

    monkeypatch.setattr("genclust.experiments.store.prepared", full)
    with pytest.raises(OSError, match="No space"):
        store.write(record(0, 2.0), {"clusters_test": np.ones(3)})
    kept = store.read(CONFIG, 0)
    assert kept.metrics == {"test.acc_hungarian": 1.0} and kept.arrays()["clusters_test"].tolist() == [0, 0, 0]
    assert len(list(kept.path.parent.iterdir())) == 2


def test_records_of_another_revision_of_an_evaluation_do_not_count(tmp_path):
    store = Store(tmp_path)
    store.write(replace(record(0), evaluations={"clustering": 1, "neighbours": 2}), {})
    assert set(find(CONFIG, [0], [store], lambda seed: {"clustering": 1, "neighbours": 2})) == {0}
    assert not find(CONFIG, [0], [store], lambda seed: {"clustering": 2})
    assert not find(CONFIG, [0], [store], lambda seed: {"units": 1})


def test_no_arrays_of_a_former_record_are_left_beside_one_without(tmp_path):
    store = Store(tmp_path)
    path = store.write(record(0), {"clusters_test": np.zeros(3)}).path
    assert path.with_suffix(".npz").exists()
    store.write(record(0), {})
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_changed_digit_is_noticed(tmp_path):
    path = Store(tmp_path).write(record(0, 87.5), {}).path
    path.write_text(path.read_text().replace("87.5", "88.5"))
    with pytest.raises(StoreError, match="changed after it was written"):
        Store(tmp_path).read(CONFIG, 0)


@pytest.mark.parametrize("change", ["another", "missing", "flipped"])
def test_arrays_that_are_not_those_of_the_record_are_noticed(tmp_path, change):
    store = Store(tmp_path)
    mine, others = (store.write(record(seed), {"a": np.arange(10) + seed}) for seed in (0, 1))
    path = mine.path.with_suffix(".npz")
    if change == "another":
        others.path.with_suffix(".npz").replace(path)
    elif change == "missing":
        path.unlink()
    else:
        path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    with pytest.raises(StoreError, match=r"arrays .* run"):
        store.read(CONFIG, 0).arrays()
