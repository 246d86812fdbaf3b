"""Class-broadcast bias and nonlinearity: kernels against float64, NumPy loops, hard inputs, compilation."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from genclust import kernels
from genclust.kernels.classbias import class_bias_act, reference

from .checks import DEVICE, largest_error, needs_triton, relative_error, values_and_gradients

ACTIVATIONS = ["relu", "leaky_relu"]
NAMES = ["triton", "auto"]
NAN = float("nan")

#: R, B, K, H
SHAPES = {
    "one row": (1, 1, 2, 9),
    "one replica": (1, 5, 3, 20),
    "replicas": (2, 3, 4, 64),
    "several blocks of rows": (2, 70, 3, 33),
    "several blocks of columns": (1, 4, 2, 130),
    "narrow": (3, 40, 2, 2),
}

# Triton's interpreter computes with NumPy, which remarks on values that are not taken.
pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")


def act(activation):
    return lambda h, bias: class_bias_act(h, bias, activation)


def inputs(R: int, B: int, K: int, H: int, scale: float = 1.0) -> list[torch.Tensor]:
    return [(scale * torch.randn(R, n, H)).requires_grad_() for n in (B, K)]


@needs_triton
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_value_and_gradients_agree_with_float64(shape, activation, name):
    assert largest_error(act(activation), inputs(*shape), name) < 1e-6


NUMPY = {
    "relu": (lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1.0, 0.0)),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1.0, 0.01)),
}


@needs_triton
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_agrees_with_loops_over_classes_and_rows(activation, name):
    """The formula of the file, with each class and row in turn and derivatives written from the argument."""
    h, bias = inputs(2, 9, 3, 5)
    value, derivative = NUMPY[activation]
    x, c = h.detach().double().numpy(), bias.detach().double().numpy()
    g = torch.randn(2, 9, 3, 5)
    out, grad_h, grad_bias = np.zeros(g.shape), np.zeros(x.shape), np.zeros(c.shape)
    for r, b, k in np.ndindex(2, 9, 3):
        out[r, b, k] = value(x[r, b] + c[r, k])
        slope = g[r, b, k].double().numpy() * derivative(x[r, b] + c[r, k])
        grad_h[r, b] += slope
        grad_bias[r, k] += slope
    with kernels.implementation(name):
        leaves = [t.detach().to(DEVICE).requires_grad_() for t in (h, bias)]
        o = class_bias_act(*leaves, activation)
        o.backward(g.to(DEVICE))
    for found, truth in zip((o.detach(), leaves[0].grad, leaves[1].grad), (out, grad_h, grad_bias), strict=True):
        assert relative_error(found, torch.from_numpy(truth)) < 1e-6


@needs_triton
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_extreme_arguments(activation, name):
    h = torch.tensor([[[1e30, -1e30, 100.0, -104.0, 0.0, -0.0]]])
    found, *gradients = values_and_gradients_of(activation, name, h)
    truth, *expected = values_and_gradients_of(activation, "reference", h.double())
    torch.testing.assert_close(found.double(), truth, rtol=1e-6, atol=1e-30)
    for gradient, other in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient.double(), other, rtol=1e-6, atol=1e-7)


def values_and_gradients_of(activation, name, h):
    with kernels.implementation(name):
        given = [h.requires_grad_(), torch.zeros_like(h).requires_grad_()]
        return [t.cpu() for t in values_and_gradients(act(activation), given, h.dtype)]


@needs_triton
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nan_stays_where_it_is(activation, name):
    h, bias = torch.randn(2, 3, 5), torch.randn(2, 4, 5)
    h[0, 1, 2] = bias[1, 3, 4] = NAN
    affected = (h[:, :, None] + bias[:, None]).isnan()
    with kernels.implementation(name):
        out, grad_h, grad_bias = values_and_gradients(
            act(activation), [h.requires_grad_(), bias.requires_grad_()], torch.float32
        )
    assert torch.equal(out.isnan().cpu(), affected)
    # The derivative at NaN is a constant, in PyTorch too.
    assert grad_h.isfinite().all() and grad_bias.isfinite().all()


@needs_triton
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("bias_dtype", [torch.float32, torch.bfloat16])
def test_bfloat16(activation, bias_dtype, name):
    h, bias = torch.randn(2, 100, 20).bfloat16(), torch.randn(2, 3, 20).to(bias_dtype)
    exact = [t.double().requires_grad_() for t in (h, bias)]
    truth = reference(*exact, activation)
    g = torch.randn(truth.shape).bfloat16()
    truth.backward(g.double())
    with kernels.implementation(name):
        given = [t.to(DEVICE).requires_grad_() for t in (h, bias)]
        out = class_bias_act(*given, activation)
        out.backward(g.to(DEVICE))
    assert out.dtype == given[0].grad.dtype == torch.bfloat16 and given[1].grad.dtype == bias_dtype
    # Triton's interpreter cuts bits off where a GPU rounds: 2⁻⁷ instead of 2⁻⁸; the plain form rounds twice.
    assert relative_error(out.detach(), truth.detach()) < 2.0**-7
    for found, true in zip(given, exact, strict=True):  # the derivative comes from an output of 8 bits
        assert relative_error(found.grad, true.grad) < 2.0**-6


@needs_triton
def test_sums_over_many_rows_in_bfloat16_lose_nothing():
    h, bias = torch.zeros(1, 1500, 4).bfloat16(), torch.ones(1, 2, 4, requires_grad=True, device=DEVICE)
    for name in NAMES:
        with kernels.implementation(name):
            (gradient,) = torch.autograd.grad(class_bias_act(h.to(DEVICE), bias, "relu").float().sum(), bias)
        assert gradient.eq(1500).all()


@needs_triton
def test_gradients_are_the_same_in_every_run():
    h, bias = inputs(2, 100, 3, 20)
    with kernels.implementation("triton"):
        first, again = (values_and_gradients(act("leaky_relu"), [h, bias], torch.float32) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


@needs_triton
@pytest.mark.parametrize("shape", [(2, 0, 3, 5), (0, 2, 3, 5), (2, 3, 0, 5), (2, 3, 4, 0)], ids=str)
def test_empty_axes(shape):
    assert largest_error(act("relu"), inputs(*shape), "triton") == 0


@needs_triton
def test_non_contiguous_and_many_rows():
    h, bias = torch.randn(7, 5, 2).permute(2, 0, 1), torch.randn(2, 5, 1).mT.expand(2, 4, 5)
    assert largest_error(act("leaky_relu"), [h.requires_grad_(), bias.requires_grad_()], "triton") < 1e-6
    assert largest_error(act("relu"), inputs(2, 33_000, 1, 1), "triton") < 1e-6  # two sums of 33,000 terms


def test_registered_operations_pass_opcheck():
    h, bias = inputs(2, 3, 4, 5)
    for activation in ACTIVATIONS:
        torch.library.opcheck(torch.ops.genclust.class_bias_act, (h, bias, activation))
    torch.library.opcheck(
        torch.ops.genclust.class_bias_act, (h.detach().bfloat16().requires_grad_(), bias, "leaky_relu")
    )
    out = torch.rand(2, 3, 4, 5)
    torch.library.opcheck(torch.ops.genclust.class_bias_act_backward, (torch.randn(2, 3, 4, 5), out, "relu"))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives_from_the_output(activation):
    """The registered operation without Triton, as it runs under torch.compile on a CPU."""
    h, bias = inputs(2, 6, 3, 5)
    with kernels.implementation("reference"):
        found = values_and_gradients(
            lambda h, bias: torch.ops.genclust.class_bias_act(h, bias, activation), [h, bias], torch.float64
        )
    truth = values_and_gradients(lambda h, bias: reference(h, bias, activation), [h, bias], torch.float64)
    for a, b in zip(found, truth, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-14, atol=1e-15)


def test_stays_closed_to_the_compiler():
    """Opened, the broadcast with relu would run up to 20 times slower on a CPU."""
    captured = []

    def record(graph, _):
        captured.extend(str(node.target) for node in graph.graph.nodes)
        return graph.forward

    h, bias = inputs(1, 4, 3, 5)
    function = torch.compile(
        lambda h, bias: F.softplus(class_bias_act(h * 2, bias, "leaky_relu")).sum(), backend=record
    )
    value = function(h, bias)
    assert "genclust.class_bias_act.default" in captured
    with kernels.implementation("reference"):
        expected = F.softplus(class_bias_act(h * 2, bias, "leaky_relu")).sum()
    torch.testing.assert_close(value, expected)
    for a, b in zip(torch.autograd.grad(value, (h, bias)), torch.autograd.grad(expected, (h, bias)), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    "h, bias, activation, message",
    [
        ((2, 3, 5), (2, 4, 6), "relu", r"do not fit: \[2, 3, 5\] and \[2, 4, 6\]"),
        ((2, 3, 5), (1, 4, 5), "relu", "do not fit"),
        ((3, 5), (4, 5), "relu", "do not fit"),
        ((2, 3, 5), (2, 4, 5), "reluu", "did you mean 'relu'"),
    ],
)
def test_unfit_input_is_refused(h, bias, activation, message):
    with pytest.raises(ValueError, match=message):
        class_bias_act(torch.zeros(h), torch.zeros(bias), activation)
