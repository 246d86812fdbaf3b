"""``genclust fit``, ``assign``, ``sample`` and ``card`` as a newcomer meets them, on files of a few rows."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import signal
import warnings
from collections.abc import Iterator
from dataclasses import fields
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from estimators.tiny import blobs, images, rows, tiny
from PIL import Image
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.metrics import adjusted_rand_score
from typer.testing import CliRunner, Result

from genclust.cli import app
from genclust.cli_own import MOST_CLUSTERS, NAMES
from genclust.cli_own_report import _agreement
from genclust.estimators import cautions, load, report, saving
from genclust.estimators.base import DeepEstimator, HeldOut
from genclust.estimators.card import describe
from genclust.models import MODELS
from genclust.wording import signed

COLUMNS = ["height", "weight", "age", "income"]
SMALL = [f"--set={one}" for one in ("hidden=[8,4]", "feature_dim=4", "latent_dim=2", "batch_size=40")]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def done(*arguments: object) -> Result:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    assert str(Path(load.__code__.co_filename).parents[2]) not in result.stderr, "the path of a warning"
    return result


def refused(*arguments: object) -> str:
    """The one sentence with which a command is refused."""
    result = invoke(*arguments)
    assert result.exit_code == 1 and result.stdout == ""
    (line,) = result.stderr.strip().splitlines()
    assert line.startswith("genclust: ") and line[-1] in ".?" and ".." not in line.replace("…", "")
    return line


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three groups, and a folder of digits, with a model of each."""
    folder = tmp_path_factory.mktemp("mine")
    X, y = blobs(120, d=4)
    frame = pd.DataFrame(10 * X + 3, columns=COLUMNS).assign(group=np.array(["a", "b", "c"])[y])
    frame.to_csv(folder / "mine.csv", index=False)
    (folder / "digits").mkdir()
    for i, image in enumerate(load_digits().images[:40]):
        Image.fromarray((image * 255 / 16).astype(np.uint8)).save(folder / "digits" / f"{i:03}.png")
    return folder


@pytest.fixture(scope="module")
def fitted(folder: Path) -> Result:
    options = ("--labels", "group", "--clusters", 3, "--epochs", 60, "--quiet", *SMALL, "--set=learning_rate=0.01")
    return done("fit", folder / "mine.csv", "--out", folder / "model", *options)


@pytest.fixture(scope="module")
def of_images(folder: Path) -> Result:
    options = ("--clusters", 2, "--seeds", 1, "--epochs", 2, "--quiet", *SMALL)
    return done("fit", folder / "digits", "--out", folder / "images", *options)


# ---- fit


def flat(text: str) -> str:
    return " ".join(text.split())


def test_the_report_says_what_its_numbers_mean(fitted: Result, folder: Path) -> None:
    said, model = flat(fitted.stdout), load(folder / "model")
    assert "Fitted GumbelClustering on 120 rows of 4 values, 60 epochs" in said
    assert "comparable only between fits of the same rows with the same likelihood and scale" in said
    agree = cautions.seeds_agree(model)
    assert len(agree) == 3
    assert f"Agreement between seeds: {agree.mean():.2f}, so {cautions.seeds_in_words(model)}" in said
    assert f"of each seed with the others {', '.join(f'{a:.2f}' for a in agree)})" in said
    assert "the model is not sure of a low one" in said and "typical row" in said
    for file in ("clusters.csv", "clusters.png", "card.md", "estimator.json"):
        assert (folder / "model" / file).stat().st_size > 100
    known = json.loads((folder / "model" / "estimator.json").read_text())["clusters"]
    assert known["agreement"] == pytest.approx(agree.mean(), abs=1e-3)


def test_k_means_stands_beside_the_model(fitted: Result, folder: Path) -> None:
    frame = pd.read_csv(folder / "mine.csv")
    x = frame[COLUMNS].to_numpy(np.float32)
    simple = KMeans(3, n_init=10, random_state=0).fit_predict((x - x.mean(0)) / x.std(0))
    assert adjusted_rand_score(simple, frame.group) == 1  # three blobs are easy
    found = pd.read_csv(folder / "model" / "clusters.csv").cluster
    said = flat(fitted.stdout)
    assert f"adjusted Rand index of its clusters and the model's {adjusted_rand_score(simple, found):.2f}" in said
    of_model, of_simple = re.findall(r"ainst the labels: .*?adjusted Rand index: ([-\d.]+) %", said)
    assert of_simple == "100.0" and float(of_model) == pytest.approx(
        100 * adjusted_rand_score(found, frame.group), abs=0.06
    )


def test_the_words_for_agreement_change_where_the_report_says_so() -> None:
    words = [cautions.agreement_in_words(value) for value in (0.49, 0.51, 0.79, 0.81)]
    assert "disagree" in words[0] and words[1] == words[2] and "in part" in words[1] and "mostly agree" in words[3]


def test_seeds_that_all_found_one_cluster_do_not_count_as_agreeing() -> None:
    labels = np.array([[3] * 6, [0] * 6])
    model = SimpleNamespace(all_labels_=labels, labels_=np.zeros(6, int), n_clusters_=2, bounds_=np.zeros(2))
    assert cautions.seeds_in_words(model).startswith("every seed has put all rows into one cluster")
    model.all_labels_[1] = [0, 0, 0, 1, 1, 1]
    assert cautions.seeds_in_words(model).startswith("1 of 2 seeds has put all rows into one cluster")
    assert cautions.seeds_of_one_cluster(model) == 1
    model.all_labels_[0], model.labels_ = [0, 1] * 3, np.array([0, 1] * 3)
    assert cautions.seeds_in_words(model) == cautions.agreement_in_words(0)
    model.all_labels_[0] = model.all_labels_[1]
    assert cautions.seeds_in_words(model) == "the seeds mostly agree"
    model.n_clusters_ = 3
    assert cautions.seeds_in_words(model) == "the seeds mostly agree, on fewer clusters than were asked for"


