"""Which implementation runs, how it is overridden, and that compilers and tracers can follow."""

import pytest
import torch

from genclust import kernels
from genclust.kernels.dispatch import broadcast_rows, runs_triton
from genclust.settings import SettingError

from .checks import DEVICE, needs_triton


@needs_triton
def test_the_implementation_can_be_chosen_and_comes_back():
    x = torch.zeros(2, device=DEVICE)
    before = runs_triton(x)
    with kernels.implementation("triton"):
        assert runs_triton(x)
        with kernels.implementation("reference"):
            assert not runs_triton(x)
        assert runs_triton(x)
    with pytest.raises(RuntimeError), kernels.implementation("triton"):
        raise RuntimeError("the choice ends here too")
    assert runs_triton(x) == before == (DEVICE == "cuda")
    assert not runs_triton(x.double())


def test_an_unknown_implementation_is_refused():
    with pytest.raises(SettingError, match="'reference'"), kernels.implementation("referense"):
        pass


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_kernels_run_on_the_gpu_that_holds_their_tensors():
    mean, log_var = torch.randn(2, 50, 7)
    with kernels.implementation("reference"):
        expected = kernels.gaussian_kl(mean, log_var)
    for gpu in ("cuda:0", "cuda:1"):
        leaf = mean.to(gpu).requires_grad_()
        kl = kernels.gaussian_kl(leaf, log_var.to(gpu))
        assert str(kl.device) == gpu
        torch.testing.assert_close(kl.detach().cpu(), expected)
        (gradient,) = torch.autograd.grad(kl.sum(), leaf)
        torch.testing.assert_close(gradient.cpu(), mean)


@pytest.mark.parametrize("large", [(2, 3, 4), (1, 3, 1), (5,), (0, 3), (2, 1, 3, 4)])
def test_rows_of_a_broadcast_tensor_are_found(large):
    """Against the indices that PyTorch's own broadcasting gives, for every way of repeating."""
    for pattern in range(2 ** len(large)):
        small = tuple(1 if pattern >> i & 1 else n for i, n in enumerate(large))
        rows = broadcast_rows(large, small, "x")
        number = torch.arange(torch.Size(small).numel()).view(small).expand(large).flatten()
        if rows is None:
            continue  # the caller expands
        outer, repeat, inner = rows
        assert outer * repeat * inner == len(number)
        i = torch.arange(len(number))
        assert torch.equal((i // max(repeat * inner, 1)) * inner + i % max(inner, 1), number)


def test_shapes_that_do_not_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\) does not broadcast to \(3,\)"):
        broadcast_rows((3,), (2,), "x")


def test_operations_compile_as_one_graph():
    """``fullgraph``: the compiler sees through the dispatch, or takes the registered operation whole."""

    def leaf(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, requires_grad=True)

    def everything(l, x, m, v, u, w, h, b):
        sample, kl = kernels.gumbel_softmax(m, u, 0.5)
        return (
            kernels.bernoulli_log_prob(l, x).sum()
            + kernels.gaussian_kl(m, v).sum()
            + sample.square().sum()
            + kl.sum()
            + kernels.log_mean_exp(w).sum()
            + kernels.class_bias_act(h, b, "relu").sum()
        )

    arguments = [leaf(2, 4, 5), torch.rand(2, 4, 5), leaf(2, 4, 3), leaf(2, 4, 3), torch.rand(2, 4, 3)]
    arguments += [leaf(7, 5), leaf(2, 4, 6), leaf(2, 3, 6)]
    compiled = torch.compile(everything, fullgraph=True, backend="aot_eager")
    leaves = [a for a in arguments if a.requires_grad]
    expected = torch.autograd.grad(everything(*arguments), leaves)
    for found, truth in zip(torch.autograd.grad(compiled(*arguments), leaves), expected, strict=True):
        torch.testing.assert_close(found, truth, rtol=1e-5, atol=1e-6)
