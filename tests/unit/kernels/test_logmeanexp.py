"""Log-mean-exp: kernels against scipy and known means, any partition of the stream, hard columns."""

import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax

from genclust import kernels
from genclust.kernels.logmeanexp import LogMeanExp, log_mean_exp

from .checks import DEVICE, largest_error, needs_triton, relative_error, values_and_gradients

ROUNDOFF = 2.0**-24
#: Relative error of exp(w - L) where L around -90 is rounded.
GRADIENT = 100 * ROUNDOFF
NAMES = ["triton", "auto"]
INF, NAN = float("inf"), float("nan")

# Triton's interpreter computes with NumPy, which remarks on ∞ - ∞ even where the result is not taken.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")


def weights(*shape: int, level: float = -90.0) -> torch.Tensor:
    """Log-weights as an image has them: spread by several nats around its log-likelihood."""
    return level + 6 * torch.randn(*shape)


def scipy_log_mean_exp(w: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(np.asarray(logsumexp(w.double().numpy(), axis=0) - math.log(len(w))))


def streamed(chunks) -> torch.Tensor:
    stream = LogMeanExp()
    for chunk in chunks:
        stream.update(chunk.to(DEVICE))
    return stream.result().cpu()


SHAPES = [(1, 1), (1, 5), (3,), (10, 2, 7), (64, 33), (65, 40), (200, 3, 5), (7, 130)]


@needs_triton
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_value_and_gradient_agree_with_float64_and_scipy(shape, name):
    w = weights(*shape).requires_grad_()
    assert largest_error(log_mean_exp, [w], name) < GRADIENT
    with kernels.implementation(name):
        value, gradient = values_and_gradients(lambda w: log_mean_exp(w).sum(), [w], torch.float32)
        each = log_mean_exp(w.detach().to(DEVICE))
    cotangent = torch.randn((), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert relative_error(each, scipy_log_mean_exp(w.detach())) < 5e-7
    assert (
        relative_error(gradient, cotangent * torch.from_numpy(softmax(w.detach().double().numpy(), axis=0))) < GRADIENT
    )
    assert value.shape == ()


@needs_triton
@pytest.mark.parametrize("name", NAMES)
def test_5000_samples_within_the_stated_bound(name):
    w = weights(5000, 20)
    truth = scipy_log_mean_exp(w)
    with kernels.implementation(name):
        error = (log_mean_exp(w.to(DEVICE)).cpu() - truth).abs()
        assert (error <= 2 * ROUNDOFF * (truth.abs() + 16)).all()
        for size in (250, 1000, 5000):
            error = (streamed(w.split(size)) - truth).abs()
            state = truth.abs() + math.log(5000)
            assert (error <= ROUNDOFF * (5000 // size + 1) * (state + 16)).all()


@needs_triton
@pytest.mark.parametrize("name", NAMES)
def test_known_means(name):
    """Equal weights, and weights 1 … S of mean (S + 1)/2 at levels whose exp overflows or underflows."""
    with kernels.implementation(name):
        constant = torch.tensor([-745.25, 0.0, 1e30, -1e30]).expand(37, 4).to(DEVICE)
        torch.testing.assert_close(log_mean_exp(constant), constant[0], rtol=2 * ROUNDOFF, atol=16 * ROUNDOFF)
        for level in (-300.0, 0.0, 300.0):
            w = (level + torch.arange(1, 101).log())[torch.randperm(100), None].to(DEVICE)
            expected = level + math.log(50.5)
            assert abs(log_mean_exp(w).item() - expected) <= 2 * ROUNDOFF * (abs(level) + 16)
            assert abs(streamed(w.split(7)).item() - expected) <= ROUNDOFF * 16 * (abs(level) + 16)
        # One weight above all others by more than float32 can tell: its share, exactly.
        alone = torch.tensor([[0.0], [-200.0], [-300.0], [-400.0]], device=DEVICE)
        assert log_mean_exp(alone).item() == pytest.approx(-math.log(4), rel=2e-7)


@needs_triton
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sizes", [(60,), (1,) * 60, (59, 1), (1, 59), (30, 30), (7, 20, 1, 32)], ids=len)
def test_any_partition_and_order_is_the_whole(name, sizes):
    w = weights(60, 3, 4)
    with kernels.implementation(name):
        whole = log_mean_exp(w.to(DEVICE)).cpu()
        chunks = w.split(sizes)
        bound = ROUNDOFF * (len(sizes) + 2) * (whole.abs() + math.log(60) + 16)
        for arrangement in (chunks, chunks[::-1], w[torch.randperm(60)].split(sizes), sorted_samples(w).split(sizes)):
            assert ((streamed(arrangement) - whole).abs() <= bound).all()


def sorted_samples(w: torch.Tensor) -> torch.Tensor:
    """Ascending: every weight raises the maximum."""
    return w.sort(0).values


@needs_triton
@pytest.mark.parametrize("name", NAMES)
def test_infinities_and_nan_stay_in_their_columns(name):
    w = torch.randn(5, 7)
    w[:, 0] = -INF
    w[2, 1] = INF
    w[3, 2] = NAN
    w[0, 3], w[1, 3] = NAN, INF
    w[:4, 4] = -INF
    w[0, 5], w[4, 5] = INF, INF
    expected = torch.tensor(
        [-INF, INF, NAN, NAN, w[4, 4].item() - math.log(5), INF, scipy_log_mean_exp(w[:, 6]).item()]
    )
    with kernels.implementation(name):
        value, gradient = values_and_gradients(log_mean_exp, [w.clone().requires_grad_()], torch.float32)
        torch.testing.assert_close(value.cpu(), expected, rtol=1e-6, atol=1e-6, equal_nan=True)
        assert gradient[:, [4, 6]].isfinite().all() and gradient[:4, 4].eq(0).all()
        assert gradient[:, [0, 2, 3]].isnan().all()
        for order in (torch.arange(5), torch.arange(4, -1, -1)):
            for size in (1, 2, 5):
                torch.testing.assert_close(
                    streamed(w[order].split(size)), expected, rtol=1e-6, atol=1e-6, equal_nan=True
                )


@needs_triton
@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_is_accumulated_in_float32(name):
    w = weights(300, 4).bfloat16()
    with kernels.implementation(name):
        value, gradient = values_and_gradients(log_mean_exp, [w.clone().requires_grad_()], torch.bfloat16)
        stream = streamed(w.split(64))
    assert value.dtype == stream.dtype == torch.float32 and gradient.dtype == torch.bfloat16
    assert relative_error(value, scipy_log_mean_exp(w)) < 3e-7
    assert relative_error(stream, scipy_log_mean_exp(w)) < 1e-6  # five roundings of the state
    # Only the stored gradient has 8 bits; Triton's interpreter cuts the others off where a GPU rounds.
    assert largest_error(log_mean_exp, [w.float().requires_grad_()], name, torch.bfloat16) < 2.0**-7


def test_float64_stays_float64():
    w = weights(50, 3).double()
    assert log_mean_exp(w).dtype == torch.float64
    torch.testing.assert_close(log_mean_exp(w), scipy_log_mean_exp(w), rtol=1e-14, atol=0)
    torch.testing.assert_close(streamed(w.split(9)), scipy_log_mean_exp(w), rtol=1e-14, atol=0)
    assert torch.autograd.gradcheck(log_mean_exp, weights(4, 3).double().requires_grad_())


@needs_triton
def test_empty_batch_non_contiguous_and_many_columns():
    assert largest_error(log_mean_exp, [torch.zeros(4, 0, 3).requires_grad_()], "triton") == 0
    assert streamed([torch.zeros(4, 0)]).shape == (0,)
    assert largest_error(log_mean_exp, [weights(6, 20).T.requires_grad_()], "triton") < GRADIENT
    assert largest_error(log_mean_exp, [weights(1, 2, 65_600).requires_grad_()], "triton") < GRADIENT
    expanded = torch.randn(3, 1).expand(3, 5)
    with kernels.implementation("triton"):
        torch.testing.assert_close(streamed([expanded.to(DEVICE)]), scipy_log_mean_exp(expanded).float())


def test_stream_keeps_one_result_and_no_graph():
    stream = LogMeanExp()
    for chunk in torch.randn(8, 10, requires_grad=True).split(2):
        stream.update(chunk)
    assert stream.count == 8
    assert not stream.result().requires_grad
    assert [t.numel() for t in vars(stream).values() if isinstance(t, torch.Tensor)] == [10]


def test_registered_operations_pass_opcheck():
    w = weights(4, 3, 2).requires_grad_()
    half = w.detach().bfloat16().requires_grad_()
    for weights_, before in ((w, None), (half, None), (w.detach(), torch.randn(3, 2))):
        torch.library.opcheck(torch.ops.genclust.log_sum_exp, (weights_, before))
    out = w.detach().logsumexp(0)
    torch.library.opcheck(torch.ops.genclust.log_sum_exp_backward, (torch.randn(3, 2), w.detach(), out))


@pytest.mark.parametrize("unfit", [torch.zeros(0, 3), torch.zeros(2, 3, dtype=torch.int64), torch.tensor(1.0)], ids=str)
def test_unfit_weights_are_refused(unfit):
    for take in (log_mean_exp, LogMeanExp().update):
        with pytest.raises(ValueError, match="at least one sample"):
            take(unfit)


@pytest.mark.parametrize(
    "unfit, message",
    [
        (torch.zeros(2, 4), r"float32 log-weights \[S, 3\], not torch.float32 \[2, 4\]"),
        (torch.zeros(2, 3, 1), "log-weights"),
        (torch.zeros(2), "log-weights"),
        (torch.zeros(2, 3).double(), "not torch.float64"),
        (torch.zeros(2, 3).bfloat16(), "not torch.bfloat16"),
        (torch.zeros(0, 3), "at least one sample"),
    ],
)
def test_a_refused_update_changes_nothing(unfit, message):
    stream = LogMeanExp()
    with pytest.raises(ValueError, match="No samples yet"):
        stream.result()
    stream.update(torch.randn(5, 3))
    before = stream.result()
    with pytest.raises(ValueError, match=message):
        stream.update(unfit)
    assert stream.count == 5 and torch.equal(stream.result(), before)


def test_the_derivative_of_the_registered_operation_is_that_of_autograd():
    """In float64, written out against what autograd makes of the definition, which holds no derivative."""
    log_w, pull = torch.randn(7, 5, dtype=torch.float64, requires_grad=True), torch.randn(5, dtype=torch.float64)
    out = torch.ops.genclust.log_sum_exp(log_w, None)
    expected = log_w.exp().sum(0).log()
    torch.testing.assert_close(out, expected)
    found, truth = (torch.autograd.grad((each * pull).sum(), log_w) for each in (out, expected))
    torch.testing.assert_close(found, truth)
