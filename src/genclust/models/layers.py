"""Neural network layers that hold R independently seeded replicas side by side, along a leading replica axis.

Every parameter and every activation has a leading replica axis ``R``, so that all the seeds of
a table row train in one go.  The products are written out as ``baddbmm``: on two CPU cores that
was never slower than separate runs, where ``vmap`` lost up to 45 per cent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

Init = Literal["pytorch", "torch7", "glorot"]


class Linear(nn.Module):
    r"""Affine maps :math:`y_r = x_r W_r + b_r`, one per replica."""

    def __init__(self, replicas: int, d_in: int, d_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(replicas, d_in, d_out))
        self.bias = nn.Parameter(torch.empty(replicas, 1, d_out))

    def forward(self, x: Float[Tensor, "R B d_in"]) -> Float[Tensor, "R B d_out"]:
        return torch.baddbmm(self.bias, x, self.weight)

    def initialise(self, generators: Sequence[Generator], init: Init) -> None:
        """Draw weights and biases of each replica r with ``generators[r]`` (see :func:`draw_weights`)."""
        _, d_in, d_out = self.weight.shape
        draw_weights(self.weight, self.bias, d_in, d_out, generators, init)


class Convolution(nn.Module):
    r"""Two-dimensional convolutions or, if ``transposed``, transposed convolutions, one per replica.

    Replicas are the groups of one grouped convolution.
    """

    def __init__(
        self,
        replicas: int,
        channels_in: int,
        channels_out: int,
        size: int,
        stride: int = 1,
        padding: int = 0,
        transposed: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.padding, self.transposed = stride, padding, transposed
        self.channels_in, self.channels_out = channels_in, channels_out
        shape = (channels_in, channels_out) if transposed else (channels_out, channels_in)
        self.weight = nn.Parameter(torch.empty(replicas, *shape, size, size))
        self.bias = nn.Parameter(torch.empty(replicas, channels_out))

    def forward(self, x: Float[Tensor, "R B C H W"]) -> Float[Tensor, "R B O P Q"]:
        replicas, side = len(self.weight), self.weight.shape[-1]
        places = (1, 1) if self.transposed else (side, side)
        if x.shape[-2:] == places and not self.padding:
            return self._product(x)
        convolve = F.conv_transpose2d if self.transposed else F.conv2d
        y = convolve(
            x.transpose(0, 1).flatten(1, 2),
            self.weight.flatten(0, 1),
            self.bias.flatten(),
            self.stride,
            self.padding,
            groups=replicas,
        )
        return y.unflatten(1, (replicas, self.channels_out)).transpose(0, 1)

    def _product(self, x: Float[Tensor, "R B C H W"]) -> Float[Tensor, "R B O P Q"]:
        """Convolution from or to a single pixel, computed as a matrix product, which is several times faster."""
        if self.transposed:  # every pixel of the result depends on the single pixel of x by its own weight
            y = torch.bmm(x.flatten(2), self.weight.flatten(2))
            return y.view(*x.shape[:2], *self.weight.shape[2:]) + self.bias[:, None, :, None, None]
        # In this order the weight's gradient comes out in the weight's own layout, and is not copied.
        y = torch.baddbmm(self.bias[..., None], self.weight.flatten(2), x.flatten(2).transpose(1, 2))
        return y.transpose(1, 2)[..., None, None]

    def initialise(self, generators: Sequence[Generator], init: Init) -> None:
        """Draw weights and biases of each replica r with ``generators[r]`` (see :func:`draw_weights`).

        PyTorch takes the output planes for the fan-in of a transposed convolution, Torch7 the input planes.
        """
        area = self.weight.shape[-1] ** 2
        fan_in, fan_out = area * self.channels_in, area * self.channels_out
        if self.transposed and init == "pytorch":
            fan_in = fan_out
        draw_weights(self.weight, self.bias, fan_in, fan_out, generators, init)


def draw_weights(
    weight: Tensor, bias: Tensor, fan_in: int, fan_out: int, generators: Sequence[Generator], init: Init
) -> None:
    r"""Draw weights and biases of each replica r with ``generators[r]``, by the scheme ``init``.

    ``pytorch`` and ``torch7`` draw weights and biases from :math:`U(\pm 1/\sqrt{\text{fan-in}})`;
    ``glorot`` draws weights from :math:`U(\pm\sqrt{6/(\text{fan-in}+\text{fan-out})})` and starts
    the biases at zero.
    """
    bound = math.sqrt(6 / (fan_in + fan_out)) if init == "glorot" else 1 / math.sqrt(fan_in)
    for w, b, generator in zip(weight.data, bias.data, generators, strict=True):
        w.uniform_(-bound, bound, generator=generator)
        if init == "glorot":
            b.zero_()
        else:
            b.uniform_(-bound, bound, generator=generator)


class BatchNorm(nn.Module):
    """Batch normalisation over the batch axis and the pixels of images, with separate statistics for each replica.

    ``momentum`` is the weight of the newest batch in the running statistics.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, replicas: int, features: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(replicas, features))
        self.bias = nn.Parameter(torch.zeros(replicas, features))
        self.register_buffer("running_mean", torch.zeros(replicas, features))
        self.register_buffer("running_var", torch.ones(replicas, features))

    def forward(self, x: Float[Tensor, "R B D *places"]) -> Float[Tensor, "R B D *places"]:
        # One fused call over R*D channels; for R = 1 the transposition is only a view.
        channels = x.transpose(0, 1).flatten(1, 2)
        y = F.batch_norm(
            channels,
            self.running_mean.view(-1),
            self.running_var.view(-1),
            self.weight.view(-1),
            self.bias.view(-1),
            training=self.training,
            momentum=self.momentum,
        )
        return y.unflatten(1, (x.shape[0], x.shape[2])).transpose(0, 1)

    def initialise(self, generators: Sequence[Generator], init: Init) -> None:
        """Set scale 1 and shift 0; with ``torch7`` draw the scale from U(0, 1), as that library did."""
        self.bias.data.zero_()
        if init == "torch7":
            for weight, generator in zip(self.weight.data, generators, strict=True):
                weight.uniform_(0, 1, generator=generator)
        else:
            self.weight.data.fill_(1)


