"""The Gaussian mixture VAE: its terms by brute force, its gradients, its networks, its edges."""

import math

import numpy as np
import pytest
import torch
from by_hand import Fixed, moments
from sklearn.metrics import adjusted_rand_score
from torch.distributions import Categorical, Independent, Normal, kl_divergence

from genclust import data as datasets
from genclust.experiments import declaration, execution
from genclust.experiments.store import Store
from genclust.kernels import mixture
from genclust.models.base import Terms
from genclust.models.gmvae import GMVAE, GMVAESettings
from genclust.settings import SettingError, read
from genclust.streams import Noise

SMALL = {"n_clusters": 3, "x_dim": 2, "w_dim": 2, "hidden": 6, "batch_norm": False}


def model(replicas=1, y_dim=2, **settings) -> GMVAE:
    built = GMVAE(replicas, y_dim, GMVAESettings(**(SMALL | settings)))
    built.initialise(Noise(range(replicas), "test").generators)
    with torch.no_grad():  # networks as initialised are nearly constant; make them depend on their input
        for parameter in built.parameters():
            parameter.mul_(2)
    return built


@torch.no_grad()
def test_the_conditional_prior_term_is_the_divergence_that_sampling_z_gives():
    """Equation 4 without samples of z, against a Monte-Carlo estimate that draws both z and x."""
    gmvae, n = model(likelihood="gaussian"), 400_000
    y = torch.tensor([[[0.7, -0.4]]])
    eps = torch.randn(1, 1, 1, 2)
    terms = gmvae.loss(y, {}, Fixed(torch.zeros(1, 1, 1, 2), eps)).terms
    h = gmvae.recognition(y)
    w = gmvae.q_w_mean(h) + (0.5 * gmvae.q_w_log_var(h)).exp() * eps[0]
    means, log_vars = (t[0, 0].double() for t in moments(gmvae.p_x(w)))
    q_x = Normal(gmvae.q_x_mean(h)[0, 0].double(), (0.5 * gmvae.q_x_log_var(h)[0, 0].double()).exp())
    z = Categorical(logits=gmvae.q_z(h)[0, 0].double()).sample((n,))
    x = q_x.sample((n,))
    ratio = q_x.log_prob(x).sum(-1) - Normal(means[z], (0.5 * log_vars[z]).exp()).log_prob(x).sum(-1)
    error = float(ratio.std() / n**0.5)
    assert float(terms["conditional_prior"]) == pytest.approx(float(ratio.mean()), abs=5 * error)
    assert float(terms["conditional_prior"]) > 20 * error


@torch.no_grad()
def test_the_consistency_violation_is_the_entropy_of_bayes_posterior():
    gmvae = model(replicas=2, samples=4, likelihood="gaussian")
    y, x_eps, w_eps = torch.randn(2, 5, 2), torch.randn(2, 4, 5, 2), torch.randn(2, 4, 5, 2)
    found = gmvae.loss(y, {}, Fixed(x_eps, w_eps)).terms["consistency_violation"]
    h = gmvae.recognition(y)
    x = gmvae.q_x_mean(h)[:, None] + (0.5 * gmvae.q_x_log_var(h)[:, None]).exp() * x_eps
    w = gmvae.q_w_mean(h)[:, None] + (0.5 * gmvae.q_w_log_var(h)[:, None]).exp() * w_eps
    means, log_vars = (t.double() for t in moments(gmvae.p_x(w)))
    joint = Independent(Normal(means, (0.5 * log_vars).exp()), 1).log_prob(x.double()[..., None, :])
    expected = Categorical(logits=joint).entropy().mean(1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)


def test_the_consistency_violation_moves_samples_and_prior_but_not_q_of_z():
    gmvae = model(likelihood="gaussian")
    terms = gmvae.loss(torch.randn(1, 6, 2), {}, Noise([0], "draws")).terms
    parts = {name: list(getattr(gmvae, name).parameters()) for name in ("q_z", "q_x_mean", "q_w_mean", "prior_means")}
    for name, parameters in parts.items():
        gradients = torch.autograd.grad(
            terms["consistency_violation"].sum(), parameters, retain_graph=True, allow_unused=True
        )
        moved = any(g is not None and bool(g.abs().sum() > 0) for g in gradients)
        assert moved == (name != "q_z"), name


