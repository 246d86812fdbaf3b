"""From one's own store to the published one: whole rows of committed code, and nothing lost."""

from dataclasses import asdict, replace

import numpy as np
import pytest
from typer.testing import CliRunner

from genclust import cli
from genclust.experiments import declaration
from genclust.experiments.execution import Task
from genclust.experiments.publishing import NotWhole, keep, publish, release
from genclust.experiments.store import Record, Store, find
from genclust.settings import SettingError

ROW = declaration.load("simple-table1").row("proposed-mnist")
SEEDS = ROW.seeds("demo")
LEG = {"from_step": 0, "source": "0123456789ab", "beside": [0]}


def record(seed, score=50.0) -> Record:
    return Record(
        config=asdict(ROW.config("demo")),
        seed=seed,
        metrics={"test.acc_hungarian": score},
        curve=[],
        evaluations={"clustering": 1},
        failed_at_step=None,
        data={"name": "digits", "digest": "0" * 64, "variant": "", "sizes": {}},
        provenance={"source": "0123456789ab", "training": [LEG]},
        seconds=1.0,
    )


@pytest.fixture
def stores(tmp_path):
    own, published = Store(tmp_path / "own"), Store(tmp_path / "published")
    for seed in SEEDS:
        own.write(record(seed, 60.0), {"clusters_test": np.full(3, seed)})
    return own, published


def test_a_whole_row_is_copied_with_its_arrays_and_replaces_what_was_there(stores):
    own, published = stores
    published.write(record(0, 10.0), {})
    copied = publish(ROW, "demo", [own], published)
    assert [one.seed for one in copied] == SEEDS
    for seed in SEEDS:
        found = published.read(ROW.config("demo"), seed)
        assert found == own.read(ROW.config("demo"), seed)
        assert found.arrays()["clusters_test"].tolist() == [seed] * 3


def test_pictures_are_published_of_the_first_seed_alone_and_asked_of_no_other(stores, tmp_path):
    own, published = stores
    drawn = {"cluster_samples": np.zeros((2, 3), np.uint8), "style_transfers": np.ones((1, 2), np.uint8)}
    for seed in SEEDS:
        with_pictures = replace(record(seed), evaluations={"clustering": 1, "style": 1})
        own.write(with_pictures, drawn | {"clusters_test": np.full(3, seed)})
    publish(ROW, "demo", [own], published)
    first, *others = [published.read(ROW.config("demo"), seed) for seed in SEEDS]
    assert first.evaluations == {"clustering": 1, "style": 1}
    assert first.arrays().keys() == {*drawn, "clusters_test"}
    for one in others:
        assert one.evaluations == {"clustering": 1}
        assert one.arrays().keys() == {"clusters_test"}
    task = Task(ROW.config("demo"), SEEDS, ("clustering", "style"))
    assert find(task.config, SEEDS, [published], task.wanted).keys() == set(SEEDS)
    of_the_second = replace(task, seeds=SEEDS[1:2])  # whose pictures are then wanted, and are only in one's own store
    assert not find(task.config, SEEDS[1:2], [published], of_the_second.wanted)
    assert find(task.config, SEEDS[1:2], [published, own], of_the_second.wanted)
    waiting = Store(tmp_path / "waiting")
    second = own.read(ROW.config("demo"), SEEDS[1])
    waiting.write(second, second.arrays())
    release(waiting, published)
    assert not list(waiting.every())


def missing(own):
    own.read(ROW.config("demo"), SEEDS[-1]).path.unlink()


def unclean(own):
    own.write(replace(record(1), provenance={"source": "0123456789ab+changes"}), {})


def unclean_leg(own):
    legs = [LEG, LEG | {"source": "0123456789ab+changes"}]
    own.write(replace(record(1), provenance={"source": "0123456789ab", "training": legs}), {})


def without_a_revision(own):
    own.write(replace(record(1), provenance={"source": ""}), {})


def other_data(own):
    own.write(replace(record(1), data=record(1).data | {"digest": "1" * 64}), {})


@pytest.mark.parametrize(
    "spoil, why",
    [
        (missing, f"lacks seed {SEEDS[-1]}"),
        (unclean, "Seed 1 .* code that is not committed"),
        (unclean_leg, "Seed 1 .* code that is not committed"),
        (without_a_revision, "Seed 1 .* code that is not committed"),
        (other_data, "different data"),
    ],
)
def test_a_row_that_is_not_whole_and_clean_is_refused_whole(stores, spoil, why):
    own, published = stores
    spoil(own)
    with pytest.raises(SettingError, match=why):
        publish(ROW, "demo", [own], published)
    assert not published.folder.exists()


def test_no_evaluation_is_lost(stores):
    own, published = stores
    published.write(replace(record(2), evaluations={"clustering": 1, "neighbours": 1}), {})
    with pytest.raises(SettingError, match=r"seed 2 .* also has neighbours"):
        publish(ROW, "demo", [own], published)
    assert published.read(ROW.config("demo"), 0) is None


