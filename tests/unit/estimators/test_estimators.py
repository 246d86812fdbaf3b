"""Estimators against what can be worked out without them: integrals, single runs, other forms of the same data."""

import itertools
import math
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import check_random_state

import genclust
from estimators.tiny import CLUSTERERS, DENSITIES, GENERATIVE, NAMES, blobs, images, rows, tiny
from genclust import GMVAE, GumbelClustering
from genclust.data.tables import read_table
from genclust.estimators import base
from genclust.estimators.base import HeldOut, encoder_input
from genclust.estimators.inputs import CHUNK, Scaling
from genclust.models import MODELS
from genclust.models.networks import gaussian
from genclust.streams import Noise
from genclust.training.loop import Training, TrainingSettings
from genclust.training.schedules import Schedule


def bits_of(fitted, X):
    """The bits that the estimator makes of rows, ``[1, N, D]``."""
    return encoder_input(fitted.model_, fitted.scaling_.apply(X))[None]


def bernoulli(logits, bits):
    """Σ log p(x|·) in float64, ``[N, G]``, of bits ``[N, D]`` under logits ``[G, D]``."""
    on, off = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
    return bits @ on.T + (1 - bits) @ off.T


def normal(x, mean=0.0, variance=1.0):
    return -0.5 * (np.log(2 * np.pi * variance) + (x - mean) ** 2 / variance)


def double(tensor):
    return tensor.detach().double().numpy()


# ---- likelihoods


@pytest.mark.parametrize("name", ["VAE", "IWAE", "LVAE"])
@torch.no_grad()
def test_score_samples_is_the_logarithm_of_the_integral_over_z(name):
    """p(x) = ∫ p(x|z) N(z; 0, 1) dz, by the trapezium rule."""
    X = rows(200)
    learned = {"epochs": 30, "batch_size": 20, "learning_rate": 0.003, "random_state": 2}
    fitted = tiny(name, z_dims=(1,), hidden=(16,), **learned).fit(X)
    z = np.linspace(-9, 9, 6001)
    logits = double(fitted.model_.logits(torch.tensor(z, dtype=torch.float32)[None, :, None]))[0]
    log_joint = bernoulli(logits, double(bits_of(fitted, X))[0]) + normal(z)
    step = np.full(len(z), z[1] - z[0])
    step[[0, -1]] /= 2
    exact = logsumexp(log_joint + np.log(step), axis=1)
    estimate = fitted.score_samples(X, n_samples=4000)
    assert exact.std() > 1  # rows differ, by more than what is tolerated
    np.testing.assert_allclose(estimate, exact, atol=0.06)
    assert abs((estimate - exact).mean()) < 0.005
    assert fitted.score(X) == pytest.approx(fitted.score_samples(X).mean(), abs=1e-4)
    lower = fitted.score_samples(X, n_samples=1)  # E log w ≤ log E w
    assert lower.mean() < estimate.mean() - 0.01


@torch.no_grad()
def test_score_samples_of_cagem_is_the_logarithm_of_the_sum_over_y_and_the_integrals():
    r"""p(x) = ∫ Σ_y p(x|y, z1) [∫ p(z1|y, z2) p(y|z2) p(z2) dz2] dz1 on a grid."""
    X, labels = blobs(60, d=6)
    fitted = tiny("CaGeM", z1_dim=1, z2_dim=1, epochs=10, batch_size=20, learning_rate=0.002).fit(X, labels=labels)
    X, model, K = X[:20], fitted.model_, 3
    for q in (model.q_z1, model.q_z2):  # wider than they learned to be, so that no weight is large
        q.norms["raw_variance"].weight.zero_()
        q.norms["raw_variance"].bias.fill_(4)
    z2 = torch.linspace(-7, 7, 1401)[None, :, None]
    z1 = torch.linspace(-15, 15, 3001)[None, :, None]
    log_p_y = double(model.p_y(model.p_y.project(z2=z2))["logits"].log_softmax(-1))[0]
    p_z1 = gaussian(model.p_z1(model.p_z1.project(z2=z2)))
    logits = double(model.p_x(model.p_x.project(z1=z1))["logits"])[0]
    mean, variance = double(p_z1.mean)[0, ..., 0], double(p_z1.variance)[0, ..., 0]
    z1, z2 = double(z1)[0, :, 0], double(z2)[0, :, 0]
    step, bits, prior = np.log(z1[1] - z1[0]), double(bits_of(fitted, X))[0], []
    for y in range(K):
        log_z1 = normal(z1[:, None], mean[:, y], variance[:, y]) + log_p_y[:, y] + normal(z2)
        prior.append(logsumexp(log_z1, axis=1) + np.log(z2[1] - z2[0]))
    assert logsumexp(np.stack(prior)) + step == pytest.approx(0, abs=1e-4)  # the grid is fine enough, and wide enough
    exact = logsumexp(np.stack([prior[y] + bernoulli(logits[:, y], bits) for y in range(K)]), axis=(0, 2)) + step
    estimate = fitted.score_samples(X, n_samples=20_000)
    np.testing.assert_allclose(estimate, exact, atol=0.1)
    assert abs((estimate - exact).mean()) < 0.02 and exact.std() > 0.2


@pytest.mark.parametrize("name", DENSITIES)
def test_the_likelihood_of_a_row_does_not_depend_on_its_neighbours(name):
    X = np.concatenate([rows(250), rows(250)[::-1]])  # more than are scored at once, each twice
    fitted = tiny(name).fit(X[:60])
    scores = fitted.score_samples(X, n_samples=60)
    np.testing.assert_allclose(scores, scores[::-1], atol=1e-4)
    np.testing.assert_allclose(fitted.score_samples(X[[333]], n_samples=60), scores[333], atol=1e-4)
    np.testing.assert_array_equal(scores, fitted.score_samples(X, n_samples=60))
    assert scores.std() > 0.5