@torch.no_grad()
@pytest.mark.parametrize("version, samples", [(1, 1), (2, 1), (2, 3)])
def test_the_bound_stays_below_the_likelihood(version, samples):
    """At η = 1 and α = 0: the mean bound of one point, against log p(y) from a million draws of the prior."""
    gmvae, y = model(y_dim=1, likelihood="gaussian", version=version, samples=samples), torch.tensor([[[0.3]]])
    bound = -float(gmvae.loss(y.expand(1, 20_000, 1), {}, Noise([0], "draws")).objective)
    n = 1_000_000
    w, z = torch.randn(1, n, 2), torch.randint(3, (n,))
    means, log_vars = (t[0, torch.arange(n), z] for t in moments(gmvae.p_x(w)))
    x = means + (0.5 * log_vars).exp() * torch.randn(n, 2)
    log_p = float((gmvae.log_prob(y, x[None, :, None])[0, :, 0].double().logsumexp(0)) - math.log(n))
    assert bound < log_p
    assert bound > log_p - 20  # and says something


@torch.no_grad()
def test_a_replica_has_the_terms_it_has_alone():
    together = model(replicas=3, samples=2, y_dim=5)
    y = torch.rand(3, 4, 5)
    alone = GMVAE(1, 5, together.settings)
    for name, tensor in alone.state_dict().items():
        tensor.copy_(together.state_dict()[name][1:2])
    noise = Noise([0, 7, 1], "draws").at(3), Noise([7], "draws").at(3)
    both = together.loss(y, {}, noise[0]), alone.loss(y[1:2], {}, noise[1])
    for name in both[0].terms:
        torch.testing.assert_close(both[0].terms[name][1], both[1].terms[name][0], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("network, shape, count", [("mnist", (28, 28, 1), 7.83e6), ("svhn", (32, 32, 3), 7.95e6)])
def test_convolutional_networks(network, shape, count):
    """Shapes, and as many parameters as the tables of appendix A add up to with K = 10."""
    d = math.prod(shape)
    gmvae = GMVAE(1, d, GMVAESettings(10, network=network, samples=2))
    gmvae.initialise(Noise([0], "test").generators)
    assert sum(p.numel() for p in gmvae.parameters()) == pytest.approx(count, rel=1e-3)
    y = torch.rand(1, 3, d)
    terms = gmvae.loss(y, {}, Noise([0], "draws"))
    assert terms.objective.isfinite().all() and terms.terms["reconstruction"].shape == (1, 3)
    assert gmvae.p_y(torch.zeros(1, 4, 200)).shape == (1, 4, d)
    assert gmvae.cluster_posterior(y).shape == (1, 3, 10)


def test_convolutions_see_colours_as_planes():
    """A row holds red, green and blue of a pixel side by side: only the red filters may see a change of red."""
    recognition = GMVAE(1, 3072, GMVAESettings(2, network="svhn")).recognition
    first = recognition[0]
    with torch.no_grad():
        first.weight.zero_()
        first.weight[:, :, 0] = 1.0
        first.bias.zero_()
    seen = []
    first.register_forward_hook(lambda _, __, out: seen.append(out.detach()))
    y = torch.zeros(3, 32, 32, 3)
    y[1, ..., 0], y[2, ..., 1] = 1, 1
    recognition(y.reshape(1, 3, -1))
    assert seen[0][0, 1].abs().max() > 0 and seen[0][0, 2].abs().max() == 0 == seen[0][0, 0].abs().max()


def test_unfit_settings_are_refused():
    with pytest.raises(SettingError, match="28 × 28 pixels and 1 channels"):
        GMVAE(1, 64, GMVAESettings(10, network="mnist"))
    with pytest.raises(SettingError, match=r"set model\.eta to 1, model\.alpha to 0"):
        GMVAE(1, 2, GMVAESettings(3, version=2, alpha=0.4))
    with pytest.raises(SettingError, match=r"model\.samples"):
        read(GMVAESettings, {"n_clusters": 10, "samples": 0}, "model")


def test_one_component_has_no_uncertainty():
    terms = model(n_clusters=1).loss(torch.rand(1, 4, 2), {}, Noise([0], "draws")).terms
    assert (terms["kl_z"] == 0).all() and (terms["consistency_violation"] == 0).all()


def test_a_degenerate_component_and_an_empty_one_stay_finite():
    gmvae = model(likelihood="gaussian")
    with torch.no_grad():
        gmvae.prior_log_vars.bias[0, 0, :2] = -40.0  # component 0 as narrow as 2e-9
        gmvae.prior_means.bias[0, 0, 2:4] = 1e4  # component 1 far from everything
    terms = gmvae.loss(torch.randn(1, 6, 2), {}, Noise([0], "draws"))
    assert all(term.isfinite().all() for term in terms.terms.values())
    terms.objective.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in gmvae.parameters())


