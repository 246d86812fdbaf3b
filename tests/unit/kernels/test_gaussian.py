"""Gaussian samples and divergences: kernels against float64, torch.distributions, quadrature, hard inputs."""

from decimal import Decimal

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genclust import kernels
from genclust.kernels.gaussian import gaussian_kl, gaussian_sample, kl_reference, reference

from .checks import DEVICE, largest_error, needs_triton, relative_error, values_and_gradients

SHAPES = {
    "one": ((1, 64), (1, 64)),
    "replicas": ((2, 3, 10), (2, 3, 10)),
    "samples": ((2, 1, 3, 10), (2, 4, 3, 10)),
    "classes": ((2, 3, 1, 10), (2, 3, 5, 10)),
    "leading samples": ((2, 3, 7), (20, 2, 3, 7)),
    "samples and classes apart": ((1, 3, 1, 5), (4, 3, 5, 5)),
    "wider than a tile": ((2, 1, 1100), (2, 3, 1100)),
    "one dimension": ((40, 1, 1), (40, 3, 1)),
}


def given(*shape: int, scale: float = 1.0) -> torch.Tensor:
    return (scale * torch.randn(*shape)).requires_grad_()


def sample_inputs(small: tuple[int, ...], large: tuple[int, ...], prior: str) -> list[torch.Tensor]:
    prior_shape = {"standard": None, "of mean": small, "of z": large}[prior]
    of_prior = [] if prior_shape is None else [given(*prior_shape), given(*prior_shape)]
    return [given(*small), given(*small), torch.randn(large), *of_prior]


@needs_triton
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("prior", ["standard", "of mean", "of z"])
def test_kernels_agree_with_float64(shapes, prior):
    assert largest_error(gaussian_sample, sample_inputs(*shapes, prior), "triton") < 1e-6
    assert largest_error(gaussian_sample, sample_inputs(*shapes, prior), "auto") < 1e-6


@needs_triton
@pytest.mark.parametrize("shape", [(1, 64), (2, 3, 10), (3, 1100), (70, 1)])
@pytest.mark.parametrize("tensors", [2, 4])
def test_divergence_agrees_with_float64(shape, tensors):
    for name in ("triton", "auto"):
        assert largest_error(gaussian_kl, [given(*shape) for _ in range(tensors)], name) < 1e-6


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
@pytest.mark.parametrize("prior", ["standard", "of mean", "of z"])
def test_against_torch_distributions(name, prior):
    """Values and total derivatives through z, with densities that know nothing of the noise."""

    def truth(mean, log_var, noise, prior_mean=None, prior_log_var=None):
        z = mean + torch.exp(log_var / 2) * noise
        p = Normal(0.0, 1.0) if prior_mean is None else Normal(prior_mean, (prior_log_var / 2).exp())
        return z, Normal(mean, (log_var / 2).exp()).log_prob(z).sum(-1), p.log_prob(z).sum(-1)

    inputs = sample_inputs((2, 1, 3, 4), (2, 5, 3, 4), prior)
    with kernels.implementation(name):
        values = values_and_gradients(gaussian_sample, inputs, torch.float32)
    for value, expected in zip(values, values_and_gradients(truth, inputs, torch.float64), strict=True):
        assert relative_error(value, expected) < 1e-6


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
    noise = torch.tensor(nodes, dtype=torch.float32, device=DEVICE)[:, None, None].expand(3, 50, 1)
    parameters = [torch.randn(50, 1, device=DEVICE) for _ in range(4)]
    with kernels.implementation(name):
        _, log_q, log_p = gaussian_sample(*parameters[:2], noise, *parameters[2:])
        kl = gaussian_kl(*parameters)
    expected = torch.tensor(weights / weights.sum(), device=DEVICE) @ (log_q - log_p).double()
    assert relative_error(kl, expected) < 1e-6


