"""Densities, divergences and samplers against torch.distributions in float64, and against theory."""

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Bernoulli, Categorical, Independent, Normal, kl_divergence

from genclust.kernels import bernoulli_log_prob, gaussian_kl, gumbel_softmax
from genclust.models.distributions import categorical_kl


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(7)


def test_bernoulli_log_prob(generator):
    logits = 5 * torch.randn(3, 4, 20, generator=generator)
    x = torch.bernoulli(torch.rand(3, 4, 20, generator=generator), generator=generator)
    expected = Independent(Bernoulli(logits=logits.double()), 1).log_prob(x.double())
    torch.testing.assert_close(bernoulli_log_prob(logits, x).double(), expected, rtol=1e-6, atol=0)


def test_bernoulli_log_prob_of_extreme_logits():
    logits = torch.tensor([[200.0, -200.0]])
    assert bernoulli_log_prob(logits, torch.tensor([[1.0, 0.0]])).item() == 0
    assert bernoulli_log_prob(logits, torch.tensor([[0.0, 1.0]])).item() == -400


def test_bernoulli_log_prob_of_grey_values_is_the_negative_cross_entropy():
    x, p = 0.3, 0.6
    logits = torch.tensor([[math.log(p / (1 - p))]])
    expected = x * math.log(p) + (1 - x) * math.log(1 - p)
    assert bernoulli_log_prob(logits, torch.tensor([[x]])).item() == pytest.approx(expected, rel=1e-6)


def test_gaussian_kl(generator):
    mean = torch.randn(6, 5, generator=generator)
    log_var = 3 * torch.randn(6, 5, generator=generator)
    q = Independent(Normal(mean.double(), (0.5 * log_var.double()).exp()), 1)
    p = Independent(Normal(torch.zeros(6, 5).double(), torch.ones(6, 5).double()), 1)
    torch.testing.assert_close(gaussian_kl(mean, log_var).double(), kl_divergence(q, p), rtol=1e-5, atol=1e-5)


def test_categorical_kl(generator):
    logits = 4 * torch.randn(6, 5, generator=generator)
    expected = kl_divergence(Categorical(logits=logits.double()), Categorical(logits=torch.zeros(6, 5).double()))
    torch.testing.assert_close(categorical_kl(logits).double(), expected, rtol=1e-5, atol=1e-6)


def test_the_largest_entry_of_a_gumbel_softmax_sample_follows_the_categorical(generator):
    logits = torch.tensor([1.5, 0.0, -1.0, 0.7])
    n = 200_000
    uniform = torch.rand(n, 4, generator=generator)
    counts = gumbel_softmax(logits.expand(n, 4), uniform, temperature=0.3)[0].argmax(-1).bincount(minlength=4)
    chi2 = stats.chisquare(counts.numpy(), n * logits.double().softmax(-1).numpy())
    assert chi2.pvalue > 1e-3


def test_gumbel_softmax_follows_the_concrete_density(generator):
    """For two categories the logit of the first entry is logistic, with location and scale over the temperature."""
    logits, temperature = torch.tensor([0.8, -0.4]), 0.7
    sample, _ = gumbel_softmax(logits.expand(50_000, 2), torch.rand(50_000, 2, generator=generator), temperature)
    logit = (sample[:, 0].double().log() - sample[:, 1].double().log()).numpy()
    assert stats.kstest(logit, stats.logistic(1.2 / temperature, 1 / temperature).cdf).pvalue > 1e-3


def test_a_hard_sample_is_one_hot_and_has_the_gradient_of_the_soft_one(generator):
    uniform = torch.rand(10, 4, generator=generator)
    weight = torch.randn(10, 4, generator=generator)
    gradients = []
    for hard in (False, True):
        logits = torch.zeros(10, 4, requires_grad=True)
        sample, _ = gumbel_softmax(logits, uniform, 0.5, hard)
        (sample * weight).sum().backward()
        gradients.append(logits.grad)
    assert np.allclose(np.sort(sample.detach().numpy(), -1), [0, 0, 0, 1], atol=1e-6)
    torch.testing.assert_close(gradients[0], gradients[1])


def test_gumbel_softmax_is_finite_at_the_ends_of_the_unit_interval():
    uniform = torch.tensor([[0.0, 1 - 2**-24, 0.5]])
    assert gumbel_softmax(torch.zeros(1, 3), uniform, 0.1)[0].isfinite().all()