def test_free_bits_stop_the_z_term_below_their_threshold():
    """Version 2: below λ nats a batch the term is constant, above it it is log K - H."""
    y = torch.rand(1, 6, 2)
    objectives = {}
    for free_bits in (0.0, 100.0):
        gmvae = model(version=2, free_bits=free_bits)
        terms = gmvae.loss(y, {}, Noise([0], "draws"))
        objectives[free_bits] = float(terms.objective.detach())
        expected = math.log(3) - terms.terms["consistency_violation"]
        torch.testing.assert_close(terms.terms["kl_z"], expected)
    assert objectives[100.0] - objectives[0.0] == pytest.approx(100 - float(expected.detach().mean()), rel=1e-4)


def test_the_latent_map_of_a_run(tmp_path, monkeypatch):
    """The arrays of Figure 2 from a short run: places, clusters and components of the right replica."""
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path))
    row = declaration.load("gmvae-figure2").row("eta1-alpha2")
    task = execution.task_for(row, "demo", [0, 4], {"training": {"epochs": 1}})
    records = execution.run(task, Store(tmp_path / "records"), progress=False)
    for record in records:
        arrays = record.arrays()
        assert arrays["latent_x"].shape == arrays["latent_reconstruction"].shape == (2000, 2)
        assert arrays["component_means"].shape == arrays["component_sds"].shape == (8, 2)
        assert (arrays["component_sds"] > 0).all() and arrays["latent_clusters"].max() < 8
        # the same points are scored and drawn
        assert len(np.unique(arrays["latent_clusters"])) == record.metrics["test.clusters_used"]
        expected = 100 * adjusted_rand_score(datasets.load("arcs").splits["test"].y, arrays["latent_clusters"])
        assert record.metrics["test.ari"] == pytest.approx(expected)
    assert not np.allclose(records[0].arrays()["latent_x"], records[1].arrays()["latent_x"])


# ---- numerical integration in two dimensions


