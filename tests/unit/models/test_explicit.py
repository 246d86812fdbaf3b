"""The explicit mixture model: its bound by brute force, and the enumeration of clusters."""

import math

import pytest
import torch
from by_hand import Fixed, moments
from torch.distributions import Bernoulli, Categorical, Independent, Normal, kl_divergence

from genclust.models.explicit import ExplicitGMVAE, ExplicitSettings
from genclust.streams import Noise


def model(replicas=1, x_dim=4) -> ExplicitGMVAE:
    built = ExplicitGMVAE(replicas, x_dim, ExplicitSettings(3, z_dim=2, hidden=6, init="pytorch"))
    built.initialise(Noise(range(replicas), "test").generators)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.mul_(2)
    return built


@torch.no_grad()
def test_enumerated_clusters_against_one_network_call_each():
    """Every term with y as a one-hot input to the first layer, in float64, one y at a time."""
    explicit, x = model(), (torch.rand(1, 5, 4) < 0.5).float()
    noise = torch.randn(1, 5, 3, 2)

    class Fixed(Noise):
        def __init__(self) -> None:
            pass

        def normal(self, *shape):
            assert shape == (5, 3, 2)
            return noise

    found = explicit.loss(x, {}, Fixed())
    reference = explicit.double()
    x64 = x.double()
    q_y = Categorical(logits=reference.q_y(x64)[0])
    reconstruction = kl_z = 0.0
    for y in range(3):
        one_hot = torch.zeros(1, 5, 3, dtype=torch.float64)
        one_hot[..., y] = 1
        h = reference.q_z((reference.q_z_x(x64) + reference.q_z_y(one_hot)).relu())
        q_z = Normal(reference.q_z_mean(h)[0].double(), (0.5 * reference.q_z_log_var(h)[0]).exp())
        p_z = Normal(reference.p_z_mean(one_hot)[0], (0.5 * reference.p_z_log_var(one_hot)[0]).exp())
        z = q_z.loc + q_z.scale * noise[0, :, y]
        log_p = Independent(Bernoulli(logits=reference.p_x(z[None])[0]), 1).log_prob(x64[0])
        reconstruction = reconstruction - q_y.probs[:, y] * log_p
        kl_z = kl_z + q_y.probs[:, y] * kl_divergence(Independent(q_z, 1), Independent(p_z, 1))
    kl_y = kl_divergence(q_y, Categorical(logits=torch.zeros(5, 3)))
    for name, expected in {"reconstruction": reconstruction, "kl_z": kl_z, "kl_y": kl_y}.items():
        torch.testing.assert_close(found.terms[name][0].double(), expected.double(), rtol=2e-5, atol=2e-6)
    torch.testing.assert_close(found.objective[0].double(), (reconstruction + kl_z + kl_y).mean(), rtol=2e-5, atol=1e-6)


@torch.no_grad()
def test_the_bound_stays_below_the_likelihood():
    explicit, x = model(), torch.tensor([[[1.0, 0, 0, 1]]])
    bound = -float(explicit.loss(x.expand(1, 20_000, 4), {}, Noise([0], "draws")).objective)
    n = 500_000
    means, log_vars = moments(explicit.prior())
    y = torch.randint(3, (n,))
    z = means[0, y] + (0.5 * log_vars[0, y]).exp() * torch.randn(n, 2)
    log_p = Independent(Bernoulli(logits=explicit.logits(z[None])[0]), 1).log_prob(x[0])
    truth = float(log_p.double().logsumexp(0)) - math.log(n)
    assert truth - 20 < bound < truth  # and says something


def test_a_replica_has_the_terms_it_has_alone():
    together, x = model(replicas=2), torch.rand(2, 5, 4)
    alone = ExplicitGMVAE(1, 4, together.settings)
    with torch.no_grad():
        for name, tensor in alone.state_dict().items():
            tensor.copy_(together.state_dict()[name][1:])
    a = together.loss(x, {}, Noise([3, 8], "draws"))
    b = alone.loss(x[1:], {}, Noise([8], "draws"))
    assert float(a.objective[1].detach()) == pytest.approx(float(b.objective.detach()), rel=1e-5)
    posterior = together.cluster_posterior(x)
    torch.testing.assert_close(posterior.logsumexp(-1), torch.zeros(2, 5), atol=1e-5, rtol=0)
    assert together.embed(x)["z_mean"].shape == (2, 5, 2)


@torch.no_grad()
def test_samples_are_draws_of_their_own_component():
    explicit, draws = model(replicas=2), torch.randn(2, 3, 5, 2)

    class Fixed(Noise):
        def __init__(self) -> None:
            pass

        def normal(self, *shape):
            assert shape == (3, 5, 2)
            return draws

    found = explicit.sample_clusters(5, Fixed())
    means, log_vars = moments(explicit.prior())
    for k in range(3):
        z = means[:, k, None] + (0.5 * log_vars[:, k, None]).exp() * draws[:, k]
        torch.testing.assert_close(found[:, k], explicit.decode(z))


def test_gradients_are_those_of_the_sum_over_y():
    """Through q(y|x) as well, against autograd of the bound written with torch's distributions in float64."""
    torch.manual_seed(0)
    model = ExplicitGMVAE(1, 5, ExplicitSettings(3, 2, 6))
    model.initialise(Noise([0], "test").generators)
    x, e = (torch.rand(1, 4, 5) < 0.5).float(), torch.randn(1, 4, 3, 2)
    found = model.loss(x, {}, Fixed(e)).objective
    q_y = Categorical(logits=model.q_y(x).double())
    mean, log_var = (t.double() for t in moments(model.posterior(x)))
    prior_mean, prior_log_var = (t.double() for t in moments(model.prior()))
    expected = kl_divergence(q_y, Categorical(logits=torch.zeros(1, 4, 3)))
    for k in range(3):
        q_z = Independent(Normal(mean[:, :, k], (0.5 * log_var[:, :, k]).exp()), 1)
        p_z = Independent(Normal(prior_mean[:, None, k], (0.5 * prior_log_var[:, None, k]).exp()), 1)
        z = q_z.mean + q_z.stddev * e[:, :, k]
        p_x = Independent(Bernoulli(logits=model.logits(z.float()).double()), 1)
        expected = expected + q_y.probs[..., k] * (kl_divergence(q_z, p_z) - p_x.log_prob(x.double()))
    expected = expected.mean(-1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    names, parameters = zip(*model.named_parameters(), strict=True)
    pairs = zip(*(torch.autograd.grad(each.sum(), parameters) for each in (found, expected)), strict=True)
    for name, (a, b) in zip(names, pairs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


@torch.no_grad()
def test_the_embedding_is_the_mean_of_z_over_the_classes():
    model = ExplicitGMVAE(1, 5, ExplicitSettings(3, 2, 6))
    model.initialise(Noise([0], "test").generators)
    x = torch.rand(1, 4, 5)
    q_y, mean = model.q_y(x).softmax(-1), model.posterior(x).mean
    expected = sum(q_y[..., k, None] * mean[:, :, k] for k in range(3))
    torch.testing.assert_close(model.embed(x)["z_mean"], expected)
    torch.testing.assert_close(model.cluster_posterior(x).exp(), q_y)
