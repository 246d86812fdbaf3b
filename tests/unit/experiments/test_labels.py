"""Labels: which are drawn, what is refused, what a step is told, and that no other label reaches training.

And factors, which are further labels that go with the rows wherever these go.
"""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from genclust.data import DataError, DataSet, Split
from genclust.data.catalogue import check
from genclust.experiments import declaration, execution, training_run, workers
from genclust.experiments.training_run import TrainingRun
from genclust.models.cagem import CaGeM, CaGeMSettings
from genclust.settings import SettingError
from genclust.training.loop import Training, TrainingSettings
from genclust.training.schedules import Schedule

CAGEM = declaration.load("cagem-table1").row("cagem-100")
SMALL = {"model": {"hidden": 12, "z1_dim": 4, "z2_dim": 2}, "training": {"epochs": 1}}
Y = np.repeat([0, 1, 2], [9, 5, 26])[np.random.default_rng(0).permutation(40)]
X = np.arange(40, dtype=np.float32)[:, None]  # a row says which it is
DATA = DataSet("three", {"train": Split(X, Y), "test": Split(X[:7], Y[:7])})


# ---- which labels


def test_as_many_rows_of_each_class_are_drawn_from_the_training_split():
    for seed in range(20):
        rows = DATA.labelled(15, seed)
        assert len(set(rows.tolist())) == 15
        assert np.bincount(Y[rows]).tolist() == [5, 5, 5]  # 5: all there are of class 1
    rows = execution.prepare(CAGEM.config("demo"))[0].labelled(100, 0)
    assert len(set(rows.tolist())) == 100
    assert rows.max() >= 1000  # of 1294, and not of the first ones