@torch.no_grad()
def test_responsibilities_and_violation_by_integration_over_the_plane():
    """On a grid in float64, with densities written out: each component owns 1/K of the mass of p(x|w), and the
    violation of 100,000 samples is the integral of q(x|y) H(p(z|x, w))."""
    n = 100_000
    gmvae, y = model(samples=n, likelihood="gaussian"), torch.tensor([[[0.7, -0.4]]])
    h = gmvae.recognition(y)
    gmvae.q_w_log_var.weight.zero_()
    gmvae.q_w_log_var.bias.fill_(-80)  # w is known, so that x alone is integrated over
    terms = gmvae.loss(y, {}, Fixed(torch.randn(1, n, 1, 2), torch.zeros(1, n, 1, 2))).terms

    side = torch.linspace(-12, 12, 1201, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    cell = float((side[1] - side[0]) ** 2)

    def density(mean, log_var):  # of a diagonal Gaussian, at every point of the grid
        mean, var = mean.double(), log_var.double().exp()
        return torch.exp(-((grid - mean) ** 2 / (2 * var)).sum(-1)) / (2 * math.pi * var.prod().sqrt())

    means, log_vars = (t[0, 0] for t in moments(gmvae.p_x(gmvae.q_w_mean(h))))
    p_x_given_z = torch.stack([density(m, v) for m, v in zip(means, log_vars, strict=True)], -1)
    p_x = p_x_given_z.mean(-1)
    responsibilities = p_x_given_z / p_x_given_z.sum(-1, keepdim=True).clamp_min(1e-300)
    assert float(p_x.sum()) * cell == pytest.approx(1, abs=1e-6)
    owned = (p_x[:, None] * responsibilities).sum(0) * cell
    torch.testing.assert_close(owned, torch.full((3,), 1 / 3, dtype=torch.float64), rtol=1e-6, atol=1e-6)
    found = mixture(grid.float(), gmvae.log_prior(), means[None], log_vars[None])
    seen = p_x > 1e-9
    torch.testing.assert_close(
        found.log_responsibilities.exp().double()[seen], responsibilities[seen], rtol=1e-4, atol=1e-6
    )
    entropy = -torch.xlogy(responsibilities, responsibilities).sum(-1)
    q_x = density(gmvae.q_x_mean(h)[0, 0], gmvae.q_x_log_var(h)[0, 0])
    expected = float((q_x * entropy).sum()) * cell
    assert float(terms["consistency_violation"]) == pytest.approx(expected, abs=4 * math.log(3) / n**0.5)
    assert 0.05 < expected < math.log(3)


# ---- what Figures 3 and 4 show


@torch.no_grad()
def test_samples_are_draws_of_their_own_component():
    """Component k at w = 0, decoded: with noise 0 its mean, with noise e its mean and e standard deviations."""
    gmvae = model(replicas=2, y_dim=5)
    draws = torch.randn(2, 3, 4, 2)
    draws[:, :, 0] = 0
    found = gmvae.sample_clusters(4, Fixed(draws))
    assert found.shape == (2, 3, 4, 5)
    means, log_vars = moments(gmvae.p_x(torch.zeros(2, 1, 2)))
    for r in range(2):
        for k in range(3):
            x = means[r, 0, k] + (0.5 * log_vars[r, 0, k]).exp() * draws[r, k]
            expected = gmvae.p_y(x.expand(2, 4, 2)).sigmoid()[r]
            torch.testing.assert_close(found[r, k], expected)


@torch.no_grad()
def test_a_walk_goes_from_a_style_to_the_opposite_one_on_a_circle_of_equal_density():
    gmvae, ends = model(y_dim=5), torch.tensor([[[3.0, 0.0], [0.0, 3.0]]])
    seen = []
    prior = gmvae.p_x
    gmvae.p_x = lambda w: seen.append(w) or prior(w)
    found = gmvae.walk(7, Fixed(ends))
    (w,) = seen
    torch.testing.assert_close(w[0, 0], ends[0, 0])
    torch.testing.assert_close(w[0, -1], -ends[0, 0])
    torch.testing.assert_close(w.norm(dim=-1), torch.full((1, 7), 3.0))
    for k in range(3):
        expected = gmvae.p_y(prior(w).mean[:, :, k]).sigmoid()
        torch.testing.assert_close(found[:, k], expected)


def test_images_of_components_lie_in_the_record(tmp_path, monkeypatch):
    """Samples and walk of Table 1's runs are bytes, a row a component, and each seed has its own."""
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path))
    row = declaration.load("gmvae-table1").row("gmvae-k16-m1")
    task = execution.task_for(row, "demo", [0, 1], {"training": {"epochs": 1}})
    images = [record.arrays() for record in execution.run(task, Store(tmp_path / "records"), progress=False)]
    for name in ("component_samples", "component_walk"):
        assert images[0][name].shape == (16, 10, 64) and images[0][name].dtype == np.uint8
        assert (images[0][name] != images[1][name]).any()


# ---- the objectives


@torch.no_grad()
def test_free_bits_are_of_the_mean_over_the_batch():
    """λ between the terms of single examples: above their mean it takes its place, below it nothing changes."""
    torch.manual_seed(0)
    y = 3 * torch.randn(1, 6, 2)

    def terms(free_bits: float) -> Terms:
        return model(version=2, free_bits=free_bits, likelihood="gaussian").loss(y, {}, Noise([0], "draws"))

    usual = terms(0.0)
    kl_z = usual.terms["kl_z"][0].double()
    rest = float(usual.objective) - float(kl_z.mean())
    low, high = float(kl_z.min() + kl_z.mean()) / 2, float(kl_z.max() + kl_z.mean()) / 2
    assert low < float(kl_z.mean()) - 0.01 and high > float(kl_z.mean()) + 0.01
    assert float(terms(low).objective) == pytest.approx(float(usual.objective), rel=1e-6)
    assert float(terms(high).objective) == pytest.approx(rest + high, rel=1e-6)


