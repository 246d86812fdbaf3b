"""The ladder VAE: its bound by hand, the product of densities, its likelihood against prior draws."""

import math

import pytest
import torch
from by_hand import Fixed, mlp
from torch.distributions import Bernoulli, Independent, Normal

from genclust.evaluation.likelihood import log_likelihood
from genclust.models.distributions import Gaussian
from genclust.models.ladder import LVAE, LVAESettings
from genclust.settings import SettingError
from genclust.streams import Noise

SMALL = {"z_dims": (4, 3, 2), "hidden": (7, 6, 5), "batch_norm": False, "init": "pytorch"}
WARM = {"warm_up": 1.0}


def model(replicas=1, x_dim=4, **settings) -> LVAE:
    built = LVAE(replicas, x_dim, LVAESettings(**(SMALL | settings)))
    built.initialise(Noise(range(replicas), "test").generators)
    with torch.no_grad():
        for parameter in built.p_x.parameters():  # as initialised nearly constant
            parameter.mul_(2)
        for layer in (*built.q_hat, *built.t):  # importance weights of finite variance need a q wider than p
            layer.network.heads["raw_variance"].bias.add_(1.5)
    return built


def normal(layer, h: torch.Tensor) -> Normal:
    heads = mlp(layer.network, h=h)
    return Normal(heads["mean"], (torch.nn.functional.softplus(heads["raw_variance"]) + 1e-5).sqrt())


@torch.no_grad()
@pytest.mark.parametrize("warm_up", [1.0, 0.3])
def test_the_bound_is_that_of_the_paper(warm_up):
    """Every term in float64 with torch's distributions and networks written out, from the same noise."""
    torch.manual_seed(0)
    ladder, x = model(), torch.randint(2, (1, 5, 4)).float()
    u, *noises = torch.rand(1, 5, 4), *(torch.randn(1, 5, dim) for dim in (4, 3, 2))
    found = ladder.loss(x, {"warm_up": warm_up}, Fixed(u, *(e[:, None] for e in noises)))
    ladder, x, (e1, e2, e3) = ladder.double(), x[0].double(), (e[0].double() for e in noises)
    hat1 = normal(ladder.q_hat[0], x)
    hat2 = normal(ladder.q_hat[1], hat1.mean)
    hat3 = normal(ladder.q_hat[2], hat2.mean)
    z3 = hat3.mean + hat3.stddev * e3

    def merged(hat: Normal, t: Normal) -> Normal:
        a, b = hat.variance**-1, t.variance**-1
        return Normal((hat.mean * a + t.mean * b) / (a + b), (a + b) ** -0.5)

    q2 = merged(hat2, normal(ladder.t[1], z3))
    z2 = q2.mean + q2.stddev * e2
    q1 = merged(hat1, normal(ladder.t[0], z2))
    z1 = q1.mean + q1.stddev * e1
    p1, p2, p3 = normal(ladder.p[0], z2), normal(ladder.p[1], z3), Normal(0.0, 1.0)
    expected = {
        "reconstruction": -Bernoulli(logits=mlp(ladder.p_x, z1=z1)["logits"]).log_prob(x).sum(-1),
        "kl_z1": (q1.log_prob(z1) - p1.log_prob(z1)).sum(-1),
        "kl_z2": (q2.log_prob(z2) - p2.log_prob(z2)).sum(-1),
        "kl_z3": (hat3.log_prob(z3) - p3.log_prob(z3)).sum(-1),
    }
    assert list(found.terms) == list(expected)
    for name, term in expected.items():
        torch.testing.assert_close(found.terms[name][0].double(), term, rtol=2e-5, atol=2e-5)
    objective = expected["reconstruction"] + warm_up * (expected["kl_z1"] + expected["kl_z2"] + expected["kl_z3"])
    torch.testing.assert_close(found.objective[0].double(), objective.mean(), rtol=2e-5, atol=2e-5)
    for i, width in enumerate(SMALL["hidden"]):  # t is as wide as the layer above, p as the layer itself
        assert ladder.q_hat[i].network.second.weight.shape[-1] == width
        if i < 2:
            assert ladder.p[i].network.second.weight.shape[-1] == width
            assert ladder.t[i].network.second.weight.shape[-1] == SMALL["hidden"][i + 1]


