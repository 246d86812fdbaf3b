"""A record is believed only where it is that of the run asked for."""

from dataclasses import asdict, replace

import pytest

from genclust.experiments.configuration import RunConfig
from genclust.experiments.store import Record, Store, StoreError, find

CONFIG = RunConfig({"name": "digits"}, {"name": "gumbel"}, {"epochs": 1})
DATA = {"name": "digits", "digest": "0" * 64, "variant": "", "sizes": {}}


def record(seed: int, *evaluations: str) -> Record:
    revisions = dict.fromkeys(evaluations, 1)
    return Record(asdict(CONFIG), seed, {"test.acc_hungarian": 1.0}, [], revisions, None, DATA, {}, 1.0)


def test_a_record_of_another_seed_under_this_ones_name_is_refused(tmp_path):
    """As it comes about where somebody copies or renames a file."""
    store = Store(tmp_path)
    path = store.write(record(3), {}).path
    path.with_name(path.name.replace("3", "4")).write_text(path.read_text())
    assert store.read(CONFIG, 3).seed == 3
    with pytest.raises(StoreError, match="another run than its name says; delete it"):
        store.read(CONFIG, 4)


def test_a_record_of_another_configuration_under_this_ones_name_is_refused(tmp_path):
    store = Store(tmp_path)
    path = store.write(record(3), {}).path
    other = RunConfig(CONFIG.data, CONFIG.model, {"epochs": 2})
    store.write(replace(record(3), config=asdict(other)), {}).path.rename(path)
    with pytest.raises(StoreError, match="another run than its name says; delete it"):
        store.read(CONFIG, 3)


def test_only_records_with_all_evaluations_are_found(tmp_path):
    store, other = Store(tmp_path / "a"), Store(tmp_path / "b")
    store.write(record(0, "clustering"), {})
    other.write(record(0, "clustering", "units"), {})
    other.write(record(1, "units"), {})
    one, both = {"clustering": 1}, {"clustering": 1, "units": 1}
    assert find(CONFIG, [0, 1], [store, other], lambda seed: one)[0].evaluations == one
    assert find(CONFIG, [0, 1], [store, other], lambda seed: both)[0].evaluations == both
    assert find(CONFIG, [0, 1], [store, other], lambda seed: one).keys() == {0}
    assert find(CONFIG, [0, 1], [store, other]).keys() == {0, 1}


def test_the_order_of_settings_does_not_make_another_run(tmp_path):
    """The address is of their values; a record is found however its settings were put together."""
    one = RunConfig({"name": "digits", "split_seed": 1}, {"name": "gumbel", "a": 1, "b": {"c": 2, "d": 3}}, {})
    same = RunConfig({"split_seed": 1, "name": "digits"}, {"b": {"d": 3, "c": 2}, "a": 1, "name": "gumbel"}, {})
    other = RunConfig({"name": "digits", "split_seed": 2}, one.model, {})
    assert one.address == same.address != other.address
    store = Store(tmp_path)
    store.write(replace(record(0), config=asdict(one)), {})
    assert store.read(same, 0) is not None and store.read(other, 0) is None
