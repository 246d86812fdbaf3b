"""Gaussian divergences: kernels against float64, torch.distributions, quadrature, hard inputs."""

from decimal import Decimal

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genclust import kernels
from genclust.kernels.gaussian import gaussian_kl, reference

from .checks import DEVICE, largest_error, needs_triton, relative_error, values_and_gradients


def given(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return (scale * torch.randn(*shape)).requires_grad_()


@needs_triton
@pytest.mark.parametrize("shape", [(1, 64), (2, 3, 10), (3, 1100), (70, 1)])
@pytest.mark.parametrize("tensors", [2, 4])
def test_kernels_agree_with_float64(shape, tensors):
    for name in ("triton", "auto"):
        assert largest_error(gaussian_kl, [given(*shape) for _ in range(tensors)], name) < 1e-6


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
@pytest.mark.parametrize("tensors", [2, 4])
def test_divergence_against_torch_distributions(name, tensors):
    def truth(mean, log_var, prior_mean=0.0, prior_log_var=None):
        prior_std = 1.0 if prior_log_var is None else (prior_log_var / 2).exp()
        return kl_divergence(Normal(mean, (log_var / 2).exp()), Normal(prior_mean, prior_std)).sum(-1)

    inputs = [given(2, 3, 4) for _ in range(tensors)]
    with kernels.implementation(name):
        values = values_and_gradients(gaussian_kl, inputs, torch.float32)
    for value, expected in zip(values, values_and_gradients(truth, inputs, torch.float64), strict=True):
        assert relative_error(value, expected) < 1e-6


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
def test_divergence_is_the_expected_log_ratio(name):
    """Gauss-Hermite quadrature over the noise is exact for the quadratic log q - log p."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(3)
    mean, log_var, prior_mean, prior_log_var = parameters = torch.randn(4, 50, 1)
    q, p = (Normal(m.double(), (v.double() / 2).exp()) for m, v in ((mean, log_var), (prior_mean, prior_log_var)))
    z = q.mean + q.stddev * torch.tensor(nodes)  # [50, 3]
    expected = (q.log_prob(z) - p.log_prob(z)) @ torch.tensor(weights / weights.sum())
    with kernels.implementation(name):
        kl = gaussian_kl(*parameters.to(DEVICE))
    assert relative_error(kl, expected) < 1e-6


def test_the_plain_form_is_the_sequence_behind_published_numbers():
    mean, log_var = torch.randn(2, 30, 10)
    with kernels.implementation("reference"):
        kl = gaussian_kl(mean, log_var)
    assert torch.equal(kl, 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1))


@needs_triton
def test_near_equal_gaussians_keep_their_digits():
    """KL ≈ r²/4 for log-variances that differ by r: to 1e-6 of itself in the kernels, 1e-7 nat in the plain form."""
    ratio = torch.logspace(-8, 0.5, 60, dtype=torch.float64).float()
    ratio = torch.cat([ratio, -ratio])[:, None]
    exact = [Decimal(float(r)) for r in ratio]
    value = torch.tensor([float((r.exp() - 1 - r) / 2) for r in exact], dtype=torch.float64)
    slope = torch.tensor([float((r.exp() - 1) / 2) for r in exact], dtype=torch.float64)
    zero = torch.zeros_like(ratio)
    for inputs in ([zero, ratio], [zero, ratio, zero, zero]):
        for name in ("triton", "auto"):
            moved = ratio.to(DEVICE).requires_grad_()
            with kernels.implementation(name):
                kl = gaussian_kl(*(moved if t is ratio else t.to(DEVICE) for t in inputs))
            (gradient,) = torch.autograd.grad(kl.sum(), moved)
            if name == "triton" or DEVICE == "cuda":
                assert (kl.detach().double().cpu() / value - 1).abs().max() < 1e-6
                assert (gradient[:, 0].double().cpu() / slope - 1).abs().max() < 1e-6
            else:
                assert ((kl.detach().double() - value) / value.clamp_min(1)).abs().max() < 2e-7
                assert ((gradient[:, 0].double() - slope) / slope.clamp_min(1)).abs().max() < 2e-7


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
def test_equal_gaussians_of_tiny_variance(name):
    """Neither a divergence nor a derivative, although 1/σ² is e⁸⁰."""
    q = [t.to(DEVICE).requires_grad_() for t in (torch.randn(2, 3, 5), torch.full((2, 3, 5), -80.0))]
    with kernels.implementation(name):
        kl = gaussian_kl(*q, *(t.detach() for t in q))
        assert not kl.any() and not any(g.any() for g in torch.autograd.grad(kl.sum(), q))


@needs_triton
def test_half_precision_is_computed_in_float32():
    inputs = [torch.randn(2, 3, 10).bfloat16().to(DEVICE).requires_grad_() for _ in range(4)]
    with kernels.implementation("triton"):
        values = values_and_gradients(gaussian_kl, inputs, torch.bfloat16)
    with kernels.implementation("reference"):
        truth = values_and_gradients(gaussian_kl, inputs, torch.float64)
    for value, expected in zip(values, truth, strict=True):
        assert value.dtype == (torch.bfloat16 if value.shape == inputs[0].shape else torch.float32)
        # Only stored gradients have 8 bits (which the interpreter cuts off and a GPU rounds).
        assert relative_error(value, expected) < (2**-7 if value.dtype == torch.bfloat16 else 1e-6)


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
def test_nan_stays_in_its_own_row(name):
    inputs = [given(4, 3) for _ in range(4)]
    with torch.no_grad():
        inputs[0][0, 1] = inputs[1][1, 1] = inputs[2][2, 1] = float("nan")
    with kernels.implementation(name):
        kl, *gradients = values_and_gradients(gaussian_kl, inputs, torch.float32)
    assert kl.isnan().tolist() == [True, True, True, False]
    for gradient in gradients:
        assert not gradient[3].isnan().any() and not gradient[..., ::2].isnan().any()


@needs_triton
def test_empty_batch_non_contiguous_and_many_rows():
    for empty in ((0, 5), (2, 0)):
        assert largest_error(gaussian_kl, [given(*empty) for _ in range(4)], "triton") == 0
    transposed = [torch.randn(5, 6).T.requires_grad_() for _ in range(4)]
    assert largest_error(gaussian_kl, transposed, "triton") < 1e-6
    many = 2 * 33_000  # more rows than a grid's second axis could count
    assert largest_error(gaussian_kl, [given(2, many // 2, 1) for _ in range(2)], "triton") < 1e-6


@pytest.mark.parametrize("tensors", [2, 4])
def test_the_registered_operation(tensors):
    """Its own derivative, which a compiled graph takes on a CPU, is that of the plain form."""
    mean, log_var, *prior = inputs = [given(2, 3, 8) for _ in range(tensors)]
    torch.library.opcheck(torch.ops.genclust.gaussian_kl, (mean, log_var, prior))
    registered = lambda m, l, *p: torch.ops.genclust.gaussian_kl(m, l, list(p))  # noqa: E731
    assert largest_error(registered, inputs, "auto") < 1e-6


A, B = torch.zeros(2, 5), torch.zeros(3, 5)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gaussian_kl(A, B), r"shape of mean, \[2, 5\], not \[\[3, 5\]\]"),
        (lambda: gaussian_kl(A, A, A, B), "shape of mean"),
        (lambda: gaussian_kl(A, A, None, A), "both prior_mean and prior_log_var"),
    ],
)
def test_unfit_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("tensors", [2, 4])
def test_the_derivative_of_the_registered_operation_is_that_of_autograd(tensors):
    """In float64, written out against what autograd makes of the plain form, which holds no derivative."""
    inputs = [torch.randn(3, 8, dtype=torch.float64, requires_grad=True) for _ in range(tensors)]
    pull = torch.randn(3, dtype=torch.float64)
    outputs = torch.ops.genclust.gaussian_kl(*inputs[:2], inputs[2:]), reference(*inputs)
    found, truth = (torch.autograd.grad((out * pull).sum(), inputs) for out in outputs)
    torch.testing.assert_close(found, truth)
