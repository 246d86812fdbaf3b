"""Declarations: what is refused, and that every declared row resolves."""

import itertools
from dataclasses import dataclass

import pytest

from genclust.experiments import declaration, execution, store
from genclust.experiments.declaration import DataSettings, parse_overrides, parse_seeds
from genclust.models import BASELINES, MODELS
from genclust.settings import SettingError, later, merge
from genclust.training.loop import TrainingSettings

ROWS = [row for name in declaration.names() for row in declaration.load(name).rows.values()]
MNIST = declaration.load("simple-table1").row("proposed-mnist")


@pytest.mark.parametrize("row", [row for row in ROWS if row.settings], ids=lambda row: f"{row.experiment}/{row.name}")
def test_every_declared_row_resolves_in_every_profile(row):
    for profile in row.profiles:
        assert row.seeds(profile)
        config = row.config(profile)
        assert len(config.hash) == 12
        assert row.config(profile, {"data": {}}).hash == config.hash


def test_reported_numbers_have_known_fields_and_metrics_that_name_their_accuracy():
    reported = list(itertools.chain.from_iterable(row.reported for row in ROWS))
    assert len(reported) > 60
    for number in reported:
        assert [number.mean, number.below, number.above].count(None) == 2
        assert "." in number.metric
        assert not number.metric.endswith(".acc")


def test_the_settings_of_the_paper():
    """Section 3, word by word."""
    config = MNIST.config("paper")
    model, training = config.model, config.training
    assert (model["hidden"], model["feature_dim"], model["latent_dim"], model["n_clusters"]) == (
        [512, 256],
        100,
        150,
        10,
    )
    assert (model["w_gaussian"], training["epochs"], training["batch_size"]) == (5, 300, 300)
    assert training["learning_rate"]["start"] == 0.001
    assert training["temperature"] == {"shape": "exponential", "start": 1, "end": 0.5, "epochs": 100}
    assert config.data["validation_fraction"] == 0.2
    for other in ("proposed-usps", "proposed-reuters"):
        assert declaration.load("simple-table1").row(other).config("paper").model["latent_dim"] == 50


def test_figures_share_the_runs_of_the_table():
    for experiment, row in (("simple-figure3", "w5"), ("simple-figure4", "k10"), ("simple-figure5", "features")):
        assert declaration.load(experiment).row(row).config("paper") == MNIST.config("paper")


def test_the_hash_depends_on_values_not_on_how_they_are_written():
    same = [
        parse_overrides([text], MNIST, "paper") for text in ("w_gaussian=5", "model.w_gaussian=5.0", "w_gaussian=5e0")
    ]
    assert {MNIST.config("paper", overrides).hash for overrides in same} == {MNIST.config("paper").hash}
    assert MNIST.config("paper", {"model": {"w_gaussian": 5.1}}).hash != MNIST.config("paper").hash


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("w_gausian=3", "did you mean 'model.w_gaussian'"),
        ("epochs", "key=value"),
        ("name=mnist", "setting of simple-table1/proposed-mnist"),
        ("revision=7", "no setting"),
        ("w_gaussian=[", "cannot be read"),
    ],
)
def test_a_wrong_assignment_is_refused(assignment, message):
    with pytest.raises(SettingError, match=message):
        parse_overrides([assignment], MNIST, "demo")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"model": {"w_gaussian": -1}}, "between 0 and"),
        ({"model": {"w_gaussian": float("nan")}}, "between 0 and"),
        ({"model": {"n_clusters": 2.5}}, "whole number"),
        ({"model": {"n_clusters": True}}, "whole number"),
        ({"model": {"sample": "sofd"}}, "did you mean 'soft'"),
        ({"model": {"hidden": 512}}, "list"),
        ({"model": {"hidden": [512, 0]}}, "entry of model.hidden"),
        ({"model": {"name": "gumble"}}, "did you mean 'gumbel'"),
        ({"training": {"batch_size": 1}}, "between 2 and"),
        ({"training": {"temperature": 0}}, "positive"),
        ({"training": {"temperature": {"shape": "linear"}}}, "temperature"),
        ({"training": {"epoch": 3}}, "did you mean 'epochs'"),
        ({"training": {"schedules": {}}}, "no setting"),
        ({"data": {"validation_fraction": 1}}, "between 0 and 0.9"),
        ({"modell": {}}, "did you mean 'model'"),
    ],
)
def test_a_wrong_setting_is_refused(overrides, message):
    with pytest.raises(SettingError, match=message):
        MNIST.config("demo", overrides)


def test_unknown_names_get_the_nearest_valid_one():
    with pytest.raises(SettingError, match="did you mean 'simple-table1'"):
        declaration.load("simple-tabel1")
    with pytest.raises(SettingError, match="did you mean 'proposed-mnist'"):
        declaration.load("simple-table1").row("propsed-mnist")
    with pytest.raises(SettingError, match="did you mean 'quick'"):
        MNIST.config("quik")


def test_a_quoted_row_cannot_be_run():
    with pytest.raises(SettingError, match="another's result"):
        declaration.load("simple-table1").row("dec-mnist").config("paper")


