"""Gumbel-softmax: kernels against float64, torch.distributions, the law of the samples, hard inputs."""

import math

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from genclust import kernels
from genclust.kernels.gumbel import WIDEST, gumbel_softmax

from .checks import DEVICE, largest_error, needs_triton, relative_error, values_and_gradients

# The divergence is a difference of terms near log K (7.6 for the widest rows, where 4e-6 was seen), the gradient of
# a row with one large entry a difference of terms near 1 (2e-6): conditioning, which the plain form shares.
TOLERANCE = 1e-5
SHAPES = [(8, 10), (2, 3, 10), (2, 5, 3, 16), (70, 2), (40, 1), (3, 1000), (2, WIDEST + 1)]


def inputs(*shape: int, scale: float = 2.0) -> list[torch.Tensor]:
    return [(scale * torch.randn(*shape)).requires_grad_(), torch.rand(*shape)]


def at(temperature: float, hard: bool = False):
    return lambda logits, uniform: gumbel_softmax(logits, uniform, temperature, hard)


@needs_triton
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("name", ["triton", "auto"])
def test_kernels_agree_with_float64(shape, hard, name):
    assert largest_error(at(1.3, hard), inputs(*shape, scale=1.0), name) < TOLERANCE


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
def test_against_torch_distributions(name):
    """The sample inverts to its Gumbel noise, the divergence is that to the uniform, and so are their derivatives."""
    given = inputs(50, 10)

    def truth(logits, uniform):
        gumbel = torch.distributions.Gumbel(torch.zeros((), dtype=logits.dtype, device=logits.device), 1.0)
        weights = ((logits + gumbel.icdf(uniform)) / 0.5).exp()
        even = Categorical(logits=torch.zeros_like(logits))
        return weights / weights.sum(-1, keepdim=True), kl_divergence(Categorical(logits=logits), even)

    rounded = [given[0], given[1].float()]
    with kernels.implementation(name):
        values = values_and_gradients(at(0.5), rounded, torch.float32)
    for value, expected in zip(values, values_and_gradients(truth, rounded, torch.float64), strict=True):
        assert relative_error(value, expected) < TOLERANCE


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
def test_hard_samples_follow_the_categorical_law(name):
    logits = torch.tensor([2.0, 0.0, -1.0, 1.0], device=DEVICE)
    n = 20_000
    with kernels.implementation(name):
        sample, _ = gumbel_softmax(logits.expand(n, 4), torch.rand(n, 4, device=DEVICE), 0.3, hard=True)
    assert ((sample - 1).abs().amin(-1) < 1e-6).all() and (sample.sum(-1) - 1).abs().max() < 1e-6
    pi = logits.softmax(-1)
    assert (sample.mean(0) - pi).abs().max() < 5 * math.sqrt(0.25 / n)


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
def test_straight_through_gradient_is_that_of_the_relaxed_sample(name):
    with kernels.implementation(name):
        given = inputs(6, 10)
        relaxed, kl, gradient = values_and_gradients(at(0.7), given, torch.float32)
        hard, kl_again, gradient_again = values_and_gradients(at(0.7, hard=True), given, torch.float32)
    assert torch.equal(hard.argmax(-1), relaxed.argmax(-1))
    assert torch.equal(kl, kl_again)
    torch.testing.assert_close(gradient_again, gradient, rtol=1e-6, atol=1e-6)