def by_hand(gmvae: GMVAE, y: torch.Tensor, x_eps: torch.Tensor, w_eps: torch.Tensor) -> torch.Tensor:
    """The objective of one replica in float64 by torch's distributions, differentiable."""
    s, h = gmvae.settings, gmvae.recognition(y)

    def gaussian(mean: torch.Tensor, log_var: torch.Tensor) -> Independent:
        return Independent(Normal(mean.double(), (0.5 * log_var.double()).exp()), 1)

    q_x, q_w = gaussian(gmvae.q_x_mean(h), gmvae.q_x_log_var(h)), gaussian(gmvae.q_w_mean(h), gmvae.q_w_log_var(h))
    each, kl_z = kl_divergence(q_w, gaussian(torch.zeros_like(q_w.mean), torch.zeros_like(q_w.mean))), 0
    uniform = Categorical(logits=torch.zeros(*y.shape[:2], s.n_clusters))
    M = x_eps.shape[1]
    for j in range(M):
        x = q_x.mean + q_x.stddev * x_eps[:, j]
        p_x = gaussian(*moments(gmvae.p_x((q_w.mean + q_w.stddev * w_eps[:, j]).float())))
        bayes = Categorical(logits=p_x.log_prob(x[:, :, None]))
        q_z = Categorical(logits=gmvae.q_z(h).double()) if s.version == 1 else bayes
        q = Independent(Normal(q_x.mean[:, :, None], q_x.stddev[:, :, None]), 1)
        one = -gaussian(*moments(gmvae.p_y(x.float()))).log_prob(y) + (q_z.probs * kl_divergence(q, p_x)).sum(-1)
        each = each + (one + s.alpha * bayes.entropy()) / M
        kl_z = kl_z + kl_divergence(q_z, uniform) / M
    return (each + s.eta * kl_z).mean(-1)


@pytest.mark.parametrize("settings", [{"eta": 0.7, "alpha": 0.3}, {"version": 2}], ids=["version 1", "version 2"])
def test_objective_and_gradients_are_those_of_equation_7(settings):
    """Two samples, weights other than 1; version 2 has Bayes' posterior where version 1 has q(z|y)."""
    torch.manual_seed(0)
    gmvae = model(samples=2, likelihood="gaussian", **settings)
    y, x_eps, w_eps = torch.randn(1, 4, 2), torch.randn(1, 2, 4, 2), torch.randn(1, 2, 4, 2)
    found, expected = gmvae.loss(y, {}, Fixed(x_eps, w_eps)).objective, by_hand(gmvae, y, x_eps, w_eps)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    names, parameters = zip(*gmvae.named_parameters(), strict=True)
    pairs = zip(*(torch.autograd.grad(each.sum(), parameters) for each in (found, expected)), strict=True)
    for name, (a, b) in zip(names, pairs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


@torch.no_grad()
@pytest.mark.parametrize("version", [1, 2])
def test_posterior_and_embedding_are_those_of_the_networks(version):
    """Affine maps of the features written out; in version 2 Bayes' posterior at the means."""
    gmvae, y = model(replicas=2, y_dim=5, version=version), torch.rand(2, 4, 5)
    h = gmvae.recognition(y).double()

    def head(layer) -> torch.Tensor:
        return h @ layer.weight.double() + layer.bias.double()

    x, w = head(gmvae.q_x_mean), head(gmvae.q_w_mean)
    found = gmvae.embed(y)
    torch.testing.assert_close(found["x_mean"].double(), x, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found["w_mean"].double(), w, rtol=1e-5, atol=1e-5)
    if version == 1:
        expected = Categorical(logits=head(gmvae.q_z)).logits
    else:
        means, log_vars = (t.double() for t in moments(gmvae.p_x(w.float())))
        joint = Independent(Normal(means, (0.5 * log_vars).exp()), 1).log_prob(x[:, :, None])
        expected = Categorical(logits=joint).logits
    torch.testing.assert_close(gmvae.cluster_posterior(y).double(), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_generated_images_have_the_colours_of_a_pixel_side_by_side():
    """As the data has them: the last convolution gives each colour plane a number of its own."""
    observation = GMVAE(1, 3072, GMVAESettings(2, network="svhn")).observation
    for parameter in observation.parameters():
        parameter.zero_()
    observation[-1].bias[0] = torch.tensor([1.0, 2.0, 3.0])
    row = observation(torch.zeros(1, 2, 200))
    assert torch.equal(row, torch.tensor([1.0, 2.0, 3.0]).repeat(1024).expand(1, 2, -1))
