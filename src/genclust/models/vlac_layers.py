"""Building blocks of ladder autoencoders: upward and downward levels, posterior heads and mixture priors.

They follow the VLAE's code for SVHN, see :mod:`genclust.models.vlac`.  Every layer holds R replicas side by side; rows
of images have the channels before height and width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor, nn

from genclust.kernels.dispatch import precise
from genclust.models.distributions import Gaussian, categorical
from genclust.models.layers import BatchNorm, ClassBias, Convolution, Linear, WeightedBatchNorm
from genclust.streams import Noise

#: Height and width of a convolution kernel, as in the VLAE's code.
KERNEL = 4
#: Slope of leaky ReLUs below zero, as in the VLAE's code (except after the dense layers of p, where it is 0).
SLOPE = 0.1
#: Smallest standard deviation of q(z|·), as in the VLAE's code.
LEAST_SD = 1e-3

#: Shape of an output, (channels, height, width) of a convolution or (width,) of a dense layer.
Shape = tuple[int, ...]


class SameConvolution(Convolution):
    """Convolution of 4 × 4 with TensorFlow's padding: output height and width are the input's / stride, rounded up.

    If padding cannot be symmetric, the extra row and column are at the bottom and on the right.  ``mirrored`` puts them
    at the top and on the left, as in TensorFlow's transposed convolutions of stride 1, to which it is equivalent except
    for how the weights are indexed.
    """

    def __init__(self, replicas: int, channels_in: int, channels_out: int, stride: int, mirrored: bool = False) -> None:
        super().__init__(replicas, channels_in, channels_out, KERNEL, stride, padding=1)
        self.mirrored = mirrored

    def forward(self, x: Float[Tensor, "R B C H W"]) -> Float[Tensor, "R B O P Q"]:
        down, right = (self.stride * (-(-n // self.stride) - 1) + 2 - n for n in x.shape[-2:])
        uneven = (right, 0, down, 0) if self.mirrored else (0, right, 0, down)
        return super().forward(F.pad(x, uneven) if any(uneven) else x)


class Upsample(Convolution):
    """Transposed convolution from the output size of a :class:`SameConvolution` of stride 2 to its input size."""

    def __init__(self, replicas: int, channels_in: int, channels_out: int, height: int, width: int) -> None:
        super().__init__(replicas, channels_in, channels_out, KERNEL, 2, padding=1, transposed=True)
        self.height, self.width = height, width

    def forward(self, x: Float[Tensor, "R B C P Q"]) -> Float[Tensor, "R B O H W"]:
        return super().forward(x)[..., : self.height, : self.width]


class Block(nn.Module):
    """Affine map with optional class bias, followed by batch normalisation and leaky ReLU.

    Args:
        replicas: number R of replicas.
        affine: affine map of images or rows.
        features: number of output channels or output values.
        momentum: momentum of the batch statistics.
        classes: number of classes K of the y that adds a bias; 1 for no bias.
        slope: slope of the leaky ReLU below zero.
    """

    def __init__(
        self,
        replicas: int,
        affine: nn.Module,
        features: int,
        momentum: float,
        classes: int = 1,
        slope: float = SLOPE,
    ) -> None:
        super().__init__()
        self.affine = affine
        self.of_y = ClassBias(replicas, classes, features) if classes > 1 else None
        self.norm = WeightedBatchNorm(replicas, features, momentum)
        self.slope = slope

    def forward(
        self,
        x: Float[Tensor, "R N ..."],
        y: Float[Tensor, "R M K"] | None = None,
        weights: Float[Tensor, "R M"] | None = None,
    ) -> Float[Tensor, "R M ..."]:
        """Apply affine map, class bias, batch normalisation and leaky ReLU to N rows of x, repeated for M rows of y.

        Row n of x is combined with rows n M/N to (n+1) M/N - 1 of y.

        Args:
            x: images or rows.
            y: one-hot or relaxed classes.
            weights: weights of the rows in the batch statistics, 1 if None.
        """
        x = self.affine(x)
        if self.of_y is not None:
            assert y is not None
            places = (1,) * (x.ndim - 3)
            bias = torch.bmm(y, self.of_y.weight)
            x = repeat_each(x, y.shape[1] // x.shape[1]) + bias.view(*bias.shape, *places)
        return F.leaky_relu(normalise(self.norm, x, weights), self.slope)


def normalise(
    norm: WeightedBatchNorm, x: Float[Tensor, "R N C *places"], weights: Float[Tensor, "R N"] | None
) -> Float[Tensor, "R N C *places"]:
    """Batch normalisation of images or rows, with ``weights`` of the rows in the statistics (None: 1)."""
    if weights is None:
        return BatchNorm.forward(norm, x)
    places = x.shape[3:]
    weights = weights.view(*weights.shape, *(1,) * len(places)).expand(*weights.shape, *places)
    return norm(x.movedim(2, -1), weights).movedim(-1, 2)


def repeat_each(x: Float[Tensor, "R N *rest"], n: int) -> Float[Tensor, "R Nn *rest"]:
    """Every row repeated ``n`` times, with its copies next to each other."""
    return x if n == 1 else x.repeat_interleave(n, 1)


class Level(nn.Module):
    """Level of the upward path: two convolutions of stride 2 and 1, or two dense layers if ``shape`` is one width.

    Args:
        replicas: number R of replicas.
        below: shape of the input.
        shape: shape of the output.
        momentum: momentum of the batch statistics.
        below_classes: number of classes of the y that is an input of the first layer; 1 for no y.
        classes: number of classes of the y that is an input of the second layer; 1 for no y.
    """

    def __init__(
        self, replicas: int, below: Shape, shape: Shape, momentum: float, below_classes: int = 1, classes: int = 1
    ) -> None:
        super().__init__()
        width = shape[0]
        if len(shape) == 1:
            first: nn.Module = nn.Sequential(nn.Flatten(2), Linear(replicas, math.prod(below), width))
            second: nn.Module = Linear(replicas, width, width)
        else:
            first = SameConvolution(replicas, below[0], width, stride=2)
            second = SameConvolution(replicas, width, width, stride=1)
        self.first = Block(replicas, first, width, momentum, below_classes)
        self.second = Block(replicas, second, width, momentum, classes)

    def forward(
        self,
        x: Float[Tensor, "R N ..."],
        below_y: Float[Tensor, "R M J"] | None = None,
        y: Float[Tensor, "R P K"] | None = None,
        below_weights: Float[Tensor, "R M"] | None = None,
        weights: Float[Tensor, "R P"] | None = None,
    ) -> Float[Tensor, "R P ..."]:
        return self.second(self.first(x, below_y, below_weights), y, weights)


class Descent(nn.Module):
    r"""Level :math:`f_l` of the downward path: joins :math:`z_l` and :math:`\tilde z_{l+1}` and upsamples them.

    :math:`z_l` is made an image of the level's shape and concatenated with :math:`\tilde z_{l+1}`; a dense
    :math:`\tilde z_{l+1}` is concatenated with :math:`z_l` before.  The last convolution of :math:`f_1` is :math:`f_0`,
    which is not here.
    """

    def __init__(
        self, replicas: int, z_dim: int, above: Shape | None, shape: Shape, out: Shape, momentum: float
    ) -> None:
        super().__init__()
        planes, *_ = self.shape = shape
        self.dense_above = above is not None and len(above) == 1
        d_in = z_dim + (above[0] if above is not None and self.dense_above else 0)
        size = math.prod(shape)
        self.entry = Block(replicas, Linear(replicas, d_in, size), size, momentum, slope=0) if d_in else None
        joined = planes * ((self.entry is not None) + (above is not None and not self.dense_above))
        _, height, width = out
        self.deconvolve = Block(replicas, Upsample(replicas, joined, planes, height, width), planes, momentum)

    def forward(
        self,
        z: Float[Tensor, "R N Z"] | None,
        above: Float[Tensor, "R N ..."] | None,
        weights: Float[Tensor, "R N"] | None,
    ) -> Float[Tensor, "R N C H W"]:
        rows: list[Tensor] = []
        images: list[Tensor] = []
        if above is not None:
            (rows if self.dense_above else images).append(above)
        if z is not None:
            rows.append(z)
        if self.entry is not None:
            images.append(self.entry(torch.cat(rows, -1), weights=weights).unflatten(2, self.shape))
        return self.deconvolve(torch.cat(images, 2), weights=weights)


class PosteriorHead(nn.Module):
    r"""Gaussian posterior :math:`N(\mu_l, \sigma_l^2)` from features by linear layers; σ is between 0.001 and 1.001."""

    def __init__(self, replicas: int, d_in: int, z_dim: int) -> None:
        super().__init__()
        self.mean, self.raw_sd = Linear(replicas, d_in, z_dim), Linear(replicas, d_in, z_dim)

    def forward(self, h: Float[Tensor, "R N ..."]) -> Gaussian:
        h = h.flatten(2)
        return Gaussian(precise(self.mean(h)), log_var=2 * (precise(self.raw_sd(h)).sigmoid() + LEAST_SD).log())


class MixturePrior(nn.Module):
    """Prior p(z|y) of one layer: K Gaussians with learned means and log-variances, or N(0, I) for K = 1."""

    def __init__(self, replicas: int, n_clusters: int, z_dim: int) -> None:
        super().__init__()
        self.n_clusters, self.z_dim = n_clusters, z_dim
        if n_clusters > 1:
            self.mean = nn.Parameter(torch.empty(replicas, n_clusters, z_dim))
            self.log_var = nn.Parameter(torch.empty(replicas, n_clusters, z_dim))

    def forward(self, y: Float[Tensor, "R N K"] | None) -> Gaussian | None:
        """Gaussian p(z|y) whose parameters are averages weighted by the (relaxed) y; None stands for N(0, I)."""
        if y is None:
            return None
        with torch.autocast(y.device.type, enabled=False):  # no divergence in 16 bits
            return Gaussian(torch.bmm(y, self.mean), log_var=torch.bmm(y, self.log_var))

    def initialise(self, generators: Sequence[Generator]) -> None:
        """Draw the means from N(0, 1) and set all variances to 1."""
        if self.n_clusters > 1:
            self.log_var.data.zero_()
            for mean, generator in zip(self.mean.data, generators, strict=True):
                mean.normal_(generator=generator)

    def sample(self, n: int, noise: Noise, cluster: int | None = None) -> Float[Tensor, "R n Z"]:
        """``n`` samples of z from the mixture p(z), or from the component p(z|y) of one cluster."""
        draws = noise.normal(n, self.z_dim)
        if self.n_clusters == 1:
            return draws
        if cluster is not None:
            return Gaussian(self.mean[:, [cluster]], log_var=self.log_var[:, [cluster]]).draw(draws)
        uniform = noise.uniform(n, self.n_clusters)
        y = categorical(uniform.new_zeros(self.n_clusters), uniform)[..., None].expand(-1, -1, self.z_dim)
        return Gaussian(self.mean.gather(1, y), log_var=self.log_var.gather(1, y)).draw(draws)

    def sample_each(self, n: int, noise: Noise) -> Float[Tensor, "R K n Z"]:
        """``n`` samples of z from every component p(z|y)."""
        draws = noise.normal(self.n_clusters, n, self.z_dim)
        if self.n_clusters == 1:
            return draws
        return Gaussian(self.mean[:, :, None], log_var=self.log_var[:, :, None]).draw(draws)
