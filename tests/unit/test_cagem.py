"""The cluster-aware model: its bound by brute force, enumerated against given and sampled y, weighted statistics."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, Normal

from genclust.evaluation.likelihood import log_likelihood
from genclust.models.cagem import CaGeM, CaGeMSettings
from genclust.models.layers import BatchNorm, WeightedBatchNorm
from genclust.streams import Noise

SMALL = {"n_clusters": 3, "z1_dim": 2, "z2_dim": 2, "hidden": 6, "batch_norm": False, "init": "pytorch"}
WARM = {"warm_up": 1.0}


def model(replicas=1, x_dim=4, **settings) -> CaGeM:
    built = CaGeM(replicas, x_dim, CaGeMSettings(**(SMALL | settings)))
    built.initialise(Noise(range(replicas), "test").generators)
    with torch.no_grad():  # networks as initialised are nearly constant; make what y says matter
        for network in (built.p_y, built.p_x):
            for parameter in network.parameters():
                parameter.mul_(2)
    return built


def bits(*shape: int) -> torch.Tensor:
    return (torch.rand(*shape) < 0.5).float()


def gaussian(heads: dict[str, torch.Tensor]) -> Independent:
    variance = torch.nn.functional.softplus(heads["raw_variance"]) + 1e-5
    return Independent(Normal(heads["mean"], variance.sqrt()), 1)


class Fixed(Noise):
    """Replays given draws: normal and uniform from one list."""

    def __init__(self, *draws: torch.Tensor) -> None:
        self.draws = list(draws)

    def normal(self, *shape: int) -> torch.Tensor:
        assert self.draws[0].shape[1:] == shape
        return self.draws.pop(0)

    uniform = normal


@torch.no_grad()
def test_the_bound_is_the_sum_over_y_of_the_poster():
    """Every term in float64 with torch's distributions, one y at a time, from the same noise."""
    cagem, x = model(), bits(1, 5, 4)
    u, e1, e2 = torch.rand(1, 5, 4), torch.randn(1, 5, 2), torch.randn(1, 5, 3, 2)
    found = cagem.loss(x, WARM, Fixed(u, e1, e2))
    cagem, x = cagem.double(), x.double()
    q_z1 = gaussian(cagem.q_z1(cagem.q_z1.project(x=x)))
    z1 = q_z1.mean + q_z1.stddev * e1
    q_y = Categorical(logits=cagem.q_y(cagem.q_y.project(x=x, z1=z1))["logits"])
    bound = 0
    for k in range(3):
        y = torch.full((1, 5), k)
        q_z2 = gaussian(cagem.q_z2(cagem.q_z2.project(x=x, z1=z1), y))
        z2 = q_z2.mean + q_z2.stddev * e2[:, :, k]
        p_y = Categorical(logits=cagem.p_y(cagem.p_y.project(z2=z2))["logits"])
        p_z1 = gaussian(cagem.p_z1(cagem.p_z1.project(z2=z2), y))
        p_x = Independent(Bernoulli(logits=cagem.p_x(cagem.p_x.project(z1=z1), y)["logits"]), 1)
        p_z2 = Independent(Normal(torch.zeros_like(z2), 1), 1)
        log_p = p_x.log_prob(x) + p_z1.log_prob(z1) + p_y.log_prob(y) + p_z2.log_prob(z2)
        log_q = q_z1.log_prob(z1) + q_y.log_prob(y) + q_z2.log_prob(z2)
        bound = bound + q_y.probs[..., k] * (log_p - log_q)
    torch.testing.assert_close(found.objective.double(), -bound.mean(-1), rtol=2e-5, atol=1e-5)
    total = sum(found.terms.values())
    torch.testing.assert_close(total.double(), -bound, rtol=2e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("enumerate_y", [True, False])
def test_the_likelihood_is_that_of_draws_from_the_prior(enumerate_y):
    """log p(x) of two images within 0.01 nat, against two million draws of z2, y and z1, y summed out there."""
    torch.manual_seed(0)
    cagem, x = model(), torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 1]])
    n, parts = 200_000, []
    for _ in range(10):
        z2 = torch.randn(1, n, 2)
        p_y = cagem.p_y(cagem.p_y.project(z2=z2))["logits"].log_softmax(-1)
        for k in range(3):
            y = torch.full((1, n), k)
            p_z1 = gaussian(cagem.p_z1(cagem.p_z1.project(z2=z2), y))
            z1 = p_z1.mean + p_z1.stddev * torch.randn(1, n, 2)
            p_x = Independent(Bernoulli(logits=cagem.p_x(cagem.p_x.project(z1=z1), y)["logits"][0]), 1)
            parts.append(torch.stack([p_x.log_prob(image) for image in x]) + p_y[0, :, k])
    truth = torch.cat(parts, 1).double().logsumexp(1) - math.log(10 * n)

    class Estimated:
        replicas, infer = 1, cagem.infer

        @staticmethod
        def log_weights(x, inferred, n, noise):
            return cagem.log_weights(x, inferred, n, noise, enumerate_y=enumerate_y)

    found = log_likelihood(Estimated(), x, [0], 400_000, samples_at_once=20_000)
    torch.testing.assert_close(found.log_prob[0].double(), truth, rtol=0, atol=0.01)
    assert (found.elbo[0] < truth - 0.05).all()