def test_a_row_is_made_whole_by_seeds_of_several_stores_and_those_that_are_published(stores, tmp_path):
    own, published = stores
    waiting = Store(tmp_path / "waiting")
    for seed, place in ((0, published), (1, waiting)):
        record = own.read(ROW.config("demo"), seed)
        place.write(record, record.arrays())
        own.delete(record)
    copied = publish(ROW, "demo", [own, waiting], published)
    assert [record.seed for record in copied] == SEEDS[1:]
    assert [published.read(ROW.config("demo"), seed).seed for seed in SEEDS] == SEEDS
    with pytest.raises(SettingError, match=r"is published already, and nothing new is there; .* with --anew"):
        publish(ROW, "demo", [Store(tmp_path / "empty")], published)


def test_finished_seeds_wait_for_their_row_until_it_is_published(stores, tmp_path):
    own, published = stores
    waiting = Store(tmp_path / "waiting")
    unclean(own)
    missing(own)
    kept = keep(own, published, waiting)
    assert sorted(record.seed for record in kept) == [seed for seed in SEEDS[:-1] if seed != 1]
    assert waiting.read(ROW.config("demo"), 2).arrays()["clusters_test"].tolist() == [2] * 3
    assert keep(own, published, waiting) == []
    for seed in SEEDS:
        own.write(record(seed), {"clusters_test": np.full(3, seed)})
    release(waiting, published)
    assert len(list(waiting.every())) == len(kept)
    publish(ROW, "demo", [own, waiting], published)
    release(waiting, published)
    assert not list(waiting.folder.iterdir())


def test_a_waiting_seed_with_more_evaluations_than_the_published_one_is_not_lost(stores, tmp_path):
    own, published = stores
    waiting = Store(tmp_path / "waiting")
    published.write(record(0), {})
    own.write(replace(record(0), evaluations={"clustering": 1, "neighbours": 1}), {})
    assert 0 in {one.seed for one in keep(own, published, waiting)}
    release(waiting, published)
    assert waiting.read(ROW.config("demo"), 0).evaluations == {"clustering": 1, "neighbours": 1}


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command on an experiment of three rows with stores of the test's own: whole, lacking a seed, not begun."""
    own, published = Store(tmp_path / "own"), Store(tmp_path / "published")
    monkeypatch.setattr(cli.store, "published", lambda: published)
    monkeypatch.setattr(cli.store, "waiting", lambda: Store(tmp_path / "waiting"))
    table = declaration.load("simple-figure3")
    for row, lacking in zip(table.runnable[:2], (0, 1), strict=True):
        for seed in row.seeds("demo")[lacking:]:
            own.write(replace(record(seed), config=asdict(row.config("demo"))), {})

    def invoke(*rows):
        chosen = [part for name in rows for part in ("--row", name)]
        arguments = ["publish", "simple-figure3", "--profile", "demo", "--store", str(own.folder), *chosen]
        return CliRunner().invoke(cli.app, arguments, env={"COLUMNS": "200"})

    return invoke, own, published, [row.name for row in table.runnable]


def test_without_rows_those_that_are_not_whole_are_skipped_and_named(command):
    invoke, _, published, (whole, lacking, *others) = command
    result = invoke()
    assert result.exit_code == 0, result.stderr
    assert len(list(published.every())) == len(declaration.load("simple-figure3").row(whole).seeds("demo"))
    skipped = [line for line in result.stdout.splitlines() if line.startswith("Skipped")]
    assert [line.split()[1] for line in skipped] == [f"simple-figure3/{name}:" for name in (lacking, *others)]
    assert "lacks seed 0 of" in skipped[0]


@pytest.mark.parametrize("uncommitted", [False, True])
def test_nothing_is_copied_before_every_row_is_checked(command, uncommitted):
    """A named row that lacks a seed, or whose code is not committed, is refused before the whole one is copied."""
    invoke, own, published, (whole, second, *_) = command
    if uncommitted:
        row = declaration.load("simple-figure3").row(second)
        for seed in row.seeds("demo"):
            unclean = replace(record(seed), provenance={"source": "0123456789ab+changes", "training": []})
            own.write(replace(unclean, config=asdict(row.config("demo"))), {})
    result = invoke(*(() if uncommitted else (whole, second)))
    assert result.exit_code == 1 and ("not committed" if uncommitted else "lacks seed 0") in result.stderr
    assert not published.folder.exists()


def test_a_profile_that_a_row_lacks_leaves_it_incomplete(stores, monkeypatch):
    own, published = stores
    only_paper = replace(ROW, profiles={"paper": ROW.profiles["paper"]})
    with pytest.raises(NotWhole, match="proposed-mnist has no profile demo"):
        publish(only_paper, "demo", [own], published)
