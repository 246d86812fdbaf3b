"""What choosing a seed without labels gives: small hand-made records, and answers by hand."""

import json
import math
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pytest
import torch
from examples import EXAMPLES

from genclust.data import DataError
from genclust.experiments import declaration
from genclust.experiments.execution import prepare
from genclust.experiments.store import Record, Store, published
from genclust.experiments.training_run import bound
from genclust.models import MODELS
from genclust.pages import guide
from genclust.pages.guide import Configuration
from genclust.streams import Noise

NAN = math.nan
CONFIG = {
    "data": {"name": "digits", "validation_fraction": 0.2, "test_fraction": 0.2, "split_seed": 0},
    "model": {"name": "gumbel", "n_clusters": 4},
    "training": {"epochs": 1},
}


def record(folder, seed, accuracy, bound=None, used=4, clusters=None, confidence=None, failed=None, **more):
    """A record with these; its learning curve has a better point before the last one."""
    curve = [
        {"epoch": 1, "reconstruction": -99.0, "kl_z": 0.0},
        {"epoch": 2, "reconstruction": -(bound or 0) - 3, "kl_z": 1.0, "kl_c": 2.0, "acc_hungarian": 7.0}
        | {"confidence": 0.5},
    ]
    about = {"name": "digits", "digest": "0" * 64, "variant": "", "sizes": {}} | more.pop("data", {})
    metrics = {"test.acc_hungarian": accuracy, "test.clusters_used": used}
    arrays = {}
    if clusters is not None:
        arrays["clusters_test"] = np.array(clusters, dtype=np.uint8)
    if confidence is not None:
        arrays["confidence_test"] = np.array(confidence, dtype=np.float16)
    config = {section: dict(CONFIG[section]) | more.get(section, {}) for section in CONFIG}
    return Store(folder).write(Record(config, seed, metrics, curve, {}, failed, about, {}, 1.0), arrays)


@pytest.fixture
def three(tmp_path):
    """The best seed has the highest bound; the two that agree are not it, and the worst is the most confident."""
    return Configuration(
        "table/row@paper",
        "digits",
        (
            record(tmp_path, 0, 50.0, bound=-10, used=2, clusters=[0, 0, 1, 1], confidence=[0.5, 0.75, 0.5, 0.25]),
            record(tmp_path, 1, 80.0, bound=-5, used=4, clusters=[0, 1, 0, 1], confidence=[0.5, 0.5, 0.5, 0.5]),
            record(tmp_path, 2, 20.0, bound=-7, used=2, clusters=[1, 1, 0, 0], confidence=[1, 1, 1, 1]),
        ),
    )


def without_bound(one):
    return {indicator: values.tolist() for indicator, values in one.indicators.items() if indicator != "bound"}


def test_indicators_of_every_seed(three):
    """Agreement as in the tests of agreement: 1 and twice -0.5 over two others."""
    assert three.indicators["bound"].tolist() == [-10, -5, -7]
    assert without_bound(three) == {
        "confidence": [0.5, 0.5, 1],
        "clusters in use": [0.5, 1, 0.5],
        "agreement": pytest.approx([0.25, -0.5, 0.25]),
    }


def test_choices_by_hand(three):
    lines = guide.choices([three]).set_index("indicator")
    assert list(lines.index) == list(guide.INDICATORS) and set(lines["all"]) == {True} and set(lines.seeds) == {3}
    # The mean is 50 and the best 80.  Seeds 0 and 2 agree equally well: drawing one of them gives 35.
    assert lines.gain.tolist() == [30, -30, 30, -15] and lines.distance.tolist() == [0, -60, 0, -45]
    # ranks of accuracy are 2, 3, 1; of the indicators 1, 3, 2; 1½, 1½, 3; 1½, 3, 1½; 2½, 1, 2½
    by_hand = [0.5, -1.5 / math.sqrt(3), 1.5 / math.sqrt(3), -1.5 / math.sqrt(3)]
    assert lines.correlation.tolist() == pytest.approx(by_hand)


