"""Importance-weighted autoencoders: both bounds by hand, their order, likelihoods against prior draws, the start."""

import math

import numpy as np
import pytest
import torch
from by_hand import Fixed
from torch.distributions import Bernoulli, Independent, Normal

from genclust.evaluation.likelihood import log_likelihood
from genclust.models.iwae import IWAE, IWAESettings
from genclust.settings import SettingError
from genclust.streams import Noise

LAYERS = [{"z_dims": (2,), "hidden": (6,)}, {"z_dims": (3, 2), "hidden": (6, 5)}]


def model(replicas=1, x_dim=4, **settings) -> IWAE:
    built = IWAE(replicas, x_dim, IWAESettings(**({"init": "pytorch"} | LAYERS[1] | settings)))
    built.initialise(Noise(range(replicas), "test").generators)
    with torch.no_grad():  # networks as initialised are nearly constant
        for parameter in (*built.p_x_hidden.parameters(), *built.p_x_logits.parameters()):
            parameter.mul_(2)
    return built


def tanh_layers(hidden, h: torch.Tensor) -> torch.Tensor:
    """The two hidden layers of one replica, written out."""
    for layer in (hidden[0], hidden[2]):
        h = torch.tanh(h @ layer.weight[0] + layer.bias[0])
    return h


def gaussian(layer, h: torch.Tensor) -> Independent:
    h = tanh_layers(layer.hidden, h)
    mean, log_sd = (h @ head.weight[0] + head.bias[0] for head in (layer.mean, layer.log_sd))
    return Independent(Normal(mean, log_sd.exp()), 1)


def pixels(m: IWAE, h: torch.Tensor) -> Independent:
    h = tanh_layers(m.p_x_hidden, h)
    return Independent(Bernoulli(logits=h @ m.p_x_logits.weight[0] + m.p_x_logits.bias[0]), 1)


def draws(m: IWAE, B: int) -> list[torch.Tensor]:
    """What one call of the loss draws for B images of four pixels."""
    k, z_dims = m.settings.samples, m.settings.z_dims
    return [torch.rand(1, B, 4), *(torch.randn(1, k, B, dim) for dim in z_dims)]


@torch.no_grad()
@pytest.mark.parametrize("layers", LAYERS, ids=["one layer", "two layers"])
@pytest.mark.parametrize("objective", ["vae", "iwae"])
def test_the_bounds_are_those_of_the_paper(layers, objective):
    """Three weights of every image one by one, in float64 with torch's distributions, from the same noise."""
    torch.manual_seed(0)
    found_by, grey = model(objective=objective, samples=3, **layers), torch.rand(1, 5, 4)
    u, *noises = draws(found_by, 5)
    found = found_by.loss(grey, {}, Fixed(u, *noises))
    m, x = found_by.double(), (u < grey)[0].double()
    each: dict[str, list[torch.Tensor]] = {}
    for i in range(3):
        below, terms = x, {}
        samples = [x]
        for q, noise in zip(m.q, noises, strict=True):
            density = gaussian(q, below)
            below = density.mean + density.stddev * noise[0, i].double()
            terms[f"kl_z{len(samples)}"] = density.log_prob(below)
            samples.append(below)
        top = len(samples) - 1
        for number, p in enumerate(m.p, start=1):
            terms[f"kl_z{number}"] -= gaussian(p, samples[number + 1]).log_prob(samples[number])
        terms[f"kl_z{top}"] -= Normal(0.0, 1.0).log_prob(samples[top]).sum(-1)
        terms["reconstruction"] = -pixels(m, samples[1]).log_prob(x)
        for name, term in terms.items():
            each.setdefault(name, []).append(term)
    assert found.terms.keys() == each.keys()
    for name, term in found.terms.items():
        torch.testing.assert_close(term[0].double(), torch.stack(each[name]).mean(0), rtol=2e-5, atol=2e-5)
    log_w = -sum(torch.stack(terms) for terms in each.values())
    bound = log_w.mean(0) if objective == "vae" else log_w.exp().mean(0).log()
    torch.testing.assert_close(found.objective[0].double(), -bound.mean(), rtol=2e-5, atol=2e-5)


@torch.no_grad()
@pytest.mark.parametrize("layers", LAYERS, ids=["one layer", "two layers"])
def test_the_importance_weighted_bound_is_never_below_the_other(layers):
    """Image by image at the same noise; with one sample they are the same number."""
    torch.manual_seed(0)
    for k in (1, 3, 20):
        vae, iwae = (model(objective=objective, samples=k, **layers) for objective in ("vae", "iwae"))
        for _ in range(20):
            x, noise = torch.rand(1, 1, 4), draws(vae, 1)
            gap = float(vae.loss(x, {}, Fixed(*noise)).objective - iwae.loss(x, {}, Fixed(*noise)).objective)
            assert gap == pytest.approx(0, abs=1e-5) if k == 1 else gap > 1e-4


