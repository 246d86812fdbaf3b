"""Declarations: what is refused, and that every declared row resolves."""

import itertools
from dataclasses import dataclass

import pytest

from genclust.baselines import BASELINES
from genclust.experiments import configuration, declaration, store, training_run
from genclust.experiments.configuration import DataSettings, RunConfig
from genclust.experiments.declaration import parse_overrides, parse_seeds
from genclust.models import MODELS
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
    "value", ["010", "1_0", "0x10", "5:30", "yes", ".inf", "2001-01-01", "!!int 3", "[3", "&a [*a]"]
)
def test_values_that_yaml_1_1_would_take_for_something_else_are_refused(value):
    with pytest.raises(SettingError, match=r"n_clusters must be a whole number, not '|cannot be read"):
        MNIST.config("demo", parse_overrides([f"n_clusters={value}"], MNIST, "demo"))


def test_one_value_has_one_address_however_it_is_written():
    """A choice among numbers too: 256 and 256.0 are one divisor."""
    row = declaration.load("cagem-table1").row("cagem-100")
    whole, floating = (row.config("demo", parse_overrides([f"divisor={d}"], row, "demo")) for d in ("256", "256.0"))
    assert whole.address == floating.address != row.config("demo").address


def test_the_folder_of_a_file_with_a_long_name_can_be_made():
    config = RunConfig({"name": f"/tmp/{'x' * 251}.npz"}, {"name": "gumbel"}, {})
    assert len(config.address) < 150


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
        ({"model": 5}, "section model of settings must be a mapping, not 5"),
        ({"model": {"name": ["gumbel"]}}, "model.name must be text"),
        ({"model": {"w_gaussian": float("inf")}}, "between 0 and"),
        ({"model": {"n_clusters": float("inf")}}, "between 1 and"),
        ({"model": {"n_clusters": 10**400}}, "between 1 and"),
        ({"training": {"epochs": float("nan")}}, "between 1 and"),
        ({"training": {"learning_rate": float("inf")}}, "training.learning_rate.start must lie between .*, not inf"),
        ({"training": {"learning_rate": float("nan")}}, "training.learning_rate.start must lie between .*, not nan"),
        ({"training": {"temperature": {"shape": "linear", "start": 1, "end": 1, "epochs": "5:30"}}}, "not '5:30'"),
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
    assert len(parse_seeds("0-9999")) == 10_000
    for wrong in ("", "a", "3-1", "-1", "1,1", "1-2-3", "0-999999999", "0-9999,10000", "010"):
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


@pytest.mark.parametrize("setting", ["adam_epsilon=1e-8", "clip_norm=0"])
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
    monkeypatch.setattr(configuration, "DataSettings", extended(DataSettings))
    monkeypatch.setattr(configuration, "TrainingSettings", extended(TrainingSettings))
    assert addresses() == before

    published = store.published()
    names = set()
    for row in ROWS:
        for profile in row.profiles if row.settings is not None else ():
            if store.find(row.config(profile), row.seeds(profile), [published]):
                names.add(row.config(profile).model["name"])
    library = {name for name, (model, _) in MODELS.items() if model.__module__.startswith("genclust.")}
    assert names >= {*library, "kmeans", "gmm"}  # each has records, and they are found

    as_before = parse_overrides(["model.novelty=0.5", "model.layers=[3, 2]", "data.novelty=0.5"], MNIST, "demo")
    assert MNIST.config("demo", as_before) == MNIST.config("demo")
    other = MNIST.config("demo", parse_overrides(["model.novelty=0.25"], MNIST, "demo"))
    assert other.address != MNIST.config("demo").address
    assert other.model["novelty"] == 0.25 and "layers" not in other.model
    # What a configuration leaves out is read back as before.
    assert training_run.build(MNIST.config("demo"), 1, 64).settings.novelty == 0.5
    assert training_run.build(other, 1, 64).settings.novelty == 0.25


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


# ---- malformed declarations

SOUND = """
paper: simple
table: Table 1
title: A table
evaluate: [clustering]
settings:
  data: {name: digits, validation_fraction: 0.2}
  model: {name: gumbel, n_clusters: 10, latent_dim: 5}
  training: {epochs: 3, batch_size: 100, learning_rate: 0.001, temperature: 1}
profiles:
  demo: {seeds: 0-1}
  paper: {seeds: 0-2, evaluate: [clustering, likelihood-50], settings: {training: {epochs: 30}}}
choices:
  - {setting: seeds, taken: 3, why: The paper does not say.}
rows:
  one:
    label: One
    dataset: mnist
    settings: {model: {w_gaussian: 2}}
    reported:
      - {name: ACC, metric: test.acc_hungarian, mean: 80.5, sd: 2, tolerance: 3}
  other: {label: Other, dataset: mnist, quoted: true, reported: [{name: ACC, metric: test.acc_hungarian, mean: 70}]}
"""