def test_a_single_cluster_is_called_no_clustering() -> None:
    model = tiny("GMVAE", alpha=0.0).fit(rows(60))
    model.all_labels_ = np.zeros((1, 60), int)
    told = cautions.cautions(model)[0]
    assert told.startswith("1 of 1 seed put all rows into one cluster, which is no clustering; give more epochs")
    assert "such as alpha=0.1" in told
    model.all_labels_ = np.arange(60)[None] % 2
    assert not any("no clustering" in caution for caution in cautions.cautions(model))


def test_images_are_called_images(of_images: Result, folder: Path) -> None:
    assert "Fitted GumbelClustering on 40 images of 8 × 8, 2 epochs" in flat(of_images.stdout)
    assert "typical image" in of_images.stdout and "typical row" not in of_images.stdout
    assert (
        "Fitted on 40 images of 8 × 8, for 2 epochs, with 1 seed; written on" in done("card", folder / "images").stdout
    )
    assert "one seed cannot tell" in of_images.stdout


def test_a_model_that_generates_nothing_is_fitted_and_not_sampled_from(folder: Path) -> None:
    small = ("--clusters", 2, "--seeds", 2, "--epochs", 3, "--quiet", "--set=hidden=[8]", "--set=subclusters=4")
    fitted = done("fit", folder / "digits", "--model", "split-merge", "--out", folder / "merged", *small)
    assert "Information that the clusters of pairs share on held-out rows: " in flat(fitted.stdout)
    assert (folder / "merged" / "clusters.png").stat().st_size > 1000
    told = refused("sample", folder / "merged")
    assert told == "genclust: SplitMerge does not generate data, so there is nothing to sample."


def test_numbers_of_clusters_are_compared_on_the_same_rows(folder: Path) -> None:
    options = ("--labels", "group", "--epochs", 2, "--seeds", 2, "--quiet", *SMALL)
    result = done("fit", folder / "mine.csv", "--clusters", "2-3,5", "--out", folder / "several", *options)
    frame = pd.read_csv(folder / "mine.csv")
    lines = {line[0]: line for line in map(str.split, result.stdout.splitlines()) if line and line[0].isdigit()}
    assert list(lines) == ["2", "3", "5"]
    for K, line in lines.items():
        model = load(folder / "several" / K)
        sizes = model.cluster_sizes_[model.cluster_sizes_ > 0]
        expected = [*_agreement(model).split(), signed(model.bound_), str(len(sizes)), str(sizes.min())]
        ari = 100 * adjusted_rand_score(frame.group, model.labels_)
        assert line[1:-1] == [*expected, f"{report.mean_probability(model):.2f}"] and line[-1] == f"{ari:.1f}"
        assert model.n_clusters == int(K) and (folder / "several" / K / "clusters.png").is_file()
        mean = pd.read_csv(folder / "several" / K / "clusters.csv").probability.mean()
        assert report.mean_probability(model) == pytest.approx(mean, abs=1e-3)
    assert "Neither number finds how many clusters there are: few clusters often agree more easily" in flat(
        result.stdout
    )


@pytest.mark.parametrize("clusters", ["ten", "8-3", "3,", "-2", "3-4-5", "2.5"])
def test_what_is_no_number_of_clusters(folder: Path, clusters: str) -> None:
    said = refused("fit", folder / "mine.csv", f"--clusters={clusters}", "--out", folder / "none")
    assert said == f"genclust: --clusters takes a number, or several such as 3-8 or 3,5,7, not '{clusters}'."


@pytest.mark.parametrize(
    ("clusters", "said"),
    [
        ("1-200000", "must lie between 1 and 10000, not 200000."),
        ("3,10001", "must lie between 1 and 10000, not 10001."),
        ("0-5", "must lie between 1 and 10000, not 0."),
        ("99999999999999999999", "must lie between 1 and 10000, not 99999999999999999999."),
        ("2-52", "compares 50 numbers at most, and '2-52' are 51."),
    ],
)
def test_numbers_of_clusters_that_are_too_large_or_too_many(folder: Path, clusters: str, said: str) -> None:
    """Before any model is made, and before the rows are read."""
    told = refused("fit", folder / "no.csv", f"--clusters={clusters}", "--model=no", "--out", folder / "none")
    assert told == f"genclust: --clusters {said}"


def test_fifty_numbers_of_clusters_are_compared(folder: Path) -> None:
    assert "There is no file" in refused("fit", folder / "no.csv", "--clusters=2-51", "--out", folder / "none")


def test_the_command_line_takes_as_many_clusters_as_the_models() -> None:
    for name in NAMES.values():
        _, settings = MODELS[saving.ESTIMATORS[name].model_name]
        limits = {one.name: one.metadata["high"] for one in fields(settings) if one.name == "n_clusters"}
        assert set(limits.values()) <= {MOST_CLUSTERS}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--clusters=121"], "--clusters 121 is more than the 120 rows of FILE; a cluster should hold many rows."),
        (["--clusters=100-121"], "--clusters 121 is more than the 120 rows of FILE; a cluster should hold many rows."),
        (["--clusters=0"], "--clusters must lie between 1 and 10000, not 0."),
        (["--seeds=0"], "--seeds must lie between 1 and 10000, not 0."),
        (["--set=w_gaussian=-1"], "w_gaussian must lie between 0 and 1e+06, not -1."),
        (["--set=w_gausian=1"], "There is no parameter of gumbel named 'w_gausian'; did you mean 'w_gaussian'?"),
        (
            ["--model=kmeans"],
            "There is no model 'kmeans'; valid are cagem, gmvae, gumbel, iwae, lvae, split-merge, vae, vlac.",
        ),
    ],
)
def test_mistakes_are_told_in_the_words_of_the_command_line(folder: Path, options: list[str], said: str) -> None:
    path = folder / "mine.csv"
    told = refused("fit", path, "--labels", "group", "--out", folder / "none", "--quiet", *options)
    assert told == f"genclust: {said.replace('FILE', str(path))}"
    assert not (folder / "none").exists()