def test_the_product_is_that_the_product_of_two_densities():
    """Mean and variance of the normalised product, by sums over a fine grid."""
    grid = torch.linspace(-30, 30, 600_001, dtype=torch.float64)
    for a, b in (((1.0, 0.5), (-2.0, 3.0)), ((0.3, 2.0), (0.4, 0.01)), ((-4.0, 1.0), (4.0, 1.0))):
        density = (Normal(a[0], a[1] ** 0.5).log_prob(grid) + Normal(b[0], b[1] ** 0.5).log_prob(grid)).softmax(0)
        mean = (density * grid).sum()
        variance = (density * (grid - mean) ** 2).sum()
        found = Gaussian(*map(torch.tensor, a)).product(Gaussian(*map(torch.tensor, b)))
        torch.testing.assert_close(found.mean.double(), mean, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found.variance.double(), variance, rtol=1e-5, atol=1e-7)


@torch.no_grad()
def test_the_likelihood_is_that_of_draws_from_the_prior():
    """log p(x) of two images within 0.01 nat, against 600,000 draws of z3, z2 and z1."""
    torch.manual_seed(0)
    ladder, x = model(), torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 1]])
    parts = []
    for _ in range(3):
        z2 = normal(ladder.p[1], torch.randn(200_000, 2)).sample()
        z1 = normal(ladder.p[0], z2).sample()
        p_x = Independent(Bernoulli(logits=mlp(ladder.p_x, z1=z1)["logits"]), 1)
        parts.append(torch.stack([p_x.log_prob(image) for image in x]))
    truth = torch.cat(parts, 1).double().logsumexp(1) - math.log(600_000)
    found = log_likelihood(ladder, x, [0], 400_000, samples_at_once=20_000)
    torch.testing.assert_close(found.log_prob[0].double(), truth, rtol=0, atol=0.01)
    assert (found.elbo[0] < truth - 0.05).all()


@torch.no_grad()
def test_a_replica_gives_what_it_gives_alone():
    together = model(replicas=2, batch_norm=True)
    x = torch.rand(2, 7, 4)
    alone = LVAE(1, 4, together.settings)
    for name, tensor in alone.state_dict().items():
        tensor.copy_(together.state_dict()[name][1:])
    a = together.loss(x, WARM, Noise([3, 8], "draws"))
    b = alone.loss(x[1:], WARM, Noise([8], "draws"))
    for name in a.terms:
        torch.testing.assert_close(a.terms[name][1], b.terms[name][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(a.objective[1], b.objective[0], rtol=1e-4, atol=1e-4)
    together.eval(), alone.eval()
    bits = (x > 0.5).float()
    a = together.log_weights(bits, together.infer(bits), 3, Noise([3, 8], "draws"))
    b = alone.log_weights(bits[1:], alone.infer(bits[1:]), 3, Noise([8], "draws"))
    torch.testing.assert_close(a[:, 1], b[:, 0], rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_images_and_embeddings():
    ladder = model(replicas=2, batch_norm=True).eval()
    x = torch.randint(2, (2, 6, 4)).float()
    means = ladder.embed(x)
    assert {name: mean.shape for name, mean in means.items()} == {
        "z1_mean": (2, 6, 4),
        "z2_mean": (2, 6, 3),
        "z3_mean": (2, 6, 2),
    }
    rebuilt = ladder.reconstruct(x)
    torch.testing.assert_close(rebuilt, ladder.logits(means["z1_mean"]).sigmoid())
    sampled = ladder.sample(9, Noise([3, 8], "images"))
    for images, shape in ((rebuilt, (2, 6, 4)), (sampled, (2, 9, 4))):
        assert images.shape == shape
        assert ((images > 0) & (images < 1)).all()


@torch.no_grad()
def test_samples_have_the_means_of_the_prior():
    """The mean image over many samples, against p(x) of every image summed by importance weights."""
    ladder = model(x_dim=2)
    corners = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    p = log_likelihood(ladder, corners, [0], 200_000, samples_at_once=20_000).log_prob[0].exp()
    assert float(p.sum()) == pytest.approx(1, abs=0.01)
    mean = ladder.sample(100_000, Noise([5], "images"))[0].mean(0)
    torch.testing.assert_close(mean, p @ corners, rtol=0, atol=0.01)


@pytest.mark.parametrize("dims", [{"z_dims": (4, 3), "hidden": (5,)}, {"z_dims": (), "hidden": ()}])
def test_every_layer_has_one_width(dims):
    with pytest.raises(SettingError, match=r"one width for each layer of model.z_dims, not \d for \d"):
        model(**dims)