@torch.no_grad()
def test_a_replica_has_the_terms_it_has_alone():
    together = model(replicas=2, batch_norm=True)
    x = torch.rand(2, 7, 4)
    alone = CaGeM(1, 4, together.settings)
    for name, tensor in alone.state_dict().items():
        tensor.copy_(together.state_dict()[name][1:])
    a = together.loss(x, WARM, Noise([3, 8], "draws"))
    b = alone.loss(x[1:], WARM, Noise([8], "draws"))
    for name in a.terms:
        torch.testing.assert_close(a.terms[name][1], b.terms[name][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together.cluster_posterior(x).logsumexp(-1), torch.zeros(2, 7), atol=1e-5, rtol=0)


def test_pixels_are_drawn_with_the_declared_divisor():
    for divisor, expected in ((255, 1.0), (256, 255 / 256)):
        x = torch.ones(1, 100_000, 4)
        drawn = model(divisor=divisor).binarise(x, Noise([0], "pixels"))
        assert set(drawn.unique().tolist()) <= {0.0, 1.0}
        assert float(drawn.mean()) == pytest.approx(expected, abs=4e-4)
    grey = torch.full((1, 100_000, 4), 0.3)
    assert float(model().binarise(grey, Noise([0], "pixels")).mean()) == pytest.approx(0.3, abs=0.004)


# ---- weighted batch statistics


@pytest.mark.parametrize("fractions", [[1, 0, 3], [2, 1, 1]])
def test_weighted_statistics_are_those_of_copies(fractions):
    """Weights of quarters: as if each row stood there one to three times; outputs, running statistics, gradients."""
    torch.manual_seed(0)
    weighted, plain = WeightedBatchNorm(2, 5, 0.1), BatchNorm(2, 5, 0.1)
    x = torch.randn(2, 6, 3, 5, dtype=torch.float64, requires_grad=True)
    copies = x.detach().clone().requires_grad_()
    for module in (weighted, plain):
        module.double()
    weights = torch.tensor(fractions, dtype=torch.float64).expand(2, 6, 3) / 4
    repeats = torch.tensor(fractions).repeat(6)
    out = weighted(x, weights)
    rows = copies.flatten(1, 2).repeat_interleave(repeats, 1)
    expected = plain(rows)
    torch.testing.assert_close(out.flatten(1, 2).repeat_interleave(repeats, 1), expected)
    torch.testing.assert_close(weighted.running_mean, plain.running_mean)
    # the unbiased variance divides by one less than the number of examples: 6 here, 24 with four copies of each
    biased = (weighted.running_var - 0.9) * 5 / 6, (plain.running_var - 0.9) * 23 / 24
    torch.testing.assert_close(*biased)
    pull = torch.randn_like(expected)
    (expected * pull).sum().backward()
    rows_pull = torch.zeros(2, 18, 5, dtype=torch.float64)
    rows_pull.index_add_(1, torch.arange(18).repeat_interleave(repeats), pull)
    (out.flatten(1, 2) * rows_pull).sum().backward()
    torch.testing.assert_close(x.grad, copies.grad)


def test_statistics_send_nothing_to_the_weights_and_evaluation_needs_none():
    norm, logits = WeightedBatchNorm(1, 5, 0.1), torch.randn(1, 6, 3, requires_grad=True)
    norm(torch.randn(1, 6, 3, 5, requires_grad=True), logits.softmax(-1)).sum().backward()
    assert logits.grad is None
    norm.eval()
    x = torch.randn(1, 6, 3, 5)
    torch.testing.assert_close(norm(x, logits.softmax(-1)), norm(x))


def test_an_impossible_class_leaves_the_statistics_alone():
    """The reason for the weights: activations of a class that q rules out, of whatever size."""
    norm, x = WeightedBatchNorm(1, 5, 0.1), torch.randn(1, 6, 3, 5)
    q_y = torch.tensor([0.5, 0.5, 0.0]).expand(1, 6, 3)
    usual = norm(x, q_y)[:, :, :2]
    x[:, :, 2] = 1e6
    torch.testing.assert_close(norm(x, q_y)[:, :, :2], usual)