class WeightedBatchNorm(BatchNorm):
    r"""Batch normalisation with a weight for each row, for rows that count as fractions of an example.

    Where a class y is enumerated, the K copies of an example enter the statistics with their weights
    q(y|·), which sum to one, as if each copy occurred that often in the batch:
    :math:`m = \frac1B \sum_{b,y} q_{by} x_{by}`, :math:`v = \frac1B \sum_{b,y} q_{by} (x_{by} - m)^2`.  With
    equal weights improbable classes, whose activations mean nothing, would decide how the probable ones are
    scaled.  No gradient flows from the statistics to the weights: how a layer is scaled is no reason to
    believe in a class.
    """

    def forward(
        self, x: Float[Tensor, "R *B D"], weights: Float[Tensor, "R ..."] | None = None
    ) -> Float[Tensor, "R *B D"]:
        """Normalise over all axes except the first and the last; ``weights`` of the rows are 1 if None."""
        shape, x = x.shape, x.flatten(1, -2)
        if weights is None or not self.training:
            return super().forward(x).view(shape)
        w = weights.detach().flatten(1)[..., None]
        size = w.sum(1)
        mean = (w * x).sum(1) / size
        centred = x - mean[:, None]
        var = (w * centred.square()).sum(1) / size
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * size / (size - 1), self.momentum)
        scale = self.weight * torch.rsqrt(var + 1e-5)
        return (centred * scale[:, None] + self.bias[:, None]).view(shape)


@contextmanager
def momenta_kept(module: nn.Module) -> Iterator[list[BatchNorm]]:
    """Context manager with all batch normalisations of a module, whose momenta are put back in the end."""
    layers = [layer for layer in module.modules() if isinstance(layer, BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    try:
        yield layers
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


@contextmanager
def running_statistics_kept(module: nn.Module) -> Iterator[None]:
    """Context manager in which batch normalisation uses batch statistics and keeps the running ones unchanged.

    For the labelled examples of a step, which are few and chosen evenly from the classes, unlike the data.
    """
    with momenta_kept(module) as layers:
        for layer in layers:
            layer.momentum = 0.0
        yield


class ClassBias(nn.Module):
    """Bias vector for each of K classes, ``[R, K, H]``: the product of a one-hot y and a weight matrix."""

    def __init__(self, replicas: int, classes: int, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(replicas, classes, features))

    def of(self, y: Int[Tensor, "R ..."]) -> Float[Tensor, "R *B H"]:
        """Bias vectors of the classes y of the rows."""
        rows = torch.arange(len(y), device=y.device).view(-1, *[1] * (y.ndim - 1))
        return self.weight[rows, y]

    def initialise(self, generators: Sequence[Generator], init: Init) -> None:
        """Draw the biases of each replica r with ``generators[r]``, as the weights of a linear layer with K inputs."""
        _, classes, features = self.weight.shape
        bound = math.sqrt(6 / (classes + features)) if init == "glorot" else 1 / math.sqrt(classes)
        for weight, generator in zip(self.weight.data, generators, strict=True):
            weight.uniform_(-bound, bound, generator=generator)


class MLP(nn.Sequential):
    """Linear layers of ``sizes``, each followed by batch normalisation (unless ``momentum`` is None) and ReLU."""

    def __init__(self, replicas: int, sizes: Sequence[int], momentum: float | None) -> None:
        layers: list[nn.Module] = []
        for d_in, d_out in pairwise(sizes):
            layers.append(Linear(replicas, d_in, d_out))
            if momentum is not None:
                layers.append(BatchNorm(replicas, d_out, momentum))
            layers.append(nn.ReLU())
        super().__init__(*layers)


def initialise(module: nn.Module, generators: Sequence[Generator], init: Init) -> None:
    """Initialise every layer of ``module`` in a fixed order, each replica r with ``generators[r]``."""
    for layer in module.modules():
        if isinstance(layer, (Linear, Convolution, BatchNorm, ClassBias)):
            layer.initialise(generators, init)