def test_plain_form_is_the_sequence_behind_published_numbers():
    logits, uniform = torch.randn(30, 10), torch.rand(30, 10)
    with kernels.implementation("reference"):
        sample, kl = gumbel_softmax(logits, uniform, 0.7)
    gumbel = -torch.log(-torch.log(uniform.clamp_min(torch.finfo(uniform.dtype).tiny)))
    assert torch.equal(sample, ((logits + gumbel) / 0.7).softmax(-1))
    log_pi = logits.log_softmax(-1)
    assert torch.equal(kl, (log_pi.exp() * log_pi).sum(-1) + math.log(10))


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
def test_temperature_tensor_is_read_when_the_operation_runs(name):
    logits, uniform = (t.detach().to(DEVICE) for t in inputs(5, 10))
    with kernels.implementation(name):
        for temperature in (0.5, 2.0):
            tensor = torch.tensor(temperature, device=DEVICE)
            for a, b in zip(at(tensor)(logits, uniform), at(temperature)(logits, uniform), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
            assert torch.equal(at(tensor.double())(logits, uniform)[0], at(tensor)(logits, uniform)[0])


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
def test_extreme_logits_noise_and_temperature(name):
    logits = torch.tensor([[1e30, -1e30, 0.0], [200.0, 0.0, -200.0], [0.0, 0.0, 0.0]]).requires_grad_()
    uniform = torch.tensor([[0.5, 0.5, 0.5], [0.0, 0.5, 1 - 2**-24], [0.0, 0.5, 0.5]])
    for temperature in (1e-3, 1.0, 1e3):
        with kernels.implementation(name):
            sample, kl, gradient = values_and_gradients(at(temperature), [logits, uniform], torch.float32)
        assert sample.isfinite().all() and gradient.isfinite().all()
        torch.testing.assert_close(kl.cpu(), torch.tensor([math.log(3), math.log(3), 0.0]), rtol=1e-6, atol=2e-7)
        # u = 0 gives the smallest Gumbel value there is, -log(-log(2^-126)), and not minus infinity.
        difference = math.log(126 * math.log(2)) - math.log(math.log(2))
        expected = torch.tensor([-difference, 0.0, 0.0]).div(temperature).softmax(-1)
        torch.testing.assert_close(sample[2].cpu(), expected, rtol=1e-5, atol=1e-30)


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
@pytest.mark.parametrize("hard", [False, True])
def test_nan_stays_in_its_own_row(name, hard):
    logits, uniform = inputs(3, 10)
    with torch.no_grad():
        logits[1, 4] = uniform[2, 3] = float("nan")
    with kernels.implementation(name):
        sample, kl, gradient = values_and_gradients(at(0.7, hard), [logits, uniform], torch.float32)
    # A straight-through entry of the plain form, 1 + s - s, is NaN with s; as are all of the row.
    assert sample.isnan().all(-1).tolist() == [False, True, True] and not sample[0].isnan().any()
    assert kl.isnan().tolist() == [False, True, False]
    assert gradient.isnan().all(-1).tolist() == [False, True, True] and not gradient[0].isnan().any()


@needs_triton
def test_half_precision_is_computed_in_float32():
    given = [t.detach().bfloat16().to(DEVICE).requires_grad_(t.requires_grad) for t in inputs(6, 10)]
    given[1] = given[1].clamp_max(0.99)  # 16 bits round to 1 what the generator keeps below
    with kernels.implementation("triton"):
        values = values_and_gradients(at(0.7), given, torch.bfloat16)
    with kernels.implementation("reference"):
        truth = values_and_gradients(at(0.7), given, torch.float64)
    assert [v.dtype for v in values] == [torch.float32, torch.float32, torch.bfloat16]
    # Only the stored gradient has 8 bits (which the interpreter cuts off and a GPU rounds).
    for value, expected, bound in zip(values, truth, (TOLERANCE, TOLERANCE, 2**-7), strict=True):
        assert relative_error(value, expected) < bound


@needs_triton
def test_empty_batch_non_contiguous_and_many_rows():
    assert largest_error(at(0.7), inputs(0, 10), "triton") == 0
    logits, uniform = torch.randn(10, 6).T.requires_grad_(), torch.rand(10, 6).T
    assert largest_error(at(0.7), [logits, uniform], "triton") < TOLERANCE
    assert largest_error(at(0.7), inputs(2, 33_000, 2), "triton") < TOLERANCE


@pytest.mark.parametrize("hard", [False, True])
def test_registered_operation_passes_opcheck_and_agrees_with_the_plain_form(hard):
    def registered(logits, uniform):
        return torch.ops.genclust.gumbel_softmax(logits, uniform, torch.full((), 0.7, device=logits.device), hard)

    logits, uniform = inputs(6, 8)
    torch.library.opcheck(torch.ops.genclust.gumbel_softmax, (logits, uniform, torch.tensor(0.7), hard))
    with kernels.implementation("reference"):
        truth = values_and_gradients(at(0.7, hard), [logits, uniform], torch.float64)
        values = values_and_gradients(registered, [logits, uniform], torch.float32)
    for value, expected in zip(values, truth, strict=True):
        assert relative_error(value, expected) < TOLERANCE


A = torch.zeros(2, 5)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: gumbel_softmax(A, torch.zeros(2, 4), 1.0), "shape of the logits"),
        (lambda: gumbel_softmax(A, torch.zeros(2, 5, requires_grad=True), 1.0), "detach"),
        (lambda: gumbel_softmax(A, A, torch.tensor(1.0, requires_grad=True)), "detach"),
        (lambda: gumbel_softmax(A, A, torch.ones(2, 1)), "no axes"),
        (lambda: gumbel_softmax(A, A, torch.ones((), device="meta")), "logits' device"),
        (lambda: gumbel_softmax(A, A, 0.0), "positive, not 0.0"),
        (lambda: gumbel_softmax(A, A, float("nan")), "positive, not nan"),
    ],
)
def test_unfit_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