def test_what_to_be_wary_of(folder: Path) -> None:
    frame = pd.read_csv(folder / "mine.csv").drop(columns="group").assign(id=range(120))
    frame.loc[7, "income"] = 1e6
    frame["same"] = 3
    frame.to_csv(folder / "odd.csv", index=False)
    options = ("--clusters", 13, "--seeds", 1, "--epochs", 3, "--quiet", *SMALL, "--set=learning_rate=0.02")
    said = done("fit", folder / "odd.csv", "--out", folder / "odd", *options).stderr
    assert "The column 'id' has another number in every row, and so is probably no feature" in said
    assert "13 clusters of 120 rows would hold few rows each" in said
    for line in said.splitlines():
        assert f"- {line.removeprefix('genclust: ')}" in (folder / "odd" / "card.md").read_text()
    assert "The column 'income' has values beyond 20 robust standard deviations, which squeeze" in said
    assert "The style is unused" in said and "The column 'same' has one value only" in said


def test_who_gives_continuous_columns_to_a_model_of_bits_is_told(folder: Path) -> None:
    frame = pd.read_csv(folder / "mine.csv").drop(columns="group").assign(member=np.arange(120) % 2, kind=5)
    frame.to_csv(folder / "continuous.csv", index=False)
    options = ("--epochs", 1, "--seeds", 1, "--quiet", "--set=z_dims=[2]", "--set=hidden=[4]", "--set=batch_size=60")
    result = done("fit", folder / "continuous.csv", "--out", folder / "continuous", "--model", "vae", *options)
    said = "The columns 'height', 'weight', 'age', 'income' have values between 0 and 1 once scaled. VAE is a"
    assert said in result.stderr and "Log-likelihood of all rows, taken as bits: " in result.stdout
    assert f"- {said} model of bits and draws a random bit with each" in (folder / "continuous" / "card.md").read_text()

    def told(model: str, X: np.ndarray, **parameters: object) -> list[bool]:
        return cautions.columns_drawn_as_bits(tiny(model, **parameters), X).tolist()

    X, bits = frame.to_numpy(np.float32), (images() > 0.5).reshape(120, 64)
    assert told("CaGeM", X) == [True] * 4 + [False] * 2 == told("LVAE", X) == told("IWAE", X, scale="minmax")
    assert not any(told("GumbelClustering", X) + told("GMVAE", X) + told("SplitMerge", X))
    assert not any(told("CaGeM", bits.astype(float)) + told("CaGeM", 3.0 * bits + 2))
    assert any(told("CaGeM", rows())) and not any(told("CaGeM", images()))
    assert not any(told("CaGeM", (rows() * 255).astype(np.uint8)))


def test_clusters_that_the_model_is_not_sure_of_are_named() -> None:
    model = tiny("GumbelClustering").fit(rows(60))
    model.mean_probabilities_ = np.array([0.9, 0.49, np.nan])
    (told,) = [caution for caution in cautions.cautions(model) if "not sure" in caution]
    assert told.startswith("The model is not sure of the rows in 1 cluster (1), whose mean probability is below 0.5")
    model.mean_probabilities_[1] = 0.51
    assert not any("not sure" in caution for caution in cautions.cautions(model))
    del model.mean_probabilities_  # as of an older version
    assert not any("not sure" in caution for caution in cautions.cautions(model))


def test_the_card_keeps_what_to_be_wary_of(folder: Path) -> None:
    model = tiny("GumbelClustering", w_gaussian=7.0).fit(pd.read_csv(folder / "mine.csv")[COLUMNS])
    model.history_ = [{"bound": -3.0, "kl_z": 0.01}] * model.n_epochs_
    card = describe(model)
    assert "**What to be wary of**" in card and f"- {cautions.cautions(model)[0]}" in card
    assert "- Columns (height, weight, age, income): brought to mean 0 and variance 1" in card
    assert "interrupted" not in card
    model.history_, model.n_epochs_ = model.history_[:1], 1
    assert f"for 1 epoch of {model.epochs} (interrupted), with" in describe(model)


def test_counts_are_told_from_other_numbers(folder: Path) -> None:
    rng = np.random.default_rng(0)
    genes = pd.DataFrame(rng.negative_binomial(0.2, 0.02, (80, 6)), columns=[f"gene {i}" for i in range(6)])
    marks = pd.DataFrame(rng.integers(1, 6, (80, 6)), columns=genes.columns)
    options = ("--clusters", 2, "--seeds", 1, "--epochs", 2, "--quiet", *SMALL)
    for name, frame, more, told in (
        ("genes", genes, (), True),
        ("marks", marks, (), False),
        ("halves", genes / 2, (), False),
        ("logs", genes, ("--set=scale=log",), False),
    ):
        frame.to_csv(folder / f"{name}.csv", index=False)
        said = done("fit", folder / f"{name}.csv", "--out", folder / name, *options, *more).stderr
        assert ("The values are counts, of which a few are much larger than most" in said) is told
    values = pd.read_csv(StringIO(done("sample", folder / "logs", "--n", 50).stdout))
    assert values.min().min() >= 0  # in counts again, and so the model takes them
    (folder / "logs.csv").write_text(values.to_csv(index=False))
    done("assign", folder / "logs", folder / "logs.csv")
    assert json.loads((folder / "logs" / "estimator.json").read_text())["format"] == 2
    genes.iloc[:3].assign(**{"gene 0": -1}).to_csv(folder / "minus.csv", index=False)
    assert "logarithms of counts, and " in refused("assign", folder / "logs", folder / "minus.csv")