def test_bits_are_on_as_often_as_their_grey_value_says():
    model, n = tiny("VAE").fit(rows(60)).model_, 40_000
    levels = torch.tensor([0.0, 0.2, 0.5, 0.93, 1.0])
    bits = encoder_input(model, levels[:, None].expand(-1, n))
    sd = (levels * (1 - levels) / n).sqrt()
    assert ((bits.mean(1) - levels).abs() <= 5 * sd).all() and set(bits.unique().tolist()) == {0, 1}
    assert torch.equal(bits[2], encoder_input(model, levels[[2, 2]][:, None].expand(-1, n))[1])
    other = tiny("GumbelClustering").fit(rows(60)).model_
    assert torch.equal(encoder_input(other, bits * 0.3), bits * 0.3)


def test_bits_of_a_column_are_on_as_often_as_its_grey_values_say():
    """In every column: with thresholds that all rows share, some columns would be on in all rows, others in none."""
    model, n = tiny("VAE").fit(rows(60)).model_, 5000
    x = torch.rand(n, 300, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.1, 1, 300)
    bits = encoder_input(model, x)
    error = (bits - x).mean(0) / ((x * (1 - x)).mean(0) / n).sqrt()
    assert error.abs().max() < 5 and error.std() == pytest.approx(1, abs=0.2)
    # noise of two rows, or two columns, has nothing in common
    noise = (bits - x) / (x * (1 - x)).sqrt()
    assert (noise[::2] * noise[1::2]).mean().abs() < 5 / math.sqrt(n / 2 * 300)
    assert (noise[:, ::2] * noise[:, 1::2]).mean().abs() < 5 / math.sqrt(n * 150)


# ---- clusters


@pytest.mark.parametrize("name", CLUSTERERS)
def test_posteriors_labels_and_sizes_agree(name):
    X = rows(150)
    fitted = tiny(name, n_init=3).fit(X)
    posterior = fitted.predict_proba(X)
    assert posterior.shape == (150, 3) and (posterior >= 0).all()
    np.testing.assert_allclose(posterior.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(fitted.predict(X), posterior.argmax(1))
    np.testing.assert_array_equal(fitted.predict(X), fitted.labels_)
    np.testing.assert_array_equal(fitted.all_labels_[fitted.best_], fitted.labels_)
    assert fitted.all_labels_.shape == (3, 150) and len(fitted.seeds_) == len(fitted.histories_) == 3
    assert fitted.cluster_sizes_.tolist() == [(fitted.labels_ == k).sum() for k in range(3)]
    for k, mean in enumerate(fitted.mean_probabilities_):
        of_cluster = posterior[fitted.labels_ == k, k]
        assert np.isnan(mean) if len(of_cluster) == 0 else mean == pytest.approx(of_cluster.mean(), abs=1e-5)
    np.testing.assert_array_equal(clone(fitted).fit_predict(X), fitted.labels_)


def accuracy(predicted, y):
    """Of the best assignment of three clusters to three classes."""
    return max((np.array(names)[predicted] == y).mean() for names in itertools.permutations(range(3)))


@pytest.fixture(scope="module")
def separated():
    """Estimators that know three blobs apart, one with a Bernoulli and one with a Gaussian likelihood."""
    X, y = blobs()
    gumbel = GumbelClustering(3, hidden=(16, 8), feature_dim=8, latent_dim=1, w_gaussian=5, epochs=40, batch_size=50,
                              learning_rate=0.01, n_init=3, random_state=0).fit(X)  # fmt: skip
    gmvae = GMVAE(3, hidden=16, x_dim=2, w_dim=2, epochs=60, batch_size=50, learning_rate=0.01, n_init=3,
                  likelihood="gaussian", random_state=0).fit(X)  # fmt: skip
    return {"GumbelClustering": gumbel, "GMVAE": gmvae}, X, y


@pytest.mark.parametrize("name", ["GumbelClustering", "GMVAE"])
def test_samples_of_a_cluster_are_predicted_to_be_of_it_and_look_like_it(separated, name):
    fitted, X, y = separated[0][name], *separated[1:]
    assert accuracy(fitted.labels_, y) > 0.98
    for cluster in range(3):
        drawn = fitted.sample(200, random_state=1, cluster=cluster)
        assert drawn.shape == (200, 8) and (fitted.predict(drawn) == cluster).mean() > 0.95
        # Columns of two clusters are 0.8 apart; forty epochs leave up to 0.1 between them and the data, by processor.
        np.testing.assert_allclose(drawn.mean(0), X[fitted.labels_ == cluster].mean(0), atol=0.2)
    assert not np.array_equal(fitted.sample(5, random_state=1), fitted.sample(5, random_state=2))
    np.testing.assert_array_equal(fitted.sample(5, random_state=1), fitted.sample(5, random_state=1))


def same_moments(a, b):
    """Two independent samples ``[n, D]`` with means and mean squares within five standard errors of each other."""
    for power in (1, 2):
        p, q = a.astype(float) ** power, b.astype(float) ** power
        error = np.sqrt(p.var(0) / len(p) + q.var(0) / len(q))
        assert (np.abs(p.mean(0) - q.mean(0)) <= 5 * error + 1e-9).all(), (p.mean(0) - q.mean(0)) / error


@pytest.mark.parametrize("name", [name for name in CLUSTERERS if name in GENERATIVE])
def test_all_clusters_together_are_the_model(name):
    """Σ_k p(k) p(x|k) = p(x), in moments; of CaGeM and for its own p(y), up to the few candidates that it draws."""
    fitted = tiny(name, epochs=8, batch_size=20, learning_rate=0.02).fit(blobs(120)[0])
    if name == "GMVAE":  # whose clusters hang on w, more than it has learned yet
        with torch.no_grad():
            fitted.model_.prior[0].weight.mul_(5)
            fitted.model_.prior_means.weight.mul_(10)
    n = 3000
    drawn = fitted.sample(3 * n, random_state=0)
    if name == "CaGeM":
        model = fitted.model_
        with torch.no_grad():
            z2 = torch.randn(1, 200_000, 2, generator=torch.Generator().manual_seed(0))
            p_y = double(model.p_y(model.p_y.project(z2=z2))["logits"].softmax(-1).mean((0, 1)))
        counts = (p_y * 3 * n).round().astype(int)
    else:
        counts = np.full(3, n)
    each = [fitted.sample(max(int(count), 1), random_state=1 + k, cluster=k) for k, count in enumerate(counts)]
    same_moments(drawn, np.concatenate(each))


@torch.no_grad()
def test_samples_have_the_moments_of_draws_by_hand(separated):
    generator, n = torch.Generator().manual_seed(0), 20_000

    def draw(*shape):
        return torch.randn(1, n, *shape, generator=generator)

    k = torch.randint(3, (n,), generator=generator)
    gumbel, gmvae = separated[0].values()
    decoded = gumbel.model_.decode(draw(1), torch.eye(3)[k][None])[0]
    same_moments(gumbel.sample(n, random_state=3), decoded.numpy())

    model = gmvae.model_
    p_x = model.p_x(draw(2))
    at = (0, torch.arange(n), k)
    x = p_x.mean[at] + (0.5 * p_x.log_var[at]).exp() * draw(2)[0]
    by_hand = model.p_y(x[None]).mean[0].numpy() * gmvae.scaling_.scale + gmvae.scaling_.shift
    same_moments(gmvae.sample(n, random_state=3), by_hand)


@pytest.mark.parametrize("name", [name for name in CLUSTERERS if name in GENERATIVE])
@torch.no_grad()
def test_a_cluster_is_drawn_from_as_the_model_draws_from_all_of_them(name):
    """Where no other draws are spared, the very same; else the same distribution."""
    fitted = tiny(name, epochs=8, batch_size=20, learning_rate=0.02).fit(blobs(120)[0])
    model, s, n = fitted.model_, fitted.model_.settings, 2000
    seed = int(check_random_state(0).randint(2**31 - 1))
    noise = Noise([seed], "samples of an estimator")
    if name == "GMVAE":  # whose model has w = 0 there
        p_x = model.p_x(noise.normal(n, s.w_dim))
        every = model.decode(p_x.draw(noise.normal(n, s.x_dim)[:, :, None])).transpose(1, 2)[0]
    else:
        every = model.sample_clusters(n, noise)[0]
    for k, expected in enumerate(every.numpy()):
        drawn = fitted.sample(n, random_state=0, cluster=k)
        same_moments(drawn, expected)
        if name in ("GumbelClustering", "GMVAE"):
            np.testing.assert_allclose(drawn, expected, atol=1e-6)


@pytest.mark.parametrize("name", GENERATIVE)
def test_no_more_samples_are_made_at_once_than_rows_are_shown(name):
    """And of one cluster no more than are asked for."""
    fitted, n, seen = tiny(name, epochs=1).fit(rows(60)), CHUNK + 300, []
    for module in fitted.model_.modules():
        module.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[1]) if args else None)
    for which in ({}, {"cluster": 1}) if name in CLUSTERERS else ({},):
        assert len(fitted.sample(n, random_state=0, **which)) == n and max(seen) == CHUNK
        np.testing.assert_array_equal(
            fitted.sample(n, random_state=0, **which)[:CHUNK], fitted.sample(CHUNK, random_state=0, **which)
        )