def test_the_rows_depend_on_the_seed_and_on_nothing_else():
    drawn = [DATA.labelled(6, seed).tolist() for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_every_row_of_a_class_is_drawn_as_often_as_the_others():
    """Over 4,000 seeds, within 4.5 standard errors of n / (classes × rows of the class)."""
    counts = np.zeros(40)
    for seed in range(4000):
        counts[DATA.labelled(6, seed)] += 1
    p = 2 / np.bincount(Y)[Y]
    assert (np.abs(counts / 4000 - p) < 4.5 * np.sqrt(p * (1 - p) / 4000)).all()


@pytest.mark.parametrize(
    ("n", "labels", "message"),
    [
        (10, Y, "10 labels cannot be drawn evenly from the 3 classes of three"),
        (2, Y, "2 labels cannot be drawn evenly from the 3 classes of three"),
        (18, Y, "A class of three has only 5 rows to train on; data.n_labels = 18 would take 6 .* set 15 or fewer"),
        (6, None, "The data set three has no labels"),
    ],
)
def test_labels_that_are_not_there_are_refused_with_a_cure(n, labels, message):
    data = replace(DATA, splits={"train": Split(X, labels)})
    with pytest.raises(DataError, match=message) as refused:
        data.labelled(n, 0)
    assert "data.n_labels" in str(refused.value)


def test_a_model_with_fewer_clusters_than_classes_is_refused():
    for enough in (10, 11):
        execution.prepare(CAGEM.config("demo", {"model": {"n_clusters": enough}}))
    with pytest.raises(DataError, match=r"10 classes, more than the 9 .* set model\.n_clusters to 10 or more"):
        execution.prepare(CAGEM.config("demo", {"model": {"n_clusters": 9}}))
    unlabelled = {"model": {"n_clusters": 9}, "data": {"n_labels": 0}}
    assert execution.prepare(CAGEM.config("demo", unlabelled))[0].name == "digits"


@pytest.mark.parametrize("y", [[0, 7], [1, 2]], ids=str)
def test_labels_that_name_no_cluster_of_the_model_are_refused(tmp_path, y):
    """Two classes and two clusters, but a label of 2 or 7: it would be looked up behind the last cluster."""
    x = np.random.default_rng(0).random((60, 5)).astype(np.float32)
    np.savez(tmp_path / "own.npz", x_train=x, y_train=np.resize(y, 60), x_test=1 - x, y_test=np.resize(y, 60))
    changes = {"data": {"name": str(tmp_path / "own.npz"), "n_labels": 10}, "model": {"n_clusters": 2}}
    with pytest.raises(DataError, match=r"set model\.n_clusters to"):
        execution.prepare(CAGEM.config("demo", changes))


@pytest.mark.parametrize(
    ("experiment", "name", "model"), [("simple-table1", "proposed-mnist", "gumbel"), ("cagem-others", "avae", "avae")]
)
def test_a_model_that_learns_without_labels_takes_none(experiment, name, model):
    row = declaration.load(experiment).row(name)
    with pytest.raises(SettingError, match=rf"The model {model} learns without labels; leave data\.n_labels at 0"):
        row.config("demo", {"data": {"n_labels": 10}})
    assert row.config("demo", {"data": {"n_labels": 0}}).hash == row.config("demo").hash


def test_each_seed_has_labels_of_its_own():
    config = CAGEM.config("demo", {"data": {"n_labels": 30}})
    data, _ = execution.prepare(config)
    rows, labels = training_run.labelled_rows(config, data, [4, 0, 7])
    assert rows.shape == labels.shape == (3, 30)
    for r, seed in enumerate((4, 0, 7)):
        assert torch.equal(training_run.labelled_rows(config, data, [seed])[0][0], rows[r])
        assert np.array_equal(data.splits["train"].y[rows[r]], labels[r])
        assert np.bincount(labels[r]).tolist() == [3] * 10
    assert not torch.equal(rows[0].sort().values, rows[1].sort().values)
    assert not torch.equal(rows[0].sort().values, rows[2].sort().values)
    assert training_run.labelled_rows(CAGEM.config("demo", {"data": {"n_labels": 0}}), data, [4]) is None


# ---- what a step is told


class Watched(CaGeM):
    """Remembers the labels that its loss was told."""

    def __init__(self, replicas: int) -> None:
        super().__init__(replicas, 9, CaGeMSettings(3, 2, 2, 6))
        self.told = []

    def loss(self, x, scheduled, noise, labelled=None):
        self.told.append(labelled)
        return super().loss(x, scheduled, noise, labelled)


def trained(known: int) -> tuple[Watched, torch.Tensor, torch.Tensor]:
    """After 40 steps on 400 examples, whose nine grey values are the binary digits of their number."""
    x = (np.arange(400)[:, None] >> np.arange(9) & 1).astype(np.uint8) * 255
    y = np.random.default_rng(0).integers(3, size=400)
    rows = np.stack([np.random.default_rng(seed).permutation(400)[:known] for seed in (1, 2)])
    schedules = {"learning_rate": Schedule.of(1e-3), "warm_up": Schedule.of(1.0)}
    model, settings = Watched(2), TrainingSettings(schedules, 2, 20)
    labelled = torch.from_numpy(rows), torch.from_numpy(y[rows])
    Training(model, [5, 6], torch.from_numpy(x), settings, labelled=labelled).run(lambda epoch: [{}, {}], [])
    assert len(model.told) == 40
    return model, torch.from_numpy(rows), torch.from_numpy(y)


def numbers(x: torch.Tensor) -> torch.Tensor:
    return (x * 2 ** torch.arange(9)).sum(-1).long()


def test_of_many_labelled_points_a_step_sees_a_hundred_at_random():
    """Each replica its own set's, with their labels, other ones every step, all of them equally often."""
    model, rows, y = trained(250)
    seen = torch.stack([numbers(labelled.x) for labelled in model.told])
    assert seen.shape == (40, 2, 100)
    assert torch.equal(y[seen], torch.stack([labelled.y for labelled in model.told]))
    assert {labelled.stands_for for labelled in model.told} == {400 / 250}
    for r in range(2):
        drawn, counts = seen[:, r].unique(return_counts=True)
        assert set(drawn.tolist()) <= set(rows[r].tolist())
        counts = torch.cat([counts, torch.zeros(250 - len(counts))])
        # χ² with 249 degrees of freedom has a standard deviation of 22
        assert float(((counts - 16) ** 2 / 16).sum()) == pytest.approx(249, abs=4.5 * 22)
        assert not torch.equal(seen[0, r].sort().values, seen[1, r].sort().values)


def test_of_few_labelled_points_every_step_sees_all():
    model, rows, y = trained(100)
    for labelled in model.told:
        assert torch.equal(numbers(labelled.x), rows)
        assert torch.equal(labelled.y, y[rows])
        assert labelled.stands_for == 4


# ---- which labels count


def permuted(data: DataSet, *splits: str) -> DataSet:
    rng = np.random.default_rng(0)
    changed = {name: replace(data.splits[name], y=rng.permutation(data.splits[name].y)) for name in splits}
    return replace(data, splits={**data.splits, **changed})


def test_a_test_or_validation_label_never_reaches_training(tmp_path, monkeypatch):
    """With these permuted every parameter and statistic is the same to the last bit; with training labels, not."""
    config = CAGEM.config("demo", SMALL)
    data, _ = execution.prepare(config)
    assert set(data.splits) == {"train", "validation", "test"}
    variants = {
        "true": data,
        "held out": permuted(data, "test", "validation"),
        "training": permuted(data, "train"),
    }
    states, curves = {}, {}
    for name, variant in variants.items():
        monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / name))  # no checkpoint to go on from
        with workers.in_process(progress=False) as watch:
            run = TrainingRun(config, [3], variant, watch)
            model, (state,) = run.train(), run.states()
        states[name] = {key: value.clone() for key, value in model.state_dict().items()}
        (curves[name],) = state["curve"]
    assert curves["true"]["acc_hungarian"] != curves["held out"]["acc_hungarian"]  # labels were permuted
    for key, value in states["true"].items():
        assert torch.equal(value, states["held out"][key]), key
    for key in ("q_y.heads.logits.weight", "p_y.heads.logits.weight", "p_x.second.weight", "q_z1.second.weight"):
        assert not torch.equal(states["true"][key], states["training"][key]), key