def test_a_column_of_sample_names_names_the_rows(fitted: Result, folder: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(folder / "mine.csv").assign(sample=[f"S{i}" for i in range(120)])
    frame.to_csv(tmp_path / "named.csv", index=False)
    options = ("--labels", "group", "--clusters", 2, "--seeds", 1, "--epochs", 2, "--quiet", *SMALL)
    said = done("fit", tmp_path / "named.csv", "--out", tmp_path / "model", *options).stderr
    note = "genclust: The column 'sample' differs in every row, and is taken for the names of the rows."
    assert note in said
    assert pd.read_csv(tmp_path / "model" / "clusters.csv").name.tolist() == frame["sample"].tolist()
    frame.iloc[3:5].drop(columns="group").to_csv(tmp_path / "new.csv", index=False)
    result = done("assign", folder / "model", tmp_path / "new.csv")
    assert pd.read_csv(StringIO(result.stdout)).name.tolist() == ["S3", "S4"] and note in result.stderr


# ---- known classes


def known(path: Path, n: int, classes: list[str]) -> pd.DataFrame:
    """Bits of as many kinds as there are classes, of which the first n rows name theirs in the column kind."""
    rng = np.random.default_rng(1)
    kinds = rng.integers(0, len(classes), 120)
    bits = rng.random((120, 12)) < np.eye(len(classes)).repeat(12 // len(classes), 1)[kinds] * 0.9 + 0.05
    frame = pd.DataFrame(bits.astype(int), columns=[f"b{i}" for i in range(12)])
    frame["kind"] = np.where(np.arange(120) < n, np.array(classes)[kinds], "")
    frame.to_csv(path, index=False)
    return frame.assign(kind=np.array(classes)[kinds])


OF_BITS = ("--model", "cagem", "--seeds", 1, "--quiet", "--set=hidden=16", "--set=z1_dim=4", "--set=z2_dim=2")


def test_cagem_learns_from_the_classes_of_some_rows(tmp_path: Path) -> None:
    frame = known(tmp_path / "bits.csv", 40, ["oak", "ash", "elm"])
    long = ("--epochs", 60, "--set=learning_rate=0.01", "--set=batch_size=40", "--set=alpha=1")
    result = done("fit", tmp_path / "bits.csv", "--known-labels", "kind", "--out", tmp_path / "model", *OF_BITS, *long)
    said = flat(result.stdout)
    of_class = {name: int((frame.kind[:40] == name).sum()) for name in ("ash", "elm", "oak")}
    told = ", ".join(f"{k} '{name}' ({n} rows)" for k, (name, n) in enumerate(of_class.items()))
    assert "Learned from 40 rows of known class, " in said and f"clusters and their classes: {told}" in said
    assert "more --clusters leave room for other classes" in said
    assert "ainst the labels" not in result.stdout
    found = pd.read_csv(tmp_path / "model" / "clusters.csv")
    assert f"class, {(found['class'] == frame.kind)[:40].sum()} of which are in the cluster of their class" in said
    assert (found["class"] == found.cluster.map(dict(enumerate(["ash", "elm", "oak"])))).all()
    assert (found["class"] == frame.kind)[40:].mean() > 0.9  # the others; by chance a third
    assert "Clusters from 0 on stand for the known classes: ash, elm, oak" in done("card", tmp_path / "model").stdout
    frame.drop(columns="kind").to_csv(tmp_path / "new.csv", index=False)
    again = pd.read_csv(StringIO(done("assign", tmp_path / "model", tmp_path / "new.csv").stdout))
    assert again["class"].tolist() == found["class"].tolist()


def test_classes_that_cannot_be_learned_from(tmp_path: Path) -> None:
    path, out = tmp_path / "bits.csv", ("--out", tmp_path / "none")
    known(path, 40, ["oak", "ash", "elm"])
    fit = ("fit", path, *out, "--known-labels", "kind")
    assert "--known-labels is for the model cagem" in refused(*fit, "--model", "gumbel")
    assert "and not both" in refused(*fit, *OF_BITS, "--labels", "kind")
    assert "has no column 'kinds'" in refused("fit", path, *out, *OF_BITS, "--known-labels", "kinds")
    told = refused(*fit, *OF_BITS, "--clusters", 2)
    assert told == "genclust: --known-labels name 3 classes, and --clusters 2; each class needs a cluster."
    known(path, 1, ["oak", "ash", "elm"])
    assert "must name the class of two rows at least" in refused(*fit, *OF_BITS, "--clusters", 3)
    known(path, 0, ["oak", "ash", "elm"])
    assert "The known labels 'kind' name no class" in refused(*fit, *OF_BITS)
    assert not (tmp_path / "none").exists()


def test_a_sound_fit_is_warned_of_nothing(fitted: Result) -> None:
    assert not re.search("column|few rows", fitted.stderr)


def test_rows_that_stand_for_a_cluster(fitted: Result, folder: Path) -> None:
    model, X = load(folder / "model"), pd.read_csv(folder / "mine.csv")[COLUMNS]
    probability, z = model.predict_proba(X), model.transform(X).astype(float)
    typical = report.typical_rows(probability, z, 120)
    doubtful, some = report.uncertain_rows(probability, 120), report.random_rows(probability, 120)
    for k in np.flatnonzero(model.cluster_sizes_):
        rows = np.flatnonzero(model.labels_ == k)
        for found in (typical, doubtful, some):
            assert sorted(found[k][found[k] >= 0]) == rows.tolist() and (found[k] < 0).sum() == 120 - len(rows)
        assert (np.diff(probability[doubtful[k][: len(rows)], k]) >= 0).all()
        distances = ((z[typical[k][: len(rows)]] - z[rows].mean(0)) ** 2).sum(1)
        assert (np.diff(distances) >= 0).all()
        assert len(rows) < 10 or some[k][: len(rows)].tolist() != rows.tolist()
        sure = sorted(rows, key=lambda row: (-probability[row, k], row))[: (len(rows) + 1) // 2]
        nearest = min(sure, key=lambda row: ((z[row] - z[sure].mean(0)) ** 2).sum())
        assert report.typical_rows(probability, z, 1)[k] == [nearest]  # no row that could as well be elsewhere
    typical = report.typical_rows(probability, z, report.IMAGES)
    shown: dict[str, np.ndarray] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "cluster_table", lambda *given: shown.update(medoids=given[0], spreads=given[1]))
        report.picture(model, X)
    order = [k for k in np.argsort(-model.cluster_sizes_, kind="stable") if model.cluster_sizes_[k]]
    expected = [X[model.labels_ == k].std(ddof=0) / X.std(ddof=0) for k in order]
    np.testing.assert_allclose(shown["spreads"], expected, rtol=1e-3)
    np.testing.assert_allclose(
        shown["medoids"], ((X - X.mean()) / X.std(ddof=0)).to_numpy()[typical[order, 0]], atol=1e-3
    )


@pytest.mark.parametrize("show", [report.picture, lambda model, X: report.summary(model, X, list(map(str, range(60))))])
def test_rows_go_through_the_network_once_for_their_clusters_and_once_for_their_places(monkeypatch, show) -> None:
    model, passes = tiny("GumbelClustering").fit(images(60)), []
    outputs = model._outputs
    monkeypatch.setattr(model, "_outputs", lambda X, function: passes.append(len(X)) or outputs(X, function))
    show(model, images(60))
    assert passes == [60, 60]


def test_a_style_that_holds_nothing_is_told() -> None:
    model = tiny("GumbelClustering", w_gaussian=7.0).fit(rows(60))
    for held, unused in ((0.01, True), (0.3, False)):
        model.history_ = [{"bound": -3.0, "kl_z": held}] * 20
        said = [caution for caution in cautions.cautions(model) if "style" in caution]
        assert bool(said) is unused
    model.history_ = [{"bound": -3.0, "kl_z": 0.01}] * 20
    (said,) = [caution for caution in cautions.cautions(model) if "style" in caution]
    for history in ([], [{"epoch": 20, "acc_hungarian": 10.0}]):  # of a seed that diverged
        model.history_ = history
        assert not any("style" in caution for caution in cautions.cautions(model))
    assert "style is unused" in said and "lower w_gaussian, which is 7" in said


def test_a_bound_that_still_rises_is_told_from_one_that_shakes() -> None:
    def history(bounds: np.ndarray) -> list[dict[str, float]]:
        return [{"bound": float(bound)} for bound in bounds]

    noise = np.random.default_rng(0).normal(0, 0.3, 200)
    still = cautions.still_rising
    assert still(history(np.linspace(-50, -10, 200))) == pytest.approx(40 * 19 / 199)
    assert still(history(np.linspace(-50, -10, 200) + noise)) > 2
    assert still(history(-10 - 40 * np.exp(-np.arange(200) / 10))) == 0
    assert still(history(-10 + noise)) == still(history(np.linspace(-10, -50, 200))) == still(history([-5])) == 0
    assert still(history([-9, -5])) == pytest.approx(4)


def test_outliers_are_those_beyond_twenty_robust_deviations() -> None:
    model = tiny("GMVAE").fit(blobs(200)[0] * 5 - 2)
    X = np.random.default_rng(0).normal(0, 3, (1000, 5))
    X[4, 1], X[5, 2], X[6, 3] = 30, 75, -75
    X[:, 4] = np.arange(1000) == 3  # mostly equal
    assert cautions.columns_with_outliers(model, X) == ["2", "3"]
    assert cautions.columns_with_outliers(model, pd.DataFrame(X, columns=list("abcde"))) == ["c", "d"]


def test_labels_that_are_unknown_are_not_scored(fitted: Result, folder: Path) -> None:
    frame = pd.read_csv(folder / "mine.csv")
    X, model = frame[COLUMNS], load(folder / "model")
    part, classes = np.where(np.arange(120) < 30, np.arange(120) % 3, -1), np.array([-1, 1])[np.arange(120) % 2]
    np.savez(folder / "part.npz", x=X.to_numpy(float), y=part)
    result = done("fit", folder / "part.npz", "--out", folder / "part", "--clusters=2", "--epochs=1", "--quiet", *SMALL)
    told = "genclust: The label -1 stands for an unknown class; scores are of the 30 of 120 rows with another one."
    assert told in result.stderr.splitlines()
    known = report.scores(model, X[:30], part[:30])
    assert report.scores(model, X, part) == report.scores(model, X, part.astype(str)) == known
    assert told in assigned(folder, frame.assign(group=part), "--labels", "group")[1]
    # Of two classes, -1 may well be one:
    expected = report.scores(model, X, np.where(classes < 0, "no", "yes"))
    assert report.scores(model, X, classes) == expected
    assert "unknown" not in assigned(folder, frame.assign(group=classes), "--labels", "group")[1]


def test_what_a_picture_leaves_out_is_written_below_it(monkeypatch) -> None:
    X, y = blobs(200, d=14, clusters=2)
    X[:, 5] = X[:, 0]  # in which clusters differ as in any
    X[:, [2, 9]] = np.random.default_rng(0).normal(0, 1, (200, 2))  # in which they differ least
    model = tiny("GumbelClustering", n_clusters=2, epochs=40, batch_size=40, learning_rate=0.01).fit(X)
    assert abs(adjusted_rand_score(y, model.labels_)) == 1

    def drawn() -> tuple[set[str], str]:
        figure = report.picture(model, X)
        return {tick.get_text() for tick in figure.axes[0].get_yticklabels()}, figure.get_supxlabel()

    columns = "12 of 14 columns: those in which typical rows differ most"
    names, below = drawn()
    assert len(names) == 12 and below == columns
    monkeypatch.setattr(report, "MOST_CLUSTERS", 1)
    assert drawn()[1] == f"{columns}\n1 of 2 clusters: the largest"
    assert report.picture(model, X[:, :14].reshape(200, 2, 7)).get_supxlabel() == "1 of 2 clusters: the largest"
    monkeypatch.undo()
    X = X[:, :12]
    model = model.fit(X)
    assert drawn()[1] == ""


# ---- assign


def assigned(folder: Path, frame: pd.DataFrame, *options: str, header: bool = True) -> tuple[list[int], str]:
    frame.to_csv(folder / "new.csv", index=False, header=header)
    result = done("assign", folder / "model", folder / "new.csv", *options)
    return pd.read_csv(StringIO(result.stdout)).cluster.tolist(), result.stderr


def test_columns_are_known_by_name(fitted: Result, folder: Path) -> None:
    frame = pd.read_csv(folder / "mine.csv")
    expected = pd.read_csv(folder / "model" / "clusters.csv").cluster.tolist()
    assert len(set(expected)) > 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert assigned(folder, frame[COLUMNS]) == (expected, "")
        assert assigned(folder, frame[COLUMNS[::-1]]) == (expected, "")
    more = frame[["group", *COLUMNS[::-1]]].assign(size=3)
    clusters, said = assigned(folder, more)
    assert clusters == expected and said.count("\n") == 1
    assert said.endswith("new.csv, as the model does not know them: 'group', 'size'.\n")
    clusters, said = assigned(folder, more, "--labels", "group")
    assert clusters == expected and "'size'." in said and "'group'" not in said and "Against the labels" in said
    clusters, said = assigned(folder, frame[COLUMNS], header=False)
    assert clusters == expected and said.endswith(
        "does not name its columns; they are taken in the order of the model's.\n"
    )


def test_columns_that_are_missing(fitted: Result, folder: Path) -> None:
    frame = pd.read_csv(folder / "mine.csv")[COLUMNS]
    path = folder / "new.csv"
    for lacking, said in ((["age"], "column 'age'"), (["age", "income"], "columns 'age', 'income'")):
        frame.drop(columns=lacking).to_csv(path, index=False)
        assert refused("assign", folder / "model", path) == f"genclust: {path} lacks the {said} of the model."
    frame.set_axis(list("abcd"), axis=1).to_csv(path, index=False)
    assert "has none of the model's columns 'height', 'weight', 'age', 'income', but 'a'," in refused(
        "assign", folder / "model", path
    )
    frame.iloc[:, :3].to_csv(path, index=False, header=False)
    said = refused("assign", folder / "model", path)
    assert "expects a table of 4 columns ('height', 'weight', 'age', 'income'), but" in said
    assert said.endswith("new.csv is a table of 3 columns.")


def test_tables_and_images_are_told_apart(fitted: Result, of_images: Result, folder: Path) -> None:
    said = refused("assign", folder / "images", folder / "mine.csv", "--labels", "group")
    assert said == f"genclust: The model expects images of 8 × 8, but {folder / 'mine.csv'} is a table of 4 columns."
    said = refused("assign", folder / "model", folder / "digits")
    assert said.endswith(f"'income'), but {folder / 'digits'} holds images of 8 × 8.")
    (folder / "large").mkdir()
    Image.fromarray(np.zeros((9, 7), np.uint8)).save(folder / "large" / "a.png")
    assert "expects images of 8 × 8, but" in refused("assign", folder / "images", folder / "large")
    assert len(done("assign", folder / "images", folder / "digits").stdout.splitlines()) == 41


def test_paths_that_are_wrong(fitted: Result, folder: Path) -> None:
    assert refused("assign", folder / "modle", folder / "mine.csv").endswith("modle; did you mean 'model'?")
    assert refused("assign", folder / "model", folder / "mien.csv").endswith("mien.csv; did you mean 'mine.csv'?")
    assert refused("fit", folder / "mine.csv", "--out", folder / "model").endswith(
        "give another folder to --out, or delete it."
    )


# ---- sample and card


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--n=0"], "--n must be a whole number of 1 or more, not 0."),
        (["--n=-3", "--cluster=1"], "--n must be a whole number of 1 or more, not -3."),
        (["--cluster=3"], "--cluster must be a whole number from 0 to 2, not 3."),
    ],
)
def test_samples_that_cannot_be_drawn_are_told_by_their_option(
    fitted: Result, folder: Path, options: list[str], said: str
) -> None:
    assert refused("sample", folder / "model", *options) == f"genclust: {said}"