def test_a_failed_seed_counts_and_is_never_chosen_by_its_bound(tmp_path):
    one = Configuration(
        "table/row@paper",
        "digits",
        (
            record(tmp_path, 0, 10.0, bound=1e6, failed=7),
            record(tmp_path, 1, 60.0, bound=-9),
            record(tmp_path, 2, 50.0, bound=-8),
        ),
    )
    assert np.isnan(one.indicators["bound"]).tolist() == [True, False, False]
    lines = guide.choices([one]).set_index("indicator")
    assert list(lines.index) == ["bound", "clusters in use"] and set(lines["all"]) == {False}
    assert (lines.gain["bound"], lines.distance["bound"]) == (10, -10)  # the mean is 40, that of all three
    assert lines.correlation["bound"] == 0.5  # ranks 1, 2, 3 and 1, 3, 2
    assert lines.gain["clusters in use"] == 0 and np.isnan(lines.correlation["clusters in use"])


def test_when_every_seed_failed_nothing_is_chosen(tmp_path):
    seeds = tuple(record(tmp_path, seed, 10.0, failed=1) for seed in range(3))
    assert "bound" not in set(guide.choices([Configuration("t/r@demo", "digits", seeds)]).indicator)
    assert np.isnan(guide.chosen(np.full(3, NAN), np.ones(3)))


@pytest.mark.parametrize(
    "indicator",
    [[3.0, 1.0, 4.0, 1.5, 9.0], [2.0, 2.0, 1.0, 2.0, 1.0], [NAN, 1.0, 3.0, NAN, 3.0], [NAN] * 5, [7.0] * 5],
    ids=["all different", "ties", "two failed", "none has it", "all alike"],
)
def test_the_seed_chosen_among_n_is_the_mean_over_all_choices_of_n(indicator):
    accuracies = np.array([10.0, 20.0, 40.0, 80.0, 60.0])
    ranked = np.nan_to_num(np.array(indicator), nan=-1)

    def reached(seeds):
        most = ranked[list(seeds)].max()
        return np.mean([accuracies[seed] for seed in seeds if ranked[seed] == most])

    by_hand = [np.mean([reached(seeds) for seeds in combinations(range(5), n)]) for n in range(1, 6)]
    assert guide.chosen_among(np.array(indicator), accuracies) == pytest.approx(by_hand)
    if not np.isnan(indicator).all():
        assert by_hand[-1] == pytest.approx(guide.chosen(np.array(indicator), accuracies))