def test_seeds():
    assert parse_seeds("3") == [3]
    assert parse_seeds("0-3") == [0, 1, 2, 3]
    assert parse_seeds("0, 2,5-6") == [0, 2, 5, 6]
    for wrong in ("", "a", "3-1", "-1", "1,1", "1-2-3"):
        with pytest.raises(SettingError):
            parse_seeds(wrong)


def test_a_model_of_another_name_replaces_its_settings():
    merged = merge({"model": {"name": "gumbel", "hidden": [5]}, "a": 1}, {"model": {"name": "kmeans", "n_clusters": 3}})
    assert merged == {"model": {"name": "kmeans", "n_clusters": 3}, "a": 1}
    assert merge({"model": {"name": "gumbel", "hidden": [5]}}, {"model": {"hidden": [6]}})["model"]["name"] == "gumbel"


def test_a_setting_added_later_leaves_the_hash_of_former_runs_alone():
    """``clip_norm`` at its default is what was done before it existed; any other value is another run."""
    row = declaration.load("simple-table1").row("proposed-mnist")
    before = row.config("demo")
    assert "clip_norm" not in before.training
    assert row.config("demo", declaration.parse_overrides(["clip_norm=0"], row, "demo")).hash == before.hash
    assert row.config("demo", declaration.parse_overrides(["clip_norm=5"], row, "demo")).training["clip_norm"] == 5


@pytest.mark.parametrize("setting", ["adam_beta1=0.9", "adam_epsilon=1e-8", "clip_norm=0"])
def test_adam_as_it_was_before_it_could_be_set_leaves_no_trace(setting):
    name, _ = setting.split("=")
    before = MNIST.config("demo")
    assert name not in before.training
    assert MNIST.config("demo", parse_overrides([setting], MNIST, "demo")).hash == before.hash
    other = MNIST.config("demo", parse_overrides([f"{name}=0.5"], MNIST, "demo"))
    assert other.hash != before.hash
    assert other.training[name] == 0.5


def addresses():
    return {
        (row.experiment, row.name, profile): row.config(profile).address
        for row in ROWS
        if row.settings is not None
        for profile in row.profiles
    }


def test_a_new_setting_of_any_model_orphans_no_record(monkeypatch):
    """A field that is added later leaves every address alone, so every published record is found again."""
    before = addresses()

    def extended(settings):
        @dataclass(frozen=True, kw_only=True)
        class Extended(settings):
            novelty: float = later(0.5, 0, 1)
            layers: tuple[int, ...] = later((3, 2), 1, 10)

        return Extended

    for name, (module, settings) in MODELS.items():
        monkeypatch.setitem(MODELS, name, (module, extended(settings)))
    for name, settings in BASELINES.items():
        monkeypatch.setitem(BASELINES, name, extended(settings))
    monkeypatch.setattr(declaration, "DataSettings", extended(DataSettings))
    monkeypatch.setattr(declaration, "TrainingSettings", extended(TrainingSettings))
    assert addresses() == before

    published = store.published()
    names = set()
    for row in ROWS:
        for profile in row.profiles if row.settings is not None else ():
            if store.find(row.config(profile), row.seeds(profile), [published]):
                names.add(row.config(profile).model["name"])
    assert names == {*MODELS, *BASELINES}  # each has records, and they are found

    as_before = parse_overrides(["model.novelty=0.5", "model.layers=[3, 2]", "data.novelty=0.5"], MNIST, "demo")
    assert MNIST.config("demo", as_before) == MNIST.config("demo")
    other = MNIST.config("demo", parse_overrides(["model.novelty=0.25"], MNIST, "demo"))
    assert other.address != MNIST.config("demo").address
    assert other.model["novelty"] == 0.25 and "layers" not in other.model
    # What a configuration leaves out is read back as before.
    assert execution.build(MNIST.config("demo"), 1, 64).settings.novelty == 0.5
    assert execution.build(other, 1, 64).settings.novelty == 0.25


def test_only_what_was_added_later_is_left_out():
    """A default that was there from the first is part of the address."""
    assert MNIST.config("demo").model["w_categorical"] == 1 and "split_seed" in MNIST.config("demo").data
    assert not {"also_train_on", "n_labels", "digest"} & set(MNIST.config("demo").data)
    row = declaration.load("cagem-table1").row("cagem-100")
    assert row.config("demo").data["n_labels"] == 100
    assert row.config("demo", parse_overrides(["n_labels=0"], row, "demo")).data.get("n_labels") is None


def test_only_a_warm_up_may_be_zero():
    """It weighs a term, from 0 to 1 in the papers; a rate of 0 would train nothing."""
    row = declaration.load("cagem-table1").row("cagem-100")

    def linear(start, end):
        return {"shape": "linear", "start": start, "end": end, "epochs": 5}

    for warm_up in (linear(0, 1), linear(1, 0), 0):
        row.config("demo", {"training": {"warm_up": warm_up}})
    for rate in (linear(0, 1e-3), linear(1e-3, 0), 0, -1e-3):
        with pytest.raises(SettingError, match=r"training\.learning_rate must be positive"):
            row.config("demo", {"training": {"learning_rate": rate}})
    for warm_up in (linear(-0.1, 1), -1):
        with pytest.raises(SettingError, match=r"training\.warm_up must be 0 or more"):
            row.config("demo", {"training": {"warm_up": warm_up}})