def declared(folder, text, name="mine"):
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return declaration._load(path)


def test_a_sound_declaration(tmp_path):
    experiment = declared(tmp_path, SOUND)
    assert [row.name for row in experiment.runnable] == ["one"]
    one = experiment.row("one")
    assert one.config("demo").training["epochs"] == 3 and one.config("paper").training["epochs"] == 30
    assert one.config("paper").model["w_gaussian"] == 2
    assert one.seeds("paper") == [0, 1, 2] and one.evaluations("paper") == ("clustering", "likelihood-50")
    assert one.reported[0].mean == 80.5 and one.reported[0].tolerance == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("paper: simple", "paper: {simple", r"mine.yaml cannot be read: .* in line \d"),
        ("paper: simple", "paper: simple\npaper: cagem", "the key paper stands twice, in line 3"),
        ("n_clusters: 10,", "n_clusters: 10, n_clusters: 9,", "the key n_clusters stands twice"),
        ("paper: simple", "paper: !!python/name:os.system x", "the tag .* is not read here"),
        ("paper: simple", "paper: \x07", "cannot be read: unacceptable character"),
        ("paper: simple", "paper: &a [*a]", "cannot be read: found unconstructable recursive node"),
        ("paper: simple", "paper: " + "[" * 3000, "cannot be read: it is nested too deeply"),
        ("paper: simple", "paper: *nobody", "cannot be read: found undefined alias"),
        ("paper: simple", "paper:", "mine.yaml: paper must be text, not None"),
        ("paper: simple", 'paper: ""', "mine.yaml: paper must be text, not ''"),
        ("paper: simple", "paper: 5", "mine.yaml: paper must be text, not 5"),
        ("paper: simple", "papers: simple", "mine.yaml: There is no entry called 'papers'; did you mean 'paper'"),
        ("paper: simple\n", "", "mine.yaml: The entry paper is missing"),
        ("[clustering]", "[[clustering]]", "row one: There is no evaluation, asked for by mine/one,"),
        ("[clustering]", "clustering", "evaluate must be a list"),
        ("likelihood-50", "likelihood-0", "row one: There is no evaluation, asked for by mine/one, 'likelihood-0'"),
        ("likelihood-50", "likelihood-1000000000000", "There is no evaluation, asked for by mine/one"),
        (
            "model: {name: gumbel, n_clusters: 10, latent_dim: 5}",
            "model:",
            "section model of settings must be a mapping",
        ),
        ("name: gumbel", "name: [gumbel]", r"model.name must be text, not \['gumbel'\]"),
        ("name: gumbel, ", "", "mine.yaml, row one, profile demo: The setting model.name is missing"),
        (
            "latent_dim: 5",
            "latent_dim: 010",
            "row one, profile demo: model.latent_dim must be a whole number, not '010'",
        ),
        ("latent_dim: 5", "latent_dim: 5:30", "model.latent_dim must be a whole number, not '5:30'"),
        ("latent_dim: 5", "latent_dim: .inf", "model.latent_dim must be a whole number, not '.inf'"),
        ("latent_dim: 5", "latent_dim: [5]", "model.latent_dim must be a whole number"),
        ("learning_rate: 0.001", "learning_rate: .nan", "training.learning_rate.start must be a number, not '.nan'"),
        ("learning_rate: 0.001", "learning_rate: 1e999", "training.learning_rate.start must lie between .* not inf"),
        ("epochs: 30", "epochs: -1", "row one, profile paper: training.epochs must lie between"),
        ("demo: {seeds: 0-1}", "demi: {seeds: 0-1}", "profile demi: There is no profile 'demi'; did you mean 'demo'"),
        (
            "demo: {seeds: 0-1}",
            "demo: {seed: 0-1}",
            "profile demo: There is no entry called 'seed'; did you mean 'seeds'",
        ),
        ("demo: {seeds: 0-1}", "demo: 0-1", "profile demo: There should be entries such as seeds"),
        ("demo: {seeds: 0-1}", "demo: {seeds: 1-0}", "profile demo: Seeds are given like"),
        ("demo: {seeds: 0-1}", "demo: {seeds: [0, 1]}", "profile demo: seeds must be text or a number"),
        ("demo: {seeds: 0-1}", "5: {seeds: 0-1}", "a key is not a name but 5"),
        ("  - {setting: seeds", "  - {settings: seeds", "choice 1: There is no entry called 'settings'"),
        ("label: One", "label: 1", "mine.yaml, row one: label must be text, not 1"),
        ("    label: One\n", "", "mine.yaml, row one: The entry label is missing"),
        ("    settings: {model: {w_gaussian: 2}}\n", "", "row one: It must have settings or same_run_as"),
        ("quoted: true", "quoted: yes", "row other: quoted must be true or false, not 'yes'"),
        ("quoted: true", "quoted: true, settings: {}", "only one of the three"),
        ("quoted: true", "same_run_as: other", "experiment, named by same_run_as, 'other'"),
        ("quoted: true", "same_run_as: nobody/other", "experiment, named by same_run_as, 'nobody'"),
        ("quoted: true", "same_run_as: mine/ones", "named by same_run_as, 'ones'; did you mean 'one'"),
        ("quoted: true", "same_run_as: mine/other", "row other: The row mine/other, .* has no settings of its own"),
        (
            "quoted: true",
            "same_run_as: mine/one, evaluate: [style]",
            "row other: With same_run_as, evaluate is that of",
        ),
        ("quoted: true", "same_run_as: [mine, one]", "same_run_as must be text"),
        (
            "test.acc_hungarian, mean: 80.5",
            "acc_hungarian, mean: 80.5",
            "not say on which points; give test.acc_hungarian",
        ),
        ("test.acc_hungarian, mean: 80.5", "tset.acc_hungarian, mean: 80.5", "no split, .*'tset'; did you mean 'test'"),
        ("  one:\n", "  a/one:\n", "row a/one: The name of a row has letters, digits"),
        (
            "label: One\n",
            "label: One\n    evaluate: [layers]\n",
            "row one, profile demo: The evaluation 'layers' cannot be",
        ),
        ("tolerance: 3", "tolerance: -3", "row one: reported number 1: reported.tolerance must lie between 0 and"),
        ("tolerance: 3", "tolerence: 3", "reported named 'tolerence'; did you mean 'tolerance'"),
        ("sd: 2", "sd: .nan", "reported.sd must be a number, not '.nan'"),
        ("mean: 80.5", "mean: 80.5, below: 90", "It must have one of mean, below and above"),
        (
            "- {name: ACC, metric: test.acc_hungarian, mean: 80.5, sd: 2, tolerance: 3}",
            "- 80.5",
            "number here, not 80.5",
        ),
    ],
)
def test_a_malformed_declaration_is_refused_in_one_sentence_that_names_the_place(tmp_path, old, new, message):
    assert old in SOUND
    with pytest.raises(SettingError, match=message) as caught:
        declared(tmp_path, SOUND.replace(old, new, 1))
    assert str(caught.value).startswith("mine.yaml") and "\n" not in str(caught.value)


