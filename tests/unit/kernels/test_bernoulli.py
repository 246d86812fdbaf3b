"""The Bernoulli log-likelihood: kernels against float64, exact cases, hard inputs."""

import pytest
import torch

from genclust import kernels
from genclust.kernels import bernoulli_log_prob

from .checks import largest_error, needs_triton, values_and_gradients

SHAPES = {
    "one image": ((1, 784), (1, 784)),
    "replicas": ((2, 3, 20), (2, 3, 20)),
    "samples": ((2, 4, 3, 20), (2, 1, 3, 20)),
    "classes": ((2, 3, 5, 20), (2, 3, 1, 20)),
    "leading samples": ((4, 2, 3, 20), (2, 3, 20)),
    "samples and classes apart": ((4, 3, 5, 7), (1, 3, 1, 7)),
    "wider than a tile": ((3, 2500), (3, 2500)),
    "one pixel": ((70, 1), (70, 1)),
}


def logits(*shape: int, scale: float = 4.0) -> torch.Tensor:
    return (scale * torch.randn(*shape)).requires_grad_()


@needs_triton
@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("kind", ["bits", "grey"])
def test_kernels_agree_with_float64(shapes, kind):
    l, x = shapes
    value = torch.rand(x) if kind == "grey" else (torch.rand(x) < 0.3).float()
    assert largest_error(bernoulli_log_prob, [logits(*l), value], "triton") < 5e-7
    assert largest_error(bernoulli_log_prob, [logits(*l), value], "auto") < 5e-7


@needs_triton
def test_bfloat16_logits_are_summed_in_float32():
    x = (torch.rand(3, 300) < 0.5).float()
    (out,) = values_and_gradients(bernoulli_log_prob, [torch.randn(3, 300), x], torch.float32)
    assert out.dtype == torch.float32
    with kernels.implementation("triton"):
        half, gradient = values_and_gradients(bernoulli_log_prob, [logits(3, 300), x], torch.bfloat16)
    assert half.dtype == torch.float32 and gradient.dtype == torch.bfloat16
    # Values are exact for the rounded logits; only the stored gradient is rounded to 8 bits.
    values = lambda l, x: bernoulli_log_prob(l, x).detach()  # noqa: E731
    assert largest_error(values, [logits(3, 300), x], "triton", torch.bfloat16) < 5e-7


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
def test_extreme_logits(name):
    """log σ(±l) for logits that overflow exp: 0 where the pixel is right, -|l| where it is wrong."""
    l = torch.tensor([[1e30, -1e30, 88.0, -104.0, 0.0]]).T
    for bit in (0.0, 1.0):
        with kernels.implementation(name):
            value, gradient = values_and_gradients(
                bernoulli_log_prob, [l.clone().requires_grad_(), torch.full_like(l, bit)], torch.float32
            )
        right = (l[:, 0] > 0) == bool(bit)
        expected = torch.where(right, 0.0, -l[:, 0].abs())
        expected[-1] = -torch.tensor(2.0).log()
        torch.testing.assert_close(value.cpu(), expected, rtol=1e-6, atol=1e-30)
        assert gradient.isfinite().all()


@needs_triton
@pytest.mark.parametrize("name", ["triton", "auto"])
def test_nan_gives_nan_in_its_own_row_only(name):
    l = torch.zeros(3, 10)
    l[1, 4] = float("nan")
    with kernels.implementation(name):
        inputs = [l.requires_grad_(), torch.ones(3, 10)]
        value, gradient = values_and_gradients(bernoulli_log_prob, inputs, torch.float32)
    assert value.isnan().tolist() == [False, True, False]
    assert gradient.isnan().sum() == 1 and gradient[1, 4].isnan()


@needs_triton
def test_empty_batch_non_contiguous_and_many_rows():
    assert largest_error(bernoulli_log_prob, [logits(0, 5), torch.ones(0, 5)], "triton") == 0
    transposed = torch.randn(20, 6).T.requires_grad_()
    assert largest_error(bernoulli_log_prob, [transposed, torch.rand(20, 6).T], "triton") < 5e-7
    many = 2 * 65_600  # more rows than a grid's second axis could count
    assert largest_error(bernoulli_log_prob, [logits(2, many // 2, 2), torch.rand(2, many // 2, 2)], "triton") < 5e-7


def test_registered_operation_passes_opcheck():
    for x in (torch.rand(2, 3, 8), torch.rand(2, 1, 8)):
        torch.library.opcheck(torch.ops.genclust.bernoulli_log_prob, (logits(2, 3, 8), x))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: bernoulli_log_prob(torch.zeros(2, 5), torch.zeros(2, 4)), "4 pixels, the logits 5"),
        (lambda: bernoulli_log_prob(torch.zeros(2, 5), torch.zeros(3, 5)), "does not broadcast"),
        (lambda: bernoulli_log_prob(torch.zeros(2, 5).long(), torch.zeros(2, 5)), "Logits and x are floats"),
        (lambda: bernoulli_log_prob(torch.tensor(0.0), torch.tensor(0.0)), "last axis of pixels"),
        (lambda: bernoulli_log_prob(torch.zeros(2, 5), torch.zeros(2, 5, requires_grad=True)), "detach"),
        (lambda: bernoulli_log_prob(torch.zeros(2, 5), torch.zeros(2, 5, dtype=torch.uint8)), r"floats .*torch\.uint8"),
    ],
)
def test_unfit_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_derivative_of_the_registered_operation_is_that_of_autograd():
    """In float64, written out against what autograd makes of the definition, which holds no derivative."""
    logits, x = torch.randn(3, 8, dtype=torch.float64, requires_grad=True), torch.rand(3, 8, dtype=torch.float64)
    pull = torch.randn(3, dtype=torch.float64)
    out = torch.ops.genclust.bernoulli_log_prob(logits, x)
    expected = (x * torch.sigmoid(logits).log() + (1 - x) * torch.sigmoid(-logits).log()).sum(-1)
    torch.testing.assert_close(out, expected)
    found, truth = (torch.autograd.grad((each * pull).sum(), logits) for each in (out, expected))
    torch.testing.assert_close(found, truth)
