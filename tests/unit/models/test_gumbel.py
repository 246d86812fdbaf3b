"""The model of "Is Simple Better?" against numerical integration, and its architecture against the paper."""

import numpy as np
import pytest
import torch
from by_hand import moments
from torch.distributions import Bernoulli

from genclust.models.gumbel import GumbelClustering, GumbelSettings
from genclust.streams import Noise


def tiny_model(**changes) -> GumbelClustering:
    """One latent dimension, so that expectations over z are one-dimensional integrals."""
    settings = {"n_clusters": 3, "latent_dim": 1, "feature_dim": 4, "hidden": (6, 5), "sample": "hard"} | changes
    model = GumbelClustering(1, 7, GumbelSettings(**settings)).eval()
    model.initialise(Noise([3], "test").generators)
    with torch.no_grad():
        for parameter in model.parameters():  # a model at initialisation is too close to linear to test much
            parameter.mul_(2)
    return model


def standard_normal_grid() -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes and weights of the expectation over N(0, 1): a fine grid, since ReLU networks have kinks."""
    nodes = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    weights = (-0.5 * nodes**2).exp()
    return nodes, weights / weights.sum()


@torch.no_grad()
def log_prob_given(model: GumbelClustering, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """log p(x|z,c) in float64 for every z and c, ``[len(z), K]``, by torch.distributions."""
    n_clusters = model.settings.n_clusters
    c = torch.eye(n_clusters).repeat(len(z), 1)[None]
    logits = model.p_x(z.float().repeat_interleave(n_clusters)[None, :, None], c)[0].double()
    return Bernoulli(logits=logits).log_prob(x.double()).sum(-1).view(len(z), n_clusters)


def test_the_objective_is_the_elbo_of_equation_7():
    model = tiny_model()
    x = torch.tensor([1.0, 0, 1, 1, 0, 0, 1])
    nodes, weights = standard_normal_grid()
    with torch.no_grad():
        x_hat = model.encoder(x[None, None])
        mean, log_var = (t.double().squeeze() for t in moments(model.q_z(x_hat)))
        log_pi = model.q_c(x_hat).double().log_softmax(-1).squeeze()
    std = (0.5 * log_var).exp()
    z = mean + std * nodes

    expected_log_prob = (weights[:, None] * log_pi.exp() * log_prob_given(model, x, z)).sum()
    kl_c = (log_pi.exp() * (log_pi - np.log(1 / 3))).sum()
    log_q, log_p = (torch.distributions.Normal(m, s).log_prob(z) for m, s in ((mean, std), (0.0, 1.0)))
    kl_z = (weights * (log_q - log_p)).sum()
    elbo = (expected_log_prob - kl_c - kl_z).item()

    draws = 1_000_000
    with torch.no_grad():
        loss = model.loss(x.expand(1, draws, 7), {"temperature": 0.5}, Noise([0], "draws"))
    reconstruction = loss.terms["reconstruction"]
    standard_error = reconstruction.std().item() / draws**0.5
    assert loss.objective.item() == pytest.approx(-elbo, abs=4 * standard_error + 1e-4)
    assert standard_error < 0.01
    assert loss.terms["kl_c"][0, 0].item() == pytest.approx(kl_c.item(), rel=1e-4)
    assert loss.terms["kl_z"][0, 0].item() == pytest.approx(kl_z.item(), rel=1e-4)

    # And it is a bound: log p(x) by integration over the prior lies above it.
    log_joint = log_prob_given(model, x, nodes) + np.log(1 / 3) + weights.log()[:, None]
    assert elbo < log_joint.logsumexp((0, 1)).item()


def test_weights_multiply_the_divergences():
    x = torch.rand(1, 50, 7, generator=torch.Generator().manual_seed(0))
    plain, weighted = (
        model.loss(x, {"temperature": 0.5}, Noise([0], "draws"))
        for model in (tiny_model(), tiny_model(w_gaussian=5.0, w_categorical=2.0))
    )
    terms = weighted.terms
    expected = (terms["reconstruction"] + 5 * terms["kl_z"] + 2 * terms["kl_c"]).mean()
    torch.testing.assert_close(weighted.objective[0], expected)
    torch.testing.assert_close(terms["reconstruction"], plain.terms["reconstruction"])


def test_gaussian_likelihood_is_the_summed_square_error():
    model = tiny_model(likelihood="gaussian")
    x = torch.rand(1, 9, 7, generator=torch.Generator().manual_seed(0))
    decoded = torch.rand(1, 9, 7, generator=torch.Generator().manual_seed(1))
    expected = -((x.numpy() - decoded.numpy()) ** 2).sum(-1)
    np.testing.assert_allclose(model.log_prob(x, decoded).numpy(), expected, rtol=1e-6)


def test_the_architecture_has_the_sizes_of_section_3():
    model = GumbelClustering(2, 784, GumbelSettings(n_clusters=10, latent_dim=150))
    shapes = [tuple(p.shape[1:]) for name, p in model.named_parameters() if name.endswith("weight") and p.dim() == 3]
    assert shapes == [
        (784, 512), (512, 256), (256, 100),  # encoder D - 512 - 256 - 100
        (100, 100), (100, 50), (50, 10),  # q(c|x̂): 100 - 100 - 50 - k
        (100, 150), (100, 150),  # mean and variance of q(z|x̂)
        (150, 100), (10, 100),  # embeddings of z and c, to be added
        (100, 256), (256, 512), (512, 784),  # decoder
    ]  # fmt: skip
    norms = [m.weight.shape[1] for m in model.modules() if type(m).__name__ == "BatchNorm"]
    assert norms == [512, 256, 100, 50, 256, 512]  # every layer but input, output and embeddings


def test_posterior_is_normalised_and_embeddings_have_their_shapes():
    model = tiny_model()
    x = torch.rand(1, 20, 7)
    with torch.no_grad():
        torch.testing.assert_close(model.cluster_posterior(x).exp().sum(-1), torch.ones(1, 20))
        assert {name: tuple(e.shape) for name, e in model.embed(x).items()} == {
            "x_hat": (1, 20, 4),
            "z_mean": (1, 20, 1),
        }


@torch.no_grad()
@pytest.mark.parametrize("sample", ["soft", "hard"])
def test_the_decoder_sees_one_hot_clusters_where_these_are_asked_for(sample, monkeypatch):
    """Of the largest entry of (logits + Gumbel noise) / τ either way."""
    model = GumbelClustering(1, 7, GumbelSettings(3, 2, 4, (5,), sample=sample))
    model.initialise(Noise([0], "test").generators)
    x, seen, p_x = torch.rand(1, 50, 7), [], model.p_x
    monkeypatch.setattr(model, "p_x", lambda z, c: seen.append(c) or p_x(z, c))
    model.eval().loss(x, {"temperature": 0.8}, Noise([3], "draws"))
    uniform = Noise([3], "draws").uniform(50, 3).double()
    relaxed = ((model.q_c(model.encoder(x)).double() - uniform.log().neg().log()) / 0.8).softmax(-1)
    expected = relaxed if sample == "soft" else torch.eye(3).double()[relaxed.argmax(-1)]
    torch.testing.assert_close(seen[0].double(), expected, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_z_is_drawn_with_the_standard_deviation_of_q():
    model = GumbelClustering(1, 7, GumbelSettings(3, 2, 4, (5,))).eval()
    model.initialise(Noise([0], "test").generators)
    x, seen, p_x = torch.rand(1, 50, 7), [], model.p_x
    model.p_x = lambda z, c: seen.append(z) or p_x(z, c)
    noise = Noise([3], "draws")
    model.loss(x, {"temperature": 0.8}, noise)
    again = Noise([3], "draws")
    again.uniform(50, 3)
    mean, log_var = moments(model.q_z(model.encoder(x)))
    expected = mean.double() + log_var.double().exp().sqrt() * again.normal(50, 2).double()
    torch.testing.assert_close(seen[0].double(), expected, rtol=1e-5, atol=1e-6)