@torch.no_grad()
def test_the_likelihood_is_that_of_draws_from_the_prior():
    """log p(x) of two images within 0.01 nat, against two million draws of h2 and h1."""
    torch.manual_seed(0)
    m, x, parts = model(), torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 1]]), []
    for _ in range(10):
        p_x = pixels(m, gaussian(m.p[0], torch.randn(200_000, 2)).sample())
        parts.append(torch.stack([p_x.log_prob(image) for image in x]))
    truth = torch.cat(parts, 1).double().logsumexp(1) - math.log(2_000_000)
    found = log_likelihood(m, x, [0], 400_000, samples_at_once=20_000)
    torch.testing.assert_close(found.log_prob[0].double(), truth, rtol=0, atol=0.01)
    assert (found.elbo[0] < truth - 0.05).all()


@torch.no_grad()
@pytest.mark.parametrize("divisor", [255, 256])
def test_the_model_starts_with_the_mean_of_every_pixel(divisor):
    """With nothing but the output's biases left: means of the grey values over the divisor, within 0.001 … 0.999."""
    grey = np.random.default_rng(0).integers(0, 256, (50, 6), dtype=np.uint8)
    grey[:, 4], grey[:, 5] = 0, 255
    m = model(replicas=2, x_dim=6, divisor=divisor)
    m.initialise_from_data(torch.from_numpy(grey).float() / 255)
    m.p_x_logits.weight.zero_()
    expected = torch.from_numpy(grey.mean(0) / divisor).clamp(0.001, 0.999).float().expand(2, 9, 6)
    torch.testing.assert_close(m.sample(9, Noise([3, 8], "images")), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(m.reconstruct(torch.ones(2, 9, 6)), expected, rtol=1e-5, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("objective", ["vae", "iwae"])
def test_a_replica_gives_what_it_gives_alone(objective):
    together, x = model(replicas=2, objective=objective, samples=3), torch.rand(2, 7, 4)
    alone = model(objective=objective, samples=3)
    for name, tensor in alone.state_dict().items():
        assert not torch.equal(tensor, together.state_dict()[name][1:])  # copied from the other seed
        tensor.copy_(together.state_dict()[name][1:])
    a, b = together.loss(x, {}, Noise([3, 8], "draws")), alone.loss(x[1:], {}, Noise([8], "draws"))
    torch.testing.assert_close(a.objective[1], b.objective[0])
    for name in a.terms:
        torch.testing.assert_close(a.terms[name][1], b.terms[name][0])
    bits = (x > 0.5).float()
    a = together.log_weights(bits, together.infer(bits), 3, Noise([3, 8], "draws"))
    b = alone.log_weights(bits[1:], alone.infer(bits[1:]), 3, Noise([8], "draws"))
    torch.testing.assert_close(a[:, 1], b[:, 0])


@torch.no_grad()
def test_embedding_and_reconstruction_are_at_the_means():
    m, x = model(), torch.randint(2, (1, 6, 4)).float()
    h1 = gaussian(m.q[0], x[0]).mean
    torch.testing.assert_close(m.embed(x), {"z1_mean": h1[None], "z2_mean": gaussian(m.q[1], h1).mean[None]})
    torch.testing.assert_close(m.reconstruct(x)[0], pixels(m, h1).mean)


@torch.no_grad()
def test_samples_have_the_means_of_the_prior():
    """The mean image over many samples, against that of draws written out; a standard error is below 0.001."""
    torch.manual_seed(0)
    m, n = model(), 200_000
    expected = pixels(m, gaussian(m.p[0], torch.randn(n, 2)).sample()).mean.mean(0)
    assert (expected - pixels(m, torch.zeros(1, 3)).mean).abs().max() > 0.01  # not the image at h1 = 0
    torch.testing.assert_close(m.sample(n, Noise([5], "images"))[0].mean(0), expected, rtol=0, atol=0.003)


@pytest.mark.parametrize("dims", [{"z_dims": (3, 2), "hidden": (5,)}, {"z_dims": (), "hidden": ()}])
def test_every_layer_has_one_width(dims):
    with pytest.raises(SettingError, match=r"one width for each layer of model.z_dims, not \d for \d"):
        model(**dims)