def test_what_some_records_do_not_keep_is_not_measured(tmp_path, three):
    mixed = Configuration("t/r@demo", "digits", (*three.records[:2], record(tmp_path / "other", 3, 40.0, bound=-1)))
    assert mixed.clusters is None
    assert set(guide.choices([mixed]).indicator) == {"bound", "clusters in use"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_bound_of_a_learning_curve_is_that_of_the_models_terms(name):
    model = EXAMPLES[name].initialised([0]).eval()
    scheduled = dict.fromkeys(model.schedules, 1.0)
    terms = model.loss(EXAMPLES[name].batch(3)[None] / 255.0, scheduled, Noise([0], "test")).terms
    point = {term: float(values.detach().mean()) for term, values in terms.items()}
    point |= {"epoch": 3, "acc_hungarian": 50.0, "confidence": 0.5}
    assert bound(model, point) == pytest.approx(float(model.elbo(terms).detach().mean()), rel=1e-5, nan_ok=True)


def test_layers_count_by_the_one_with_most_clusters(tmp_path):
    one = record(tmp_path, 0, 50.0, used=10, model={"n_clusters": [1, 5, 20, 1]})
    assert guide.n_clusters(one) == 20 and guide.clusters_in_use(one) == 0.5


# ---- tables


def lines_of(*gains_by_data):
    records = [
        {"configuration": f"{data}{i}", "data": data, "indicator": "bound", "seeds": 3, "all": False}
        | {"correlation": NAN if gain == 0 else 1.0, "gain": gain, "distance": gain - 10}
        for data, gains in gains_by_data
        for i, gain in enumerate(gains)
    ]
    return guide.pd.DataFrame(records)


def test_a_data_set_with_many_configurations_does_not_decide_what_data_sets_say():
    table = guide.by_data_set(lines_of(("arcs", [8.0] * 5 + [0.0]), ("MNIST", [-2.0]))).set_index("Data")
    assert table.index.tolist() == ["arcs", "MNIST", guide.EACH_ONCE, guide.ALL]
    assert table["Configurations"].tolist() == [6, 1, 2, 7]
    assert set(table["Indicator"]) == {"bound"}
    # arcs: squared deviations sum to 53.33, so sd 3.266, and t of five degrees of freedom is 2.571;
    # all: they sum to 117.71, so sd 4.429, and t of six degrees of freedom is 2.447
    assert table["gain over the mean"].tolist() == ["6.7 [3.2, 10.1]", "−2.0", "2.3", "5.4 [1.3, 9.5]"]
    assert table["short of the best"].tolist()[1:3] == ["12.0", "7.7"]
    assert table["rank correlation"].tolist() == ["1.00 [1.00, 1.00]", "1.00", "1.00", "1.00 [1.00, 1.00]"]


def test_interval():
    assert guide.interval_of([NAN]) == "–"
    assert guide.interval_of([-0.04, NAN]) == "0.0"
    # mean 3, sd √2.5, t of four degrees of freedom 2.776
    assert guide.interval_of([1, 2, 3, 4, 5]) == "3.0 [1.0, 5.0]"
    assert guide.interval_of([1, 1, 1, 1, 0.0], 2, 1) == "0.80 [0.24, 1.00]"


def test_gains_by_indicator_and_data_set(three):
    assert guide.gains(guide.choices([three])) == {
        "bound": {"digits": [30]},
        "confidence": {"digits": [-30]},
        "clusters in use": {"digits": [30]},
        "agreement": {"digits": [-15]},
    }


def test_the_finding_has_the_numbers(three):
    text = guide.finding(guide.choices([three]), [three])
    assert "of the 1 data sets counted once, the seed with the highest bound is 30.0 percentage points more" in text
    assert "with each of 1, the one that agrees best is −15.0 points more accurate" in text
    assert "Over all 1 configurations, 1 of them on digits, it is 30.0" in text and "excludes zero on none" in text
    assert "gained in 1 configurations and lost in 0" in text
    assert "30.0 by the bound, −30.0 by the confidence, 30.0 by clusters in use, −15.0 by the agreement" in text
    assert "`table/row@paper`" in text and "accuracy is 50.0 %" in text


def test_the_finding_names_the_data_on_which_the_gain_is_clear_of_zero():
    lines = lines_of(("clear", [1.0, 2.0, 3.0, 4.0, 5.0]), ("few", [5.0, 5.1]), ("not", [-9.0, 1.0, 2.0, 3.0, 4.0]))
    assert guide.clear_of_zero(lines) == "clear"
    assert guide.clear_of_zero(lines[lines.data == "few"]) == "none"
    more = lines_of(*((name, [1.0, 2.0, 3.0, 4.0, 5.0]) for name in ("first", "second", "third")))
    assert guide.clear_of_zero(more) == "first, second and third"
    assert guide.clear_of_zero(more[more.data != "second"]) == "first and third"


def test_a_data_set_counts_once_however_many_configurations_it_has():
    lines = lines_of(("arcs", [8.0] * 5 + [2.0]), ("MNIST", [-2.0]))
    assert guide.gain_of_data_sets(lines).to_dict() == {"arcs": 7.0, "MNIST": -2.0}


def test_settings_by_hand(tmp_path):
    """Three settings: the bound chooses the worst one.  Another likelihood and another K are not compared with them."""

    def configuration(name, accuracies, bound, **model):
        seeds = (
            record(tmp_path / name, s, a, bound=bound, model=model | {"w_gaussian": bound})
            for s, a in enumerate(accuracies)
        )
        return Configuration(name, "digits", tuple(seeds))

    three = [
        configuration(*each) for each in (("a", (10, 20, 30), -1), ("b", (50, 50, 80), -2), ("c", (40, 40, 40), -3))
    ]
    others = [
        configuration("d", (90, 90, 90), 0, n_clusters=5),
        configuration("e", (90,) * 3, 0, likelihood="gaussian"),
    ]
    (line,) = guide.settings([*three, *others]).to_dict("records")
    assert line == {
        **{"Data": "digits", "Model": "gumbel", "settings": 3, "mean": "40.0", "best": "60.0"},
        **{"by the bound": "20.0", "rank correlation with the bound": "−0.50"},
        **{"by clusters in use": "40.0", "rank correlation with clusters in use": "–"},
    }


# ---- the consensus


@pytest.fixture
def voters(tmp_path):
    """Three seeds with all ten clusters, each wrong in other tenths of the test digits, under other numbers."""
    config = declaration.RunConfig(CONFIG["data"], CONFIG["model"], CONFIG["training"])
    data, digest = prepare(config)
    y = data.splits["test"].y
    seeds = []
    for seed in range(3):
        wrong = np.arange(len(y)) % 10 == seed
        clusters = np.random.default_rng(seed).permutation(10)[np.where(wrong, (y + 1) % 10, y)]
        accuracy = 100 * float(np.mean(~wrong))
        about = {"digest": digest}
        seeds.append(record(tmp_path, seed, accuracy, clusters=clusters, data=about, model={"n_clusters": 10}))
    return Configuration("t/r@demo", "digits", tuple(seeds))


def test_the_consensus_of_seeds_with_different_faults_has_none(voters):
    lines = guide.consensuses([voters])
    assert lines.consensus.tolist() == [100] and lines.seeds.tolist() == [3]
    assert lines.gain[0] == pytest.approx(100 - voters.accuracies.mean()) and lines.best[0] == voters.accuracies.max()
    assert lines.agreeing[0] in voters.accuracies
    table = guide.together(lines)
    assert table["consensus"].tolist() == ["100.00", "100.00"] and table["Configuration"].tolist()[-1] == "<b>mean</b>"
    text = guide.finding_together(lines)
    assert "better than the mean of its members in 1 of them, and better than the best of them in 1." in text
    assert f"With each of the 1 data sets counted once, the consensus is {guide.interval_of(lines.gain)} " in text


def test_other_data_than_that_of_the_records_is_refused(three):
    with pytest.raises(DataError, match="not the one that table/row@paper was trained on"):
        guide.consensuses([three])


def test_data_in_files_is_never_read(voters, tmp_path):
    clusters = {"clusters": [0, 1], "data": {"name": "usps"}}
    seeds = tuple(record(tmp_path / "usps", s, 50.0, **clusters) for s in range(3))
    assert guide.consensuses([Configuration("t/usps@demo", "USPS", seeds)]).empty


def test_a_stored_accuracy_counts_for_the_very_records_that_it_was_measured_of(tmp_path, monkeypatch):
    monkeypatch.setattr(guide, "published", lambda: Store(tmp_path))
    seeds = tuple(record(tmp_path / "usps", s, 50.0 + s, clusters=[0, 1], data={"name": "usps"}) for s in range(3))
    one = Configuration("t/usps@demo", "USPS", seeds)
    entry = {"accuracy": 61.5, "records": [record.arrays_digest for record in seeds]}
    (tmp_path / guide.CONSENSUSES).write_text(json.dumps({"t/usps@demo": entry}))
    assert guide.consensuses([one]).gain.tolist() == [61.5 - 51.0]
    (tmp_path / guide.CONSENSUSES).write_text(json.dumps({"t/usps@demo": entry | {"records": ["other"] * 3}}))
    assert guide.consensuses([one]).empty


# ---- which configurations

DECLARED = """
paper: simple
table: Table
title: What counts and what does not
settings:
  data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2}
  model: {name: gumbel, n_clusters: 10, hidden: [12, 10], feature_dim: 8, latent_dim: 3}
  training: {epochs: 4, batch_size: 100, learning_rate: 0.001, temperature: 1}
profiles:
  demo: {seeds: 0-2}
  paper: {seeds: 0-2, settings: {training: {epochs: 8}}}
rows:
  ours: {label: ours, dataset: mnist, settings: {}}
  again: {label: the same, dataset: mnist, same_run_as: table/ours}
  equal: {label: declared twice, dataset: mnist, settings: {}}
  own: {label: exact, dataset: digits, settings: {model: {w_gaussian: 2}}}
  two: {label: too few seeds, dataset: mnist, settings: {model: {w_gaussian: 3}}}
  one: {label: a single cluster, dataset: mnist, settings: {model: {n_clusters: 1}}}
  unscored: {label: without accuracies, dataset: mnist, settings: {model: {w_gaussian: 4}}}
"""
OTHERS = """
paper: simple
table: Table
title: Not a model of ours
profiles:
  demo: {seeds: 0-2}
rows:
  kmeans:
    label: k-means
    dataset: mnist
    settings:
      data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2}
      model: {name: kmeans, n_clusters: 10}
  labels:
    label: learns from labels
    dataset: mnist
    settings:
      data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2, n_labels: 20}
      model: {name: cagem, n_clusters: 10, hidden: 8, z1_dim: 3, z2_dim: 2}
      training: {epochs: 1, batch_size: 100, learning_rate: 0.001, warm_up: 1}
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "table.yaml").write_text(DECLARED)
    (tmp_path / "experiments" / "others.yaml").write_text(OTHERS)
    (tmp_path / "papers.yaml").write_text("simple:\n  title: Is Simple Better?\n")
    monkeypatch.chdir(tmp_path)


def publish(experiment, row, profile="demo", seeds=3, metrics=("test.acc_hungarian", "test.clusters_used")):
    config = declaration.load(experiment).row(row).config(profile)
    about = {"name": "digits", "digest": "0" * 64, "variant": "", "sizes": {}}
    for seed in range(seeds):
        found = Record(asdict(config), seed, dict.fromkeys(metrics, 1.0), [], {}, None, about, {}, 1.0)
        published().write(found, {})


def test_every_configuration_of_ours_counts_once(repository):
    publish("table", "ours")
    publish("table", "ours", "paper")
    publish("table", "own")
    publish("table", "two", seeds=2)
    publish("table", "one")
    publish("table", "unscored", metrics=())
    publish("others", "kmeans")
    publish("others", "labels")
    found = guide.configurations()
    assert [(one.name, one.data, len(one.records)) for one in found] == [
        ("table/ours@paper", "digits (surrogate)", 3),
        ("table/ours@demo", "digits (surrogate)", 3),
        ("table/own@demo", "digits", 3),
    ]


def test_without_anything_published_there_is_nothing(repository):
    assert guide.configurations() == [] and guide.choices([]).empty


@pytest.mark.parametrize("model", ["imsat", "splitmerge"])
def test_a_model_that_generates_nothing_has_no_bound(model):
    module, _ = MODELS[model]
    example = next(one for one in EXAMPLES.values() if one.name == model)
    terms = example.initialised([0]).loss(torch.rand(1, 7, example.x_dim), {}, Noise([0], "test")).terms
    assert math.isnan(bound(module, {"epoch": 1, **{name: term.mean().item() for name, term in terms.items()}}))