def test_a_declaration_without_rows_is_refused(tmp_path):
    with pytest.raises(SettingError, match=r"^mine\.yaml: rows must hold a row"):
        declared(tmp_path, SOUND.partition("rows:")[0] + "rows: {}")


@pytest.mark.parametrize("text", ["", "null", "[]", "5", "text", "rows: {}", "\ufeff", "rows:"])
def test_a_declaration_without_contents_is_refused(tmp_path, text):
    with pytest.raises(
        SettingError, match=r"^mine\.yaml: (There should be entries|The entry paper is missing|rows must)"
    ):
        declared(tmp_path, text)


def test_a_declaration_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_bytes(b"paper: \xff\xfe")
    with pytest.raises(SettingError, match=r"^mine\.yaml cannot be read: 'utf-8' codec"):
        declaration._load(tmp_path / "mine.yaml")


def test_rows_that_name_each_other_as_their_run_are_refused(tmp_path):
    for name, other in (("mine", "yours"), ("yours", "mine")):
        text = SOUND.replace("quoted: true", f"same_run_as: {other}/other")
        (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(SettingError, match="row other: The row yours/other, named by same_run_as, has no settings"):
        declaration._load(tmp_path / "mine.yaml")


def test_a_row_may_be_the_run_of_another_row(tmp_path):
    experiment = declared(tmp_path, SOUND.replace("quoted: true", "same_run_as: mine/one"))
    assert experiment.row("other").config("demo") == experiment.row("one").config("demo")