def test_of_a_bound_that_is_none_the_report_and_the_card_say_so(fitted: Result, folder: Path) -> None:
    remark = load(folder / "model").bound_remark
    assert remark.startswith("The bound only approximates the evidence lower bound") and remark in flat(fitted.stdout)
    assert f"- {remark}\n" in (folder / "model" / "card.md").read_text(encoding="utf8")
    options = ("--epochs=1", "--seeds=1", "--quiet", "--ignore=group")
    for model, clusters, told in (("gumbel", "2,3", True), ("gmvae", "2", False), ("gmvae", "2,3", False)):
        out, small = folder / f"remark-{model}-{clusters}", SMALL if model == "gumbel" else ["--set=hidden=8"]
        said = done(
            "fit", folder / "mine.csv", "--out", out, "--model", model, "--clusters", clusters, *options, *small
        )
        assert ("approximates the evidence lower bound" in flat(said.stdout)) is told


def test_what_is_left_of_the_last_row_of_samples_is_white(of_images: Result, folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    done("sample", "images", "--n", 12, "--png")
    pixels = np.asarray(Image.open("samples.png").convert("L"))
    height, width = pixels.shape
    assert (pixels[height * 5 // 8 :, width * 5 // 8 :] == 255).all() and pixels[: height // 2].min() < 100


def test_who_gets_pixels_is_told_how_to_see_them(of_images: Result, folder: Path) -> None:
    assert "with --png they are drawn" in flat(done("sample", folder / "images", "--n", 2).stderr)


def test_samples_of_a_table_are_called_means(fitted: Result, folder: Path) -> None:
    result = done("sample", folder / "model", "--n", 5)
    assert list(pd.read_csv(StringIO(result.stdout))) == COLUMNS and "means of the decoder" in result.stderr


def test_published_models_are_listed_with_what_they_are() -> None:
    (line,) = (line for line in done("card").stdout.splitlines() if "simple-table1/proposed-usps" in line)
    for known in ("USPS", "16 × 16", " 10 ", "accuracy, Hungarian, test (%): 73.39"):
        assert known in line


def test_help_is_plain() -> None:
    for command in ("fit", "assign", "sample", "card"):
        said = flat(done(command, "--help").stdout)
        assert "bool" not in said and "``" not in said and "drawn from" not in said
    assert "samples.png in this folder" in flat(re.sub("[│╭╰─]", " ", done("sample", "--help").stdout))


def test_samples_have_the_line_ends_of_assign(fitted: Result, folder: Path, capfdbinary) -> None:
    for command in (("sample", folder / "model", "--n", 2), ("assign", folder / "model", folder / "mine.csv")):
        written = invoke(*command).stdout_bytes
        assert written.count(b"\n") > 2 and b"\r" not in written


def test_a_picture_of_samples_replaces_nothing(of_images: Result, folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for options, name in (((), "samples.png"), (("--cluster", 1), "samples-cluster-1.png")):
        Path(name).write_text("mine")
        said = refused("sample", folder / "images", "--png", *options)
        assert said.startswith(f"genclust: {name} exists already in this folder; rename or delete it, or ")
        assert Path(name).read_text() == "mine"
    done("sample", folder / "images", "--n", 2)  # prints them


@pytest.mark.parametrize("number", [-1, 2**32])
def test_a_seed_beyond_its_range_is_told_by_its_option(fitted: Result, folder: Path, number: int) -> None:
    said = f"genclust: --random-state must lie between 0 and 4294967295, not {number}."
    assert refused("fit", folder / "no.csv", "--out", folder / "none", f"--random-state={number}") == said
    assert refused("sample", folder / "model", f"--random-state={number}") == said


def test_too_few_rows_are_told_once(folder: Path, tmp_path: Path) -> None:
    pd.read_csv(folder / "mine.csv")[COLUMNS][:4].to_csv(tmp_path / "four.csv", index=False)
    said = refused("fit", tmp_path / "four.csv", "--clusters", 3, "--out", tmp_path / "none", "--quiet")
    assert said == f"genclust: {tmp_path / 'four.csv'} has 4 rows, and 5 or more are needed."


def test_the_home_folder_is_known_to_all_checks(folder: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / "mine.csv", tmp_path)
    fit = ("fit", "~/mine.csv", "--labels=group", "--seeds=1", "--epochs=1", "--quiet", *SMALL)
    for out, clusters in (("m", "2"), ("several", "2,3")):
        done(*fit, f"--out=~/{out}", f"--clusters={clusters}")
        again = refused("fit", "~/no.csv", f"--out=~/{out}")  # before the rows are read
        assert again == f"genclust: {tmp_path / out} exists already; give another folder to --out, or delete it."
    assert len(list(tmp_path.rglob("clusters.png"))) == 3 and not Path("~").exists()


# ---- what is interrupted, or cannot be written


def interrupt(monkeypatch: pytest.MonkeyPatch, call: int) -> None:
    """Ctrl-C while an epoch is measured, the ``call``-th of all fits, counted from 1."""
    point, calls = HeldOut.point, itertools.count(1)

    def stopped(self: HeldOut, epoch: int) -> list[dict[str, float]]:
        if next(calls) == call:
            raise KeyboardInterrupt
        return point(self, epoch)

    monkeypatch.setattr(HeldOut, "point", stopped)


def test_an_interrupt_before_the_first_epoch_is_told(folder: Path, tmp_path: Path, monkeypatch) -> None:
    interrupt(monkeypatch, 1)
    options = ("--labels", "group", "--clusters", 3, "--seeds", 1, "--epochs", 3, "--quiet", *SMALL)
    result = invoke("fit", folder / "mine.csv", "--out", tmp_path / "new", *options)
    assert result.exit_code == 130 and not (tmp_path / "new").exists()
    assert result.stderr == "genclust: Interrupted before the first epoch was done; nothing was kept.\n"


@pytest.mark.parametrize(("call", "kept"), [(2, ["3"]), (4, ["3"]), (6, ["2", "3"])])
def test_an_interrupt_ends_all_numbers_of_clusters(
    folder: Path, tmp_path: Path, monkeypatch, call: int, kept: list[str]
) -> None:
    """Three epochs of each number, the largest first: in its second, in the next one's first and in its third."""
    interrupt(monkeypatch, call)
    options = ("--labels", "group", "--clusters", "2,3", "--seeds", 1, "--epochs", 3, "--quiet", *SMALL)
    result = done("fit", folder / "mine.csv", "--out", tmp_path / "new", *options)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == kept
    lines = [line.split() for line in result.stdout.splitlines() if re.match(r"\s*\d", line)]
    assert sorted(line[0] for line in lines) == kept
    assert ["(interrupted)" in line for line in lines] == {2: [True], 4: [False], 6: [True, False]}[call]
    told = "2 clusters: Interrupted before the first epoch was done; nothing was kept."
    assert (told in result.stderr) is (call == 4)


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """SIGINT interrupts Python also where the tests run in the background of a shell, which has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_before(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, times: int = 1) -> None:
    """Ctrl-C whenever a function is called, as often as told."""
    function, calls = getattr(owner, name), itertools.count()

    def stopped(*given: object, **named: object) -> object:
        if next(calls) < times:
            signal.raise_signal(signal.SIGINT)
        return function(*given, **named)

    monkeypatch.setattr(owner, name, stopped)


#: What is done after training, until the folder is there.
AFTER = [(DeepEstimator, "_keep_best"), (saving, "save"), (report, "assignments"), (report, "picture")]
WHOLE = ["card.md", "clusters.csv", "clusters.png", "estimator.json", "weights.safetensors"]
SHORT = ("--labels=group", "--seeds=1", "--epochs=2", "--quiet", *SMALL)


@pytest.mark.parametrize(("owner", "name"), AFTER)
def test_an_interrupt_after_training_waits_until_the_model_is_written(
    folder: Path, tmp_path: Path, monkeypatch, owner: object, name: str
) -> None:
    interrupt_before(monkeypatch, owner, name)
    result = done("fit", folder / "mine.csv", "--out", tmp_path / "new", "--clusters=3", *SHORT)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == WHOLE
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert result.stderr.count("nterrupted") == 1
    assert f"2 epochs, into {tmp_path / 'new'}" in flat(result.stdout)


@pytest.mark.parametrize(("owner", "name"), AFTER)
def test_a_second_interrupt_leaves_nothing_half_written(
    folder: Path, tmp_path: Path, monkeypatch, owner: object, name: str
) -> None:
    interrupt_before(monkeypatch, owner, name, times=2)
    result = invoke("fit", folder / "mine.csv", "--out", tmp_path / "new", "--clusters=3", *SHORT)
    assert result.exit_code == 130 and result.stderr.splitlines()[-1] == "genclust: Interrupted."
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("owner", "name"), AFTER)
def test_numbers_of_clusters_that_are_done_are_compared_after_an_interrupt(
    folder: Path, tmp_path: Path, monkeypatch, owner: object, name: str
) -> None:
    interrupt_before(monkeypatch, owner, name)
    result = done("fit", folder / "mine.csv", "--out", tmp_path / "new", "--clusters=2,3", *SHORT)
    assert sorted(path.name for path in (tmp_path / "new" / "3").iterdir()) == WHOLE
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["3"]
    assert "with 1 number of clusters" in flat(result.stdout)


@pytest.mark.parametrize("clusters", ["3", "2,3"])
def test_who_interrupts_the_report_is_told_where_the_model_lies(
    folder: Path, tmp_path: Path, monkeypatch, clusters: str
) -> None:
    interrupt_before(monkeypatch, report, "scores")
    out = tmp_path / "new"
    result = invoke("fit", folder / "mine.csv", "--out", out, f"--clusters={clusters}", *SHORT)
    assert result.exit_code == 130
    assert result.stderr.endswith(f"genclust: Interrupted; what was finished lies in {out}, and is whole.\n")
    assert len(list(out.rglob("clusters.png"))) == clusters.count(",") + 1


def test_the_report_names_an_interrupted_fit(folder: Path, tmp_path: Path, monkeypatch) -> None:
    interrupt(monkeypatch, 3)
    options = ("--labels", "group", "--clusters", 2, "--seeds", 1, "--epochs", 9, "--quiet", *SMALL)
    said = done("fit", folder / "mine.csv", "--out", tmp_path / "new", *options).stdout
    assert "2 epochs (interrupted, of 9)" in flat(said)  # the third was about to be measured


def test_a_folder_that_cannot_be_written_is_told_before_the_data_are_read(folder: Path) -> None:
    out = folder / "mine.csv" / "sub"
    said = refused("fit", folder / "missing.csv", "--out", out)
    assert said.startswith(f"genclust: {out} cannot be written (") and said.endswith("; give another folder to --out.")


@pytest.mark.parametrize(
    ("setting", "option"), [("n_clusters=4", "--clusters"), ("epochs=3", "--epochs"), ("n_init=2", "--seeds")]
)
def test_what_has_an_option_is_not_set(folder: Path, setting: str, option: str) -> None:
    said = refused("fit", folder / "mine.csv", "--clusters=2,3", "--out", folder / "none", f"--set={setting}")
    assert said == f"genclust: {setting.split('=')[0]} cannot be given by --set; give {option} instead."


def test_a_list_of_clusters_is_set(folder: Path) -> None:
    said = refused("fit", folder / "no.csv", "--model=vlac", "--out", folder / "none", "--set=n_clusters=[1,2]")
    assert "There is no file" in said


def test_two_columns_of_one_name_are_told_with_the_file(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("a,a,b\n" + "".join(f"{i / 60},{i % 7},{i % 5}\n" for i in range(60)))
    said = refused("fit", path, "--clusters", 2, "--quiet", "--out", tmp_path / "none")
    assert said == f"genclust: {path} has more than one column 'a'; rename them, or leave out all but one."


def test_a_card_that_is_missing(fitted: Result, folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "model", tmp_path / "model")
    (tmp_path / "model" / "card.md").unlink()
    said = refused("card", tmp_path / "model")
    assert said.endswith("card.md cannot be read: No such file or directory; save the model anew.")