def test_classes_are_known_by_text_as_by_number(tmp_path):
    X, numbers = rows(60), np.where(np.arange(60) < 30, np.arange(60) % 3, -1)
    texts = np.array(["2", "10", "b", ""])[numbers]  # numbers by their size, before text
    fitted = tiny("CaGeM", random_state=0).fit(X, labels=numbers)
    assert not hasattr(fitted, "class_names_")
    for given in (
        texts,
        texts.tolist(),
        pd.Series(texts, dtype=object).replace("", None),
        np.where(texts == "", np.nan, texts.astype(object)),
    ):
        named = tiny("CaGeM", random_state=0).fit(X, labels=given)
        assert named.class_names_ == ["2", "10", "b"]
        np.testing.assert_array_equal(named.predict_proba(X), fitted.predict_proba(X))
    named.save(tmp_path / "model")
    assert genclust.load(tmp_path / "model").class_names_ == ["2", "10", "b"]
    assert not hasattr(named.fit(X, labels=numbers), "class_names_")  # and none of the fit before
    with pytest.warns(UserWarning, match="takes known classes as labels; y is not used"):
        tiny("CaGeM").fit(X, numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        tiny("CaGeM").fit(X, numbers, labels=numbers)


def test_unknown_classes_are_those_of_the_command_line(tmp_path):
    X, K = rows(60), np.arange(60) % 3
    known = np.where(np.arange(60) < 30, K, -1)
    fitted = tiny("CaGeM").fit(X, labels=known)
    for given in (
        np.where(known < 0, np.nan, known),
        pd.array(known, dtype="Int64").astype(object).tolist(),
        pd.Series(known, dtype="Int64").mask(known < 0),
        [None if k < 0 else k for k in known],
    ):
        np.testing.assert_array_equal(tiny("CaGeM").fit(X, labels=given).predict_proba(X), fitted.predict_proba(X))
    texts = [f" {'abc'[k]}" for k in K[:30]] + [" ", "NA", "n/a", "NaN", "<NA>", "null", "-1 ", "", None, np.nan] * 3
    pd.DataFrame(X).assign(kind=texts).to_csv(tmp_path / "some.csv", index=False)
    for given in (texts, read_table(tmp_path / "some.csv", "kind", partly=True).labels):
        named = tiny("CaGeM").fit(X, labels=given)
        assert named.class_names_ == ["a", "b", "c"]
        np.testing.assert_array_equal(named.predict_proba(X), fitted.predict_proba(X))


def test_a_few_labels_name_the_clusters_of_cagem():
    X, y = blobs(150, d=16)
    labels = np.full(150, -1)
    for k in range(3):
        labels[np.flatnonzero(y == k)[:3]] = (k + 1) % 3  # not the order in which blobs were made
    fitted = tiny("CaGeM", z1_dim=4, hidden=16, epochs=15, batch_size=30, learning_rate=0.01, alpha=1.0)
    fitted.fit(X, labels=labels)
    assert (fitted.predict(X) == (y + 1) % 3).mean() > 0.97
    np.testing.assert_array_equal(fitted.fit_predict(X, labels=labels), fitted.labels_)


@pytest.mark.parametrize("seed", range(12))
def test_no_labelled_row_is_held_out(monkeypatch, seed):
    seen = []

    class Spy(Training):
        def __init__(self, model, seeds, x, settings, device="cpu", capture=None, labelled=None):
            seen.append(x[labelled[0][0]])
            super().__init__(model, seeds, x, settings, device, capture, labelled)

    monkeypatch.setattr(base, "Training", Spy)
    X, labels = rows(20), np.full(20, -1)
    labels[[3, 17]] = 0, 2
    tiny("CaGeM", epochs=1, validation_fraction=0.9, random_state=seed).fit(X, labels=labels)
    np.testing.assert_allclose(seen[0].numpy(), X[[3, 17]], atol=1e-7)


@torch.no_grad()
def test_z2_of_a_cluster_of_cagem_is_drawn_from_its_posterior(monkeypatch):
    """E[z2|y] = ∫ z2 p(y|z2) N(z2; 0, 1) dz2 / ∫ p(y|z2) N(z2; 0, 1) dz2."""
    X, labels = blobs(60)
    fitted = tiny("CaGeM", z2_dim=1, epochs=20, batch_size=30, learning_rate=0.02, alpha=5.0).fit(X, labels=labels)
    model = fitted.model_
    z2 = torch.linspace(-8, 8, 4001)[None, :, None]
    p = double(model.p_y(model.p_y.project(z2=z2))["logits"].softmax(-1))[0]
    z = double(z2)[0, :, 0]
    weights = p * np.exp(normal(z))[:, None]
    mean = (weights * z[:, None]).sum(0) / weights.sum(0)
    sd = np.sqrt((weights * z[:, None] ** 2).sum(0) / weights.sum(0) - mean**2)
    monkeypatch.setattr(type(model), "sample_given", lambda self, z2, y, noise: z2)
    n = 4000
    for cluster in range(3):
        drawn = fitted.sample(n, random_state=cluster, cluster=cluster)[:, 0]
        # one of a hundred candidates: the bias is below a hundredth
        assert abs(drawn.mean() - mean[cluster]) < 5 * sd[cluster] / math.sqrt(n) + 0.02
        assert drawn.std() == pytest.approx(sd[cluster], rel=0.1)
    assert np.ptp(mean) > 0.5


def test_layers_of_vlac_are_the_posteriors_of_its_model():
    X = images(60)
    fitted = tiny("VLAC", n_clusters=(3, 4), scored_layer=1).fit(X)
    layers = fitted.predict_layers(X)
    assert {name: labels.shape for name, labels in layers.items()} == {"y1": (60,), "y2": (60,)}
    np.testing.assert_array_equal(layers["y1"], fitted.predict(X))
    with torch.no_grad():
        posteriors = fitted.model_.layer_posteriors(torch.tensor(rows(60), dtype=torch.float32)[None])
    np.testing.assert_array_equal(layers["y2"], posteriors["y2"][0].argmax(-1).numpy())
    assert len(np.unique(layers["y2"])) > 1
    without = tiny("VLAC", n_clusters=(1, 1)).fit(X)
    assert without.predict_layers(X) == {} and (without.predict_proba(X) == 1).all()


def test_all_layers_of_vlac_are_predicted_in_one_pass(monkeypatch):
    fitted, passes = tiny("VLAC", n_clusters=(3, 4)).fit(images(60)), []
    shown = fitted.model_.layer_posteriors
    monkeypatch.setattr(fitted.model_, "layer_posteriors", lambda x: passes.append(len(x[0])) or shown(x))
    assert len(fitted.predict_layers(images(60))) == 2 and passes == [60]


# ---- seeds


def alone(fitted, X, seed):
    """One seed of a fitted estimator by the loop itself: its model, and the rows that were held out."""
    rng = check_random_state(0)
    order = rng.permutation(len(X))
    assert rng.randint(2**31 - 1, size=len(fitted.seeds_)).tolist() == fitted.seeds_
    n = round(0.1 * len(X))
    x = torch.tensor(X, dtype=torch.float32)
    held_out, rest = x[np.sort(order[:n])], x[np.sort(order[n:])]
    module, _ = MODELS[fitted.model_name]
    schedules = {"learning_rate": Schedule.of(0.001), "temperature": Schedule("exponential", 1.0, 0.5, 6 / 3)}
    settings = TrainingSettings(schedules, 6, 32, adam_epsilon=5e-6 if fitted.model_name == "iwae" else 1e-8)
    run = Training(module(1, X.shape[1], fitted.model_.settings), [seed], rest, settings)
    run.run(lambda epoch: [{}], [])
    return run.model, held_out


@pytest.mark.parametrize("name", ["GumbelClustering", "GMVAE", "VAE"])
def test_seeds_side_by_side_are_what_each_is_alone(name):
    X = rows(100)
    fitted = tiny(name, epochs=6, batch_size=32, learning_rate=0.001, n_init=3).fit(X)
    assert len(set(fitted.seeds_)) == 3 and np.ptp(fitted.bounds_) > 0.01
    assert fitted.best_ == fitted.bounds_.argmax() and fitted.bound_ == fitted.bounds_.max()
    for r, seed in enumerate(fitted.seeds_):
        model, held_out = alone(fitted, X, seed)
        noise = Noise([base.SEED_OF_USE], "held-out rows")
        with torch.no_grad():
            bound = model.elbo(model.loss(held_out[None], {"temperature": 0.5}, noise).terms).mean()
            features = next(iter(model.embed(encoder_input(model, torch.tensor(X).float())[None]).values()))[0]
        # A bias before batch normalisation has no effect and no gradient, except for rounding errors, which Adam makes
        # whole steps of; running statistics show them.  The VAE has none.
        rel, atol = (1e-6, 1e-5) if name == "VAE" else (1e-3, 0.02)
        assert float(bound) == pytest.approx(fitted.bounds_[r], rel=rel)
        assert fitted.histories_[r][-1]["bound"] == pytest.approx(fitted.bounds_[r], rel=1e-6)
        assert [point["epoch"] for point in fitted.histories_[r]] == [1, 2, 3, 4, 5, 6]
        if r == fitted.best_:
            np.testing.assert_allclose(fitted.transform(X), features.numpy(), atol=atol)
            assert fitted.history_ == fitted.histories_[r] and features.std() > 0.01
            # the model that was kept has the bound of its seed, on the rows that no seed saw
            if name != "VAE":
                assert fitted.score(held_out.numpy()) == pytest.approx(fitted.bound_, rel=1e-5)


@pytest.mark.parametrize("name", ["GumbelClustering", "VLAC"])
def test_a_score_is_taken_as_training_ended_whatever_is_set_since(name):
    X = rows(60)
    fitted = tiny(name, temperature=(1.0, 0.5)).fit(X)
    score = fitted.score(X)
    for changed in ({"temperature": 5.0}, {"epochs": 1000}):
        assert fitted.set_params(**changed).score(X) == score
    assert fitted.scheduled_["temperature"] == pytest.approx(0.5)
    fitted.scheduled_["temperature"] = 5.0  # which does matter
    assert fitted.score(X) != pytest.approx(score, abs=1e-4)


@torch.no_grad()
def test_the_gaussian_bound_is_higher_by_the_constant_that_it_leaves_out():
    """With one cluster, in which nothing is relaxed, against PyTorch's densities."""
    X = 7 * rows(60) + 3
    fitted = tiny("GumbelClustering", n_clusters=1, epochs=5).fit(X)
    model, x = fitted.model_, fitted.scaling_.apply(X)[None]
    noise = Noise([base.SEED_OF_USE], "held-out rows")
    noise.uniform(60, 1)  # of the cluster
    q_z = model.q_z(model.encoder(x))
    z = q_z.draw(noise.normal(60, 2))
    p_x = torch.distributions.Normal(model.p_x(z, torch.ones(1, 60, 1)), math.sqrt(0.5))
    q, p = torch.distributions.Normal(q_z.mean, q_z.sd), torch.distributions.Normal(0.0, 1.0)
    elbo = (p_x.log_prob(x).double().sum(-1) - torch.distributions.kl_divergence(q, p).double().sum(-1)).mean()
    assert fitted.score(X) - float(elbo) == pytest.approx(32 * math.log(math.pi), abs=1e-3)
    assert "leaves out the constant of the Gaussian likelihood, by which it is 36.6 nats per row" in fitted.bound_remark


@pytest.mark.parametrize("name", NAMES)
def test_of_a_relaxed_bound_it_is_said_that_it_is_none(name):
    relaxed = "relaxed" in tiny(name).fit(rows(60)).bound_remark
    assert relaxed is (name in ("GumbelClustering", "VLAC"))
    if name == "VLAC":
        assert tiny(name, n_clusters=(1, 1)).fit(rows(60)).bound_remark == ""


@pytest.mark.parametrize("name", NAMES)
def test_products_in_bfloat16_end_near_those_in_float32(name):
    X = images() if name == "VLAC" else blobs()[0]
    settings = {"epochs": 20, "batch_size": 64, "learning_rate": 0.003}
    full, half = (tiny(name, precision=precision, **settings).fit(X).bound_ for precision in ("float32", "bf16"))
    assert abs(full) > 0.5 and full != half == pytest.approx(full, rel=0.1)  # training amplifies the rounding


@pytest.mark.parametrize("changed", [{"n_init": 3}, {"n_clusters": 5}, {"epochs": 1}], ids=str)
def test_the_same_rows_are_held_out_whatever_else_changes(monkeypatch, changed):
    held_out, HeldOut = [], base.HeldOut

    class Spy(HeldOut):
        def __init__(self, model, x, settings):
            held_out.append(x)
            super().__init__(model, x, settings)

    monkeypatch.setattr(base, "HeldOut", Spy)
    first, second = (tiny("GumbelClustering", **more).fit(rows(60)) for more in ({}, changed))
    assert held_out[0].shape == (6, 64) and torch.equal(*held_out)
    assert second.seeds_[: len(first.seeds_)] == first.seeds_


# ---- seeds that fail, and people who interrupt


def failing(monkeypatch, name, what):
    """Let ``what(calls, objective)`` change the objective of every training step."""
    module, _ = MODELS[tiny(name).model_name]
    loss, calls = module.loss, itertools.count()

    def changed(self, *args):
        if not self.training or not torch.is_grad_enabled():
            return loss(self, *args)
        call, before = next(calls), {name: buffer.clone() for name, buffer in self.named_buffers()}
        result = loss(self, *args)
        try:
            return type(result)(what(call, result.objective), result.terms)
        except KeyboardInterrupt:  # as if it had come before the step
            for name, buffer in self.named_buffers():
                buffer.copy_(before[name])
            raise

    monkeypatch.setattr(module, "loss", changed)


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_a_failed_seed_is_never_kept_however_good_its_bound(monkeypatch, bad):
    """It stops at the first step, before it has learned anything; the others learn worse and worse."""
    sign = torch.ones(3).where(torch.arange(3) == bad, -torch.ones(3))  # the others climb
    nan = torch.zeros(3).where(torch.arange(3) != bad, torch.tensor(torch.nan))
    failing(monkeypatch, "GumbelClustering", lambda call, objective: objective * sign + (nan if call else 0))
    fitted = tiny("GumbelClustering", n_init=3, epochs=4, batch_size=20, learning_rate=0.01).fit(rows(100))
    assert fitted.best_ != bad and fitted.bounds_[bad] == -np.inf and fitted.bound_ == fitted.bounds_.max()
    others = [r for r in range(3) if r != bad]
    assert fitted.histories_[bad][-1]["bound"] > max(fitted.histories_[r][-1]["bound"] for r in others)
    assert np.isfinite(fitted.predict_proba(rows(100))).all() and fitted.all_labels_.shape == (3, 100)


def test_one_seed_failed_and_the_others_without_a_bound_is_no_estimator(monkeypatch):
    nan = torch.tensor([torch.nan, 0.0])
    failing(monkeypatch, "GMVAE", lambda call, objective: objective + nan)
    elbo = MODELS["gmvae"][0].elbo
    monkeypatch.setattr(
        MODELS["gmvae"][0], "elbo", lambda self, terms: elbo(self, terms) * torch.tensor([[1.0], [torch.nan]])
    )
    with pytest.raises(ValueError, match="Training diverged"):
        tiny("GMVAE", n_init=2).fit(rows(60))


@pytest.mark.parametrize("name", NAMES)
def test_training_that_diverges_is_refused_in_one_sentence(name):
    estimator = tiny(name, learning_rate=1e30, n_init=2, batch_size=20, epochs=3)
    with pytest.raises(ValueError, match=r"^Training diverged: [^.\n]*smaller learning_rate[^.\n]*\.$"):
        estimator.fit(rows(60))
    assert not hasattr(estimator, "model_")


def test_a_last_step_that_diverges_is_noticed_too():
    with pytest.raises(ValueError, match=r"^Training diverged"):
        tiny("VAE", learning_rate=1e30, batch_size=200, epochs=1).fit(rows(60))


def interrupting(call_to_stop):
    def what(call, objective):
        if call == call_to_stop:
            raise KeyboardInterrupt
        return objective

    return what


@pytest.mark.parametrize("name", ["GumbelClustering", "CaGeM", "LVAE"])
def test_an_interrupt_keeps_what_was_learned(monkeypatch, name):
    """Four steps an epoch; interrupted in the first of the third epoch, it is what two epochs give."""
    constant = {"temperature": 0.7} if name == "GumbelClustering" else {"warm_up": 0}
    expected = tiny(name, epochs=2, batch_size=27, n_init=2, **constant).fit(rows(120))
    with monkeypatch.context() as patch:
        failing(patch, name, interrupting(8))
        with pytest.warns(UserWarning, match=r"interrupted after epoch 2 of 9; what was learned is kept\.") as warned:
            fitted = tiny(name, epochs=9, batch_size=27, n_init=2, **constant).fit(rows(120))
    assert warned[0].filename == __file__  # the line that called fit
    assert fitted.n_epochs_ == len(fitted.history_) == 2
    np.testing.assert_array_equal(fitted.bounds_, expected.bounds_)
    np.testing.assert_array_equal(fitted.transform(rows(30)), expected.transform(rows(30)))
    assert np.isfinite(fitted.score(rows(30)))


@pytest.mark.parametrize("name", ["GumbelClustering", "CaGeM"])
def test_an_interrupt_after_the_last_epoch_changes_nothing(monkeypatch, name):
    """Nor a second one, but that the estimator is not fitted."""
    expected, fitted = tiny(name, n_init=2).fit(rows(120)), tiny(name, n_init=2)
    describe, calls = type(fitted)._describe_rows, itertools.count()

    def stopped(self, *given):
        describe(self, *given)
        if next(calls) < times:
            raise KeyboardInterrupt

    monkeypatch.setattr(type(fitted), "_describe_rows", stopped)
    times = 2
    with pytest.warns(base.Interrupted), pytest.raises(KeyboardInterrupt):
        fitted.fit(rows(120))
    assert not hasattr(fitted, "model_")
    times = 3  # once more
    with pytest.warns(base.Interrupted, match=r"interrupted after epoch 2 of 2; what was learned is kept\."):
        fitted.fit(rows(120))
    assert fitted.bounds_.tolist() == expected.bounds_.tolist()
    np.testing.assert_array_equal(fitted.transform(rows(30)), expected.transform(rows(30)))


def test_an_interrupt_before_the_first_epoch_is_an_interrupt(monkeypatch):
    """And leaves an estimator that was fitted before as it was."""
    fresh, fitted = tiny("GMVAE"), tiny("GMVAE", n_clusters=2).fit(rows(60))
    before = fitted.predict_proba(rows(60))
    for estimator in (fresh, fitted.set_params(n_clusters=3, scale="minmax")):
        failing(monkeypatch, "GMVAE", interrupting(0))
        with pytest.raises(KeyboardInterrupt):
            estimator.fit(np.random.default_rng(0).random((50, 16)) * 3)
    assert not [name for name in vars(fresh) if name.endswith("_")]
    np.testing.assert_array_equal(fitted.predict_proba(rows(60)), before)


# ---- forms of the same data


@pytest.mark.parametrize("name", NAMES)
def test_the_form_of_the_data_does_not_matter(name):
    X, pictures = rows(60), images(60)
    forms = {
        "rows": X,
        "float32": X.astype(np.float32),
        "float16": X.astype(np.float16),
        "fortran": np.asfortranarray(X),
        "lists": X.tolist(),
        "pandas": pd.DataFrame(X, columns=[f"pixel {i}" for i in range(64)]),
        "torch": torch.tensor(X, requires_grad=True),
        "bfloat16": torch.tensor(X).bfloat16(),
        "sparse": sparse.csr_array(X),
    }
    if name not in ("VLAC", "SplitMerge"):  # which see more in an image than in a row
        forms |= {"images": pictures, "list of images": list(pictures), "colour": pictures[..., None]}
        forms |= {"torch images": torch.tensor(pictures)}
    method = "predict_proba" if name in CLUSTERERS else "score_samples"
    expected = getattr(tiny(name).fit(X), method)(X)
    assert expected.std() > 0
    for form, data in forms.items():
        fitted = tiny(name).fit(data)
        assert fitted.n_features_in_ == 64
        np.testing.assert_array_equal(getattr(fitted, method)(data), expected, err_msg=form)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X does not have valid feature names")
            np.testing.assert_array_equal(getattr(fitted, method)(X), expected, err_msg=form)


def test_images_of_vlac_may_be_rows_whose_shape_is_given():
    X = 7 * rows(60) + 3
    a = tiny("VLAC").fit(X.reshape(60, 8, 8))
    b = tiny("VLAC", image_shape=(8, 8)).fit(X)
    np.testing.assert_array_equal(a.predict_proba(X), b.predict_proba(X))
    assert a.reconstruct(X).shape == a.sample(60).shape == (60, 8, 8) and b.reconstruct(X).shape == (60, 64)
    c = tiny("VLAC", image_shape=(4, 8, 2)).fit(X)
    assert c.model_.settings.colours == 2 and not np.allclose(c.predict_proba(X), b.predict_proba(X))


@pytest.mark.parametrize("name", NAMES)
def test_grey_levels_are_255ths(name):
    grey = np.random.default_rng(0).integers(0, 256, (60, 64), dtype=np.uint8)
    method = "predict_proba" if name in CLUSTERERS else "score_samples"
    of_levels, of_floats = tiny(name).fit(grey), tiny(name).fit(grey / 255)
    expected = getattr(of_floats, method)(grey / 255)
    np.testing.assert_array_equal(getattr(of_levels, method)(grey), expected)
    np.testing.assert_array_equal(getattr(of_levels, method)(sparse.csr_array(grey)), expected)
    # what it generates is in [0, 1], and may be shown to it again
    np.testing.assert_array_equal(getattr(of_levels, method)(grey / 255), expected)
    if name in GENERATIVE:
        drawn = of_levels.sample(50, random_state=0)
        assert drawn.min() >= 0 and drawn.max() <= 1
        np.testing.assert_array_equal(of_levels.transform(drawn), of_floats.transform(drawn))
    # but not grey levels of another type, nor grey levels where it learned from numbers in [0, 1]
    with pytest.raises(ValueError, match="give uint8"):
        of_levels.transform(grey.astype(int))
    if name != "SplitMerge":  # to which rows that are no images may come in any unit
        with pytest.raises(ValueError, match="divide them by 255"):
            of_floats.transform(grey)


@pytest.mark.parametrize("name", NAMES)
def test_bits_of_any_type_are_the_same_bits(name):
    X = rows(60) > 0.4
    expected = tiny(name).fit(X.astype(float)).transform(X.astype(float))
    for kind in (bool, int, np.uint8):
        np.testing.assert_array_equal(tiny(name).fit(X.astype(kind)).transform(X.astype(kind)), expected)


@pytest.mark.parametrize("name", GENERATIVE)
def test_generated_values_are_in_the_units_of_the_data(name):
    X = 40 * rows(200)[:, rows(200).std(0) > 0.1] - 7
    fitted = tiny(name, epochs=15, batch_size=60, learning_rate=0.02).fit(X)
    for made in (fitted.reconstruct(X), fitted.sample(300, random_state=0)):
        assert abs(made.mean() - X.mean()) < 4 and made.max() > 10
    distance = np.abs(fitted.reconstruct(X) - X).mean()
    assert distance < np.abs(X - X.mean()).mean()


@pytest.mark.parametrize("name", NAMES)
def test_many_rows_are_worked_through_some_at_a_time(monkeypatch, name):
    n = CHUNK + 300
    X = np.random.default_rng(0).random((n, 16))
    fitted = tiny(name, epochs=1, batch_size=1000).fit(X)
    shown, apply = [], Scaling.apply
    monkeypatch.setattr(Scaling, "apply", lambda self, x: shown.append(x.shape[0]) or apply(self, x))
    seen = []
    for module in fitted.model_.modules():
        module.register_forward_pre_hook(lambda module, args: seen.append(max(len(args[0]), args[0].shape[1])))
    for method in ("transform", "reconstruct", "predict_proba", "predict"):
        if hasattr(fitted, method):
            whole = getattr(fitted, method)(X)
            assert len(whole) == n and shown == [CHUNK, 300]
            shown.clear()
            parts = np.concatenate([getattr(fitted, method)(part) for part in np.split(X, [700, 2100])])
            np.testing.assert_allclose(whole, parts, atol=1e-5)
            shown.clear()
    assert max(seen) == CHUNK * (3 if name == "CaGeM" else 1)  # which shows every row with every class
    if name in CLUSTERERS:
        np.testing.assert_array_equal(fitted.labels_, fitted.predict(X))


def test_split_and_merge_follows_the_information_of_pairs():
    """Seeds are compared by it, it lies below ln S, and images given as rows are the images."""
    X = images(200)
    fitted = tiny("SplitMerge", n_init=3, epochs=30, learning_rate=0.01, subclusters=6).fit(X)
    assert fitted.best_ == fitted.bounds_.argmax() and 0.1 < fitted.bound_ < math.log(6)
    assert fitted.bound_ == pytest.approx(fitted.history_[-1]["bound"], abs=1e-5)
    as_rows = tiny("SplitMerge", n_init=3, epochs=30, learning_rate=0.01, subclusters=6, image_shape=(8, 8))
    np.testing.assert_array_equal(as_rows.fit(rows(200)).labels_, fitted.labels_)


# ---- scikit-learn's tools


def test_columns_are_known_by_their_names():
    X = pd.DataFrame(rows(60), columns=[f"pixel {i}" for i in range(64)])
    fitted = tiny("GMVAE").fit(X)
    assert list(fitted.feature_names_in_) == list(X.columns)
    for method in ("predict", "predict_proba", "transform", "reconstruct", "score"):
        with pytest.raises(ValueError, match="feature names should match"):
            getattr(fitted, method)(X[X.columns[::-1]])


@pytest.mark.parametrize("name", NAMES)
def test_copies(name):
    X = rows(60)
    fitted = tiny(name).fit(X)
    unpickled, again = pickle.loads(pickle.dumps(fitted)), clone(fitted).fit(X)
    for other in (unpickled, again):
        np.testing.assert_array_equal(other.transform(X), fitted.transform(X))
        if name in GENERATIVE:
            np.testing.assert_array_equal(other.sample(4, random_state=5), fitted.sample(4, random_state=5))
        assert other.score(X) == fitted.score(X) and other.get_params() == fitted.get_params()
    assert not hasattr(clone(fitted), "model_")


@pytest.mark.parametrize("name", NAMES)
def test_a_pipeline_with_names_for_what_comes_out(name):
    X = pd.DataFrame(rows(60) * 9 + 2, columns=[f"pixel {i}" for i in range(64)])
    pipeline = make_pipeline(MinMaxScaler(), tiny(name)).set_output(transform="pandas").fit(X)
    out = pipeline.transform(X)
    assert list(out.columns) == [f"{name.lower()}{i}" for i in range(out.shape[1])] and list(out.index) == list(X.index)
    scaled = MinMaxScaler().fit_transform(X)
    np.testing.assert_array_equal(out.to_numpy(), tiny(name).fit(scaled).transform(scaled))
    assert np.isfinite(pipeline.score(X * 1.1))  # a little outside of [0, 1] where it was scaled


@pytest.mark.parametrize("name", ["GumbelClustering", "CaGeM"])
def test_a_grid_of_numbers_of_clusters(name):
    search = GridSearchCV(tiny(name), {"n_clusters": [2, np.int64(3)]}, cv=2, error_score="raise").fit(rows(60))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.predict_proba(rows(5)).shape == (5, search.best_params_["n_clusters"])


def test_numbers_of_other_types_are_numbers():
    fitted = tiny("GumbelClustering", n_clusters=np.int32(3), hidden=[np.int64(8), 4], epochs=2.0, n_init=np.int64(2),
                  learning_rate=np.float32(0.001), validation_fraction=np.float64(0.1)).fit(rows(60))  # fmt: skip
    plain = tiny("GumbelClustering", n_init=2, learning_rate=float(np.float32(0.001))).fit(rows(60))
    np.testing.assert_array_equal(fitted.transform(rows(60)), plain.transform(rows(60)))


def test_global_random_numbers_are_left_alone():
    torch.manual_seed(3), np.random.seed(3)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    fitted = tiny("GMVAE").fit(rows(60))
    fitted.predict(rows(60)), fitted.sample(3, random_state=0), fitted.score(rows(60))
    assert torch.equal(states[0], torch.get_rng_state()) and (states[1] == np.random.get_state()[1]).all()


def test_gradients_that_are_switched_off_do_not_hinder_training():
    with torch.no_grad():
        off = tiny("VAE").fit(rows(60))
    np.testing.assert_array_equal(off.transform(rows(60)), tiny("VAE").fit(rows(60)).transform(rows(60)))


def test_rounding_errors_do_not_put_values_out_of_the_unit_interval():
    X = rows(60)
    X[0, 20] = np.nextafter(1, 2)
    X[0, 21] = -1e-17
    for name in NAMES:
        fitted = tiny(name).fit(X)
        assert fitted.scaling_.kind == "none"
    assert tiny("GMVAE").fit(X).model_.settings.likelihood == "bernoulli"


def test_a_random_state_gives_other_seeds_at_every_fit():
    state = np.random.RandomState(0)
    first, second = (tiny("VAE", random_state=state).fit(rows(60)).seeds_ for _ in range(2))
    assert first != second and first == tiny("VAE", random_state=np.random.RandomState(0)).fit(rows(60)).seeds_


def test_an_interrupt_while_the_first_epoch_is_measured_is_one_before_its_end(monkeypatch):
    def stopped(self, epoch):
        raise KeyboardInterrupt

    monkeypatch.setattr(HeldOut, "point", stopped)
    with pytest.raises(KeyboardInterrupt, match=r"^Interrupted before the first epoch was done; nothing was kept\.$"):
        tiny("GumbelClustering").fit(rows(60))