def test_plain_forms_are_the_sequence_behind_published_numbers():
    mean, log_var, noise = torch.randn(3, 30, 10)
    with kernels.implementation("reference"):
        z, _, _ = gaussian_sample(mean, log_var, noise)
        kl = gaussian_kl(mean, log_var)
    assert torch.equal(z, mean + torch.exp(0.5 * log_var) * noise)
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
@pytest.mark.parametrize("log_var", [-80.0, 80.0])
def test_tiny_and_huge_variances(name, log_var):
    """With p = q, log q = log p and all derivatives through p vanish, although z is the rounded mean or overwhelms it.

    On a GPU exp(±40) has 40 roundings of its argument in it, hence the tolerance there.
    """
    mean, noise = torch.randn(2, 3, 5)
    inputs = [mean.requires_grad_(), torch.full_like(mean, log_var).requires_grad_(), noise]
    with kernels.implementation(name):
        assert largest_error(gaussian_sample, inputs, name) < (1e-5 if DEVICE == "cuda" else 1e-6)
        q = [t.detach().to(DEVICE).requires_grad_() for t in inputs[:2]]
        z, log_q, log_p = gaussian_sample(*q, noise.to(DEVICE), *q)
        assert z.isfinite().all()
        torch.testing.assert_close(log_p, log_q, rtol=1e-5, atol=0)
        grads = torch.autograd.grad(log_q.sum(), q, retain_graph=True, allow_unused=True)
        assert (grads[0] is None or not grads[0].any()) and torch.equal(grads[1], torch.full_like(q[1], -0.5))
        if log_var < 0:  # for huge ones the exact 0 is a difference of large terms in the plain form
            kl = gaussian_kl(*q, *(t.detach() for t in q))
            assert not kl.any() and not any(g.any() for g in torch.autograd.grad(kl.sum(), q))


@needs_triton
def test_half_precision_is_computed_in_float32():
    inputs = sample_inputs((2, 1, 3, 10), (2, 4, 3, 10), "of mean")
    inputs = [t.detach().bfloat16().to(DEVICE).requires_grad_(t.requires_grad) for t in inputs]
    for function, chosen in ((gaussian_sample, inputs), (gaussian_kl, inputs[:2] + inputs[3:])):
        with kernels.implementation("triton"):
            values = values_and_gradients(function, chosen, torch.bfloat16)
        with kernels.implementation("reference"):
            truth = values_and_gradients(function, chosen, torch.float64)
        for value, expected in zip(values, truth, strict=True):
            assert value.dtype == (torch.bfloat16 if value.shape == inputs[0].shape else torch.float32)
            # Only stored gradients have 8 bits (which the interpreter cuts off and a GPU rounds).
            assert relative_error(value, expected) < (2**-7 if value.dtype == torch.bfloat16 else 1e-6)


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
def test_nan_stays_in_its_own_row(name):
    inputs = sample_inputs((4, 1, 3), (4, 2, 3), "of mean")
    with torch.no_grad():
        inputs[0][0, 0, 1] = inputs[1][1, 0, 1] = inputs[3][2, 0, 1] = float("nan")
    with kernels.implementation(name):
        z, log_q, log_p, *gradients = values_and_gradients(gaussian_sample, inputs, torch.float32)
        kl = gaussian_kl(*(t.to(DEVICE) for t in inputs[:2] + inputs[3:]))
    assert z.isnan().sum(-1).tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]
    assert log_q.isnan().any(1).tolist() == [False, True, False, False]
    assert log_p.isnan().all(1).tolist() == [True, True, True, False]
    assert kl.isnan()[:, 0].tolist() == [True, True, True, False]
    for gradient in gradients:
        assert not gradient[3].isnan().any() and not gradient[..., ::2].isnan().any()