def test_only_the_labels_that_were_drawn_reach_training(tmp_path, monkeypatch):
    """Labels of all other training points permuted, nothing changes; the draw itself, which looks at them, is kept."""
    config = CAGEM.config("demo", SMALL)
    data, _ = execution.prepare(config)
    told = training_run.labelled_rows(config, data, [3])
    others = np.setdiff1d(np.arange(len(data.splits["train"])), told[0][0].numpy())
    y = data.splits["train"].y.copy()
    y[others] = np.random.default_rng(0).permutation(y[others])
    states = []
    monkeypatch.setattr(training_run, "labelled_rows", lambda *_: told)
    for labels in (data.splits["train"].y, y):
        monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / str(len(states))))
        variant = replace(data, splits={**data.splits, "train": replace(data.splits["train"], y=labels)})
        with workers.in_process(progress=False) as watch:
            states.append(TrainingRun(config, [3], variant, watch).train().state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


# ---- factors


def with_factors(n: int, *names: str, shift: int = 0) -> Split:
    """Rows that say which they are, and so do all their labels."""
    i = np.arange(shift, shift + n)
    return Split(i[:, None].astype(np.float32), i % 5, {name: 10 * i + k for k, name in enumerate(names)})


def assert_rows(split: Split, numbers: list[int], *names: str) -> None:
    assert split.x[:, 0].tolist() == numbers
    assert split.y.tolist() == [i % 5 for i in numbers]
    assert split.factors.keys() == set(names)
    for k, name in enumerate(names):
        assert split.factors[name].tolist() == [10 * i + k for i in numbers]
        assert split.factors[name].dtype == np.int64


def test_factors_go_with_their_rows():
    split = with_factors(9, "ink", "slant")
    assert_rows(split.rows(np.array([7, 0, 0, 3])), [7, 0, 0, 3], "ink", "slant")
    assert_rows(split.rows(np.arange(9) > 6), [7, 8], "ink", "slant")
    without = Split(split.x, None).rows(np.array([2]))
    assert without.y is None and dict(without.factors) == {}


def test_factors_go_with_the_rows_that_are_held_out():
    parts = DataSet("one", {"train": with_factors(20, "ink"), "test": with_factors(4, "ink")}).hold_out("new", 0.3, 5)
    train, new = parts.splits["train"], parts.splits["new"]
    numbers = [split.x[:, 0].astype(int).tolist() for split in (train, new)]
    assert [len(each) for each in numbers] == [14, 6] and sorted(numbers[0] + numbers[1]) == list(range(20))
    assert_rows(train, numbers[0], "ink")
    assert_rows(new, numbers[1], "ink")
    assert_rows(parts.splits["test"], [0, 1, 2, 3], "ink")


def test_splits_that_are_joined_keep_the_factors_that_both_have():
    train, extra = with_factors(6, "ink", "slant"), with_factors(3, "ink", "weight", shift=50)
    joined = DataSet("two", {"train": train, "extra": extra, "test": train}).join("extra").splits
    assert joined.keys() == {"train", "test"}
    assert_rows(joined["train"], [0, 1, 2, 3, 4, 5, 50, 51, 52], "ink")
    assert_rows(joined["test"], [0, 1, 2, 3, 4, 5], "ink", "slant")
    for one, other in ((train, replace(extra, factors={})), (replace(train, factors={}), extra)):
        assert_rows(
            DataSet("two", {"train": one, "extra": other}).join("extra").splits["train"], [*range(6), 50, 51, 52]
        )


def test_the_digest_of_data_without_factors_is_what_it_was():
    """Names, types, shapes and bytes, in the order of the names; those of the sources hold for this recipe."""
    x = np.array([[0, 1], [2, 255], [3, 4]], np.uint8)
    written = b"test.x |u1 (1, 2)" + bytes([3, 4])
    written += (
        b"train.x |u1 (2, 2)" + bytes([0, 1, 2, 255]) + b"train.y <i8 (2,)" + bytes([7] + 7 * [0] + [1] + 7 * [0])
    )
    data = DataSet("two", {"train": Split(x[:2], np.array([7, 1])), "test": Split(x[2:], None)})
    assert data.digest() == hashlib.sha256(written).hexdigest()
    spelt_out = {name: replace(split, factors={}) for name, split in data.splits.items()}
    assert replace(data, splits=spelt_out).digest() == data.digest()


def test_the_digest_covers_factors_by_name_type_and_content():
    x, y, ink = np.array([[5]], np.uint8), np.array([2]), np.array([3])

    def digest(**factors: np.ndarray) -> str:
        return DataSet("one", {"train": Split(x, y, factors)}).digest()

    written = b"train.x |u1 (1, 1)\x05train.y <i8 (1,)\x02" + bytes(7)
    written += b"train.ink <i8 (1,)\x03" + bytes(7) + b"train.slant <i8 (1,)\x02" + bytes(7)
    assert digest(slant=y, ink=ink) == digest(ink=ink, slant=y) == hashlib.sha256(written).hexdigest()
    others = [
        digest(),
        digest(ink=ink),
        digest(ink=ink, slant=y + 1),
        digest(ink=y, slant=ink),
        digest(ink=ink, weight=y),
        digest(ink=ink, slant=y.astype(np.int32)),
    ]
    assert len({digest(ink=ink, slant=y), *others}) == 7


def test_factors_of_another_length_than_the_rows_are_refused():
    split = with_factors(6, "ink", "slant")
    check(DataSet("one", {"train": split}))
    for wrong in (np.arange(5), np.zeros((6, 1), np.int64)):
        damaged = replace(split, factors={**split.factors, "slant": wrong})
        with pytest.raises(DataError, match="its split train has 6 rows but factors of another length"):
            check(DataSet("one", {"train": damaged}))
