"""Replicated layers against one torch layer a replica."""

import pytest
import torch
from scipy import stats
from torch import nn

from genclust.models.layers import BatchNorm, ClassBias, Convolution, Linear, WeightedBatchNorm
from genclust.streams import Noise


@pytest.mark.parametrize("replicas", [1, 3])
def test_linear_is_one_affine_map_a_replica(replicas):
    layer = Linear(replicas, 5, 4)
    layer.initialise(Noise(range(replicas), "test").generators, "pytorch")
    x = torch.randn(replicas, 7, 5)
    y = layer(x)
    for r in range(replicas):
        torch.testing.assert_close(y[r], x[r] @ layer.weight[r] + layer.bias[r])


@pytest.mark.parametrize("replicas", [1, 3])
def test_batch_norm_is_one_of_torchs_a_replica(replicas):
    layer = BatchNorm(replicas, 4, momentum=0.3)
    peers = [nn.BatchNorm1d(4, momentum=0.3) for _ in range(replicas)]
    for r, peer in enumerate(peers):
        nn.init.uniform_(peer.weight)
        nn.init.uniform_(peer.bias)
        layer.weight.data[r], layer.bias.data[r] = peer.weight.data, peer.bias.data
    for _ in range(3):
        x = torch.randn(replicas, 9, 4)
        y = layer(x)
        for r, peer in enumerate(peers):
            torch.testing.assert_close(y[r], peer(x[r]))
    layer.eval()
    y = layer(x)
    for r, peer in enumerate(peers):
        torch.testing.assert_close(layer.running_var[r], peer.running_var)
        torch.testing.assert_close(y[r], peer.eval()(x[r]))


@pytest.mark.parametrize(("init", "bound"), [("pytorch", 0.1), ("torch7", 0.1), ("glorot", (6 / 150) ** 0.5)])
def test_initial_weights_are_uniform_within_the_bound_of_the_scheme(init, bound):
    layer = Linear(2, 100, 50)
    layer.initialise(Noise([0, 1], "test").generators, init)
    for weight in layer.weight.detach():
        assert stats.kstest(weight.flatten().numpy(), stats.uniform(-bound, 2 * bound).cdf).pvalue > 1e-3
    assert (layer.bias == 0).all() == (init == "glorot")


def test_torch7_draws_the_scale_of_batch_normalisation():
    layer = BatchNorm(1, 5000, momentum=0.1)
    layer.initialise(Noise([0], "test").generators, "torch7")
    assert stats.kstest(layer.weight.detach().flatten().numpy(), "uniform").pvalue > 1e-3
    layer.initialise(Noise([0], "test").generators, "pytorch")
    assert (layer.weight == 1).all()


def test_a_replica_starts_as_it_would_alone():
    together, alone = Linear(3, 6, 5), Linear(1, 6, 5)
    together.initialise(Noise([4, 5, 6], "test").generators, "pytorch")
    alone.initialise(Noise([5], "test").generators, "pytorch")
    assert torch.equal(together.weight[1], alone.weight[0])
    assert torch.equal(together.bias[1], alone.bias[0])


@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_are_each_replicas_own(transposed):
    layer = Convolution(3, 2, 5, 4, stride=2, padding=1, transposed=transposed)
    layer.initialise(Noise(range(3), "test").generators, "pytorch")
    x = torch.randn(3, 6, 2, 8, 10)
    peer = (torch.nn.ConvTranspose2d if transposed else torch.nn.Conv2d)(2, 5, 4, 2, 1)
    for r in range(3):
        peer.weight.data, peer.bias.data = layer.weight.data[r], layer.bias.data[r]
        torch.testing.assert_close(layer(x)[r], peer(x[r]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("transposed", [False, True])
def test_convolutions_from_and_to_a_single_place_are_torchs(transposed):
    """They are computed as matrix products; values and all gradients agree in double precision."""
    torch.manual_seed(0)
    layer = Convolution(2, 3, 4, 5, transposed=transposed).double()
    layer.initialise(Noise([0, 1], "test").generators, "pytorch")
    x = torch.randn(2, 6, 3, *((1, 1) if transposed else (5, 5)), dtype=torch.float64, requires_grad=True)
    y = layer(x)
    weights = torch.randn_like(y)
    (weights * y).sum().backward()
    for r in range(2):
        peer = (nn.ConvTranspose2d if transposed else nn.Conv2d)(3, 4, 5).double()
        peer.weight.data, peer.bias.data = layer.weight.data[r], layer.bias.data[r]
        its_x = x.detach()[r].requires_grad_()
        (weights[r] * peer(its_x)).sum().backward()
        torch.testing.assert_close(y[r], peer(its_x))
        torch.testing.assert_close(x.grad[r], its_x.grad)
        torch.testing.assert_close(layer.weight.grad[r], peer.weight.grad)
        torch.testing.assert_close(layer.bias.grad[r], peer.bias.grad)


def test_fan_in_of_a_transposed_convolution_differs_between_torch7_and_pytorch():
    """Bounds of the uniform draws, from the documentation of both: planes out times area, and planes in."""
    layer = Convolution(1, 50, 2, 3, transposed=True)
    for init, planes in (("pytorch", 2), ("torch7", 50)):
        layer.initialise(Noise([0], "test").generators, init)
        assert layer.weight.detach().abs().max().item() == pytest.approx(1 / (9 * planes) ** 0.5, rel=0.02)
    peer = torch.nn.ConvTranspose2d(50, 2, 3)
    assert peer.weight.detach().abs().max().item() == pytest.approx(1 / (9 * 2) ** 0.5, rel=0.02)


def test_batch_normalisation_of_images_is_each_replicas_own():
    layer, x = BatchNorm(2, 3, 0.1), 2 + 3 * torch.randn(2, 5, 3, 4, 4)
    y = layer(x)
    for r in range(2):
        peer = torch.nn.BatchNorm2d(3)
        torch.testing.assert_close(y[r], peer(x[r]), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(layer.running_var[r], peer.running_var, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1e-3, 1.0])
def test_weighted_normalisation_of_nearly_constant_features_is_torchs(scale):
    """Equal weights of a half, as if every row stood there half: the least variance of 1e-5 is part of it."""
    torch.manual_seed(0)
    x = 3 + scale * torch.randn(1, 40, 4, dtype=torch.float64)
    weighted, peer = WeightedBatchNorm(1, 4, 0.1).double(), nn.BatchNorm1d(4).double()
    found = weighted(x, torch.full((1, 40), 0.5, dtype=torch.float64))
    torch.testing.assert_close(found[0], peer(x[0]))


def test_a_class_bias_is_that_of_the_rows_class_and_replica():
    layer = ClassBias(2, 3, 4)
    layer.initialise(Noise([0, 1], "test").generators, "pytorch")
    y = torch.tensor([[0, 2, 2], [1, 0, 1]])
    found = layer.of(y)
    for r in range(2):
        for row in range(3):
            assert torch.equal(found[r, row], layer.weight[r, y[r, row]])
    assert layer.weight.abs().max() <= 1 / 3**0.5 < 1.2 * layer.weight.abs().max()