@needs_triton
def test_empty_batch_non_contiguous_and_many_rows():
    for shapes in (((0, 5), (0, 5)), ((0, 5), (3, 0, 5)), ((1, 3, 5), (0, 3, 5)), ((2, 0), (2, 0))):
        assert largest_error(gaussian_sample, sample_inputs(*shapes, "of mean"), "triton") == 0
    assert largest_error(gaussian_kl, [given(0, 5) for _ in range(4)], "triton") == 0
    transposed = [torch.randn(5, 6).T.requires_grad_() for _ in range(4)]
    inputs = [*transposed[:2], torch.randn(2, 5, 6).mT, *transposed[2:]]
    assert largest_error(gaussian_sample, inputs, "triton") < 1e-6
    assert largest_error(gaussian_kl, transposed, "triton") < 1e-6
    many = 2 * 33_000  # more rows than a grid's second axis could count
    assert largest_error(gaussian_sample, sample_inputs((2, many // 2, 1), (2, many // 2, 1), "of z"), "triton") < 1e-6
    assert largest_error(gaussian_kl, [given(2, many // 2, 1) for _ in range(2)], "triton") < 1e-6


@pytest.mark.parametrize("prior", ["standard", "of mean", "of z"])
def test_registered_operations_pass_opcheck(prior):
    mean, log_var, noise, *of_prior = sample_inputs((2, 1, 8), (2, 3, 8), prior)
    torch.library.opcheck(torch.ops.genclust.gaussian_sample, (mean, log_var, noise, of_prior))
    if prior != "of z":
        torch.library.opcheck(torch.ops.genclust.gaussian_kl, (mean, log_var, of_prior))


@pytest.mark.parametrize("prior", ["standard", "of mean", "of z"])
def test_registered_operations_agree_with_the_plain_forms(prior):
    """Their own derivatives, which a compiled graph takes on a CPU."""
    sample = lambda m, l, e, *p: torch.ops.genclust.gaussian_sample(m, l, e, list(p))  # noqa: E731
    assert largest_error(sample, sample_inputs((2, 1, 8), (2, 3, 8), prior), "auto") < 1e-6
    kl = lambda m, l, *p: torch.ops.genclust.gaussian_kl(m, l, list(p))  # noqa: E731
    assert largest_error(kl, [given(2, 8) for _ in range(2 if prior == "standard" else 4)], "auto") < 1e-6


A, B = torch.zeros(2, 5), torch.zeros(3, 5)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gaussian_sample(A, A, torch.zeros(2, 4)), "4 dimensions, mean 5"),
        (lambda: gaussian_sample(A, A, B), "does not broadcast"),
        (lambda: gaussian_sample(A, B, A), "shape of mean"),
        (lambda: gaussian_sample(A, A, torch.zeros(2, 5, requires_grad=True)), "detach"),
        (lambda: gaussian_sample(A, A, A, A), "both prior_mean and prior_log_var"),
        (lambda: gaussian_sample(A, A, A, B, B), "that of z"),
        (lambda: gaussian_kl(A, A, A, B), "need one shape"),
        (lambda: gaussian_kl(A, A, None, A), "both prior_mean and prior_log_var"),
    ],
)
def test_unfit_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("prior", [False, True], ids=["standard", "prior"])
def test_derivatives_of_registered_operations_are_those_of_autograd(prior):
    """In float64, written out against what autograd makes of the plain forms, which hold no derivative."""
    inputs = [torch.randn(3, 8, dtype=torch.float64, requires_grad=True) for _ in range(4 if prior else 2)]
    noise, pulls = torch.randn(3, 8, dtype=torch.float64), [torch.randn(3, 8), torch.randn(3), torch.randn(3)]

    def gradients(*outputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        total = sum((out * pull).sum() for out, pull in zip(outputs, pulls[-len(outputs) :], strict=True))
        return torch.autograd.grad(total, inputs)

    mean, log_var, *of_prior = inputs
    found = gradients(torch.ops.genclust.gaussian_kl(mean, log_var, of_prior))
    torch.testing.assert_close(found, gradients(kl_reference(*inputs)))
    found = gradients(*torch.ops.genclust.gaussian_sample(mean, log_var, noise, of_prior))
    torch.testing.assert_close(found, gradients(*reference(mean, log_var, noise, *of_prior)))
