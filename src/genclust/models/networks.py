"""Class-conditional multilayer perceptrons with several inputs and outputs, of which likelihood models are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from genclust.kernels import class_bias_act
from genclust.kernels.dispatch import precise
from genclust.models.base import BernoulliSettings
from genclust.models.distributions import Gaussian
from genclust.models.layers import ClassBias, Linear, WeightedBatchNorm
from genclust.settings import SettingError, within
from genclust.wording import counted

T = TypeVar("T")
#: Slope of the leaky ReLU below zero, Lasagne's default; the code of CaGeM's authors is written in Lasagne.
SLOPE = 0.01
#: Constant added to every variance, as in the code of CaGeM's authors.
LEAST_VARIANCE = 1e-5


@dataclass(frozen=True, kw_only=True)
class NetworkSettings(BernoulliSettings):
    """Hyper-parameters of every model made of :class:`ClassConditionalMLP`: batch normalisation.

    Attributes:
        batch_norm: whether hidden layers, means and variances are batch-normalised; where y is summed out, classes have
            the weights q(y|·) in the statistics.
        bn_momentum: weight of the newest batch in the running statistics.
    """

    batch_norm: bool = True
    bn_momentum: float = within(0, 1, default=0.1)

    @property
    def momentum(self) -> float | None:
        """Momentum of the running batch statistics, or None without batch normalisation."""
        return self.bn_momentum if self.batch_norm else None


def check_layers(z_dims: Sequence[int], hidden: Sequence[int]) -> None:
    """Raise a SettingError unless there is at least one stochastic layer and one hidden width for each of them."""
    if len(z_dims) != len(hidden) or not z_dims:
        raise SettingError(
            f"model.hidden gives one width for each layer of model.z_dims, not {len(hidden)} for {len(z_dims)}."
        )


def check_hidden(hidden: Sequence[int]) -> None:
    """Raise a SettingError unless there is a hidden layer."""
    if not hidden:
        raise SettingError("model.hidden must give the width of one layer or more, such as [64, 32], and is empty.")


def check_images(x_dim: int, height: int, width: int, colours: int) -> None:
    """Raise a SettingError unless images of this size, in pixels and values per pixel, have ``x_dim`` values."""
    values = height * width * colours
    if values != x_dim:
        raise SettingError(
            f"Images of {height} × {width} pixels and {counted(colours, 'colour')} have {counted(values, 'value')}, "
            f"not {x_dim}; set model.height, model.width and model.colours as in the data, which must be images."
        )


class ClassConditionalMLP(nn.Module):
    """Class-conditional MLP: several inputs, one of which may be a class y, two hidden layers, and linear heads.

    Inputs that do not depend on y are projected once for all classes; each class adds its own bias.

    Args:
        replicas: number R of replicas.
        inputs: names and dimensions of all inputs except y.
        heads: names and dimensions of the outputs; ``logits`` are not batch-normalised.
        hidden: width of both hidden layers.
        momentum: momentum of the batch statistics, or None for no batch normalisation.
        classes: number K of classes if y is an input, else 0.
    """

    def __init__(
        self,
        replicas: int,
        inputs: Mapping[str, int],
        heads: Mapping[str, int],
        hidden: int,
        momentum: float | None,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.inputs = nn.ModuleDict({name: Linear(replicas, size, hidden) for name, size in inputs.items()})
        self.of_y = ClassBias(replicas, classes, hidden) if classes else None
        self.second = Linear(replicas, hidden, hidden)
        self.heads = nn.ModuleDict({name: Linear(replicas, hidden, size) for name, size in heads.items()})
        normalised = {"first": hidden, "second": hidden} | {n: size for n, size in heads.items() if n != "logits"}
        self.norms = nn.ModuleDict(
            {}
            if momentum is None
            else {name: WeightedBatchNorm(replicas, size, momentum) for name, size in normalised.items()}
        )

    def project(self, **inputs: Float[Tensor, "R *B d"]) -> Float[Tensor, "R *B H"]:
        """Contribution of the given inputs to the pre-activation of the first layer, summed over the inputs."""
        projections = [rows(self.inputs[name], value) for name, value in inputs.items()]
        return projections[0] if len(projections) == 1 else torch.stack(projections).sum(0)

    def of(
        self,
        y: Int[Tensor, "R ..."] | None = None,
        q_y: Float[Tensor, "R B K"] | None = None,
        **inputs: Float[Tensor, "R *B d"],
    ) -> dict[str, Float[Tensor, "R *B F"]]:
        """Outputs of the heads for all inputs, see :meth:`forward`."""
        return self(self.project(**inputs), y, q_y)

    def forward(
        self,
        projected: Float[Tensor, "R *B H"],
        y: Int[Tensor, "R ..."] | None = None,
        q_y: Float[Tensor, "R B K"] | None = None,
    ) -> dict[str, Float[Tensor, "R *B F"]]:
        """Outputs of the heads, such as mean and raw variance of a Gaussian.

        Args:
            projected: sum over all inputs except y, see :meth:`project`; with an axis of K classes if it
                depends on y itself.
            y: class of every row, or None to evaluate every class, along an axis of its own.
            q_y: weights of the classes in batch statistics, where all classes are evaluated.
        """
        h = self._first(projected, y, q_y)
        h = F.leaky_relu(self._norm("second", rows(self.second, h), q_y), SLOPE)
        return {name: self._norm(name, precise(rows(head, h)), q_y) for name, head in self.heads.items()}

    def _first(self, projected: Tensor, y: Tensor | None, q_y: Tensor | None) -> Float[Tensor, "R *B H"]:
        """Activations of the first hidden layer."""
        if self.of_y is not None and y is not None:
            projected = projected + self.of_y.of(y)
        elif self.of_y is not None:
            projected = projected if projected.ndim == 4 else projected[:, :, None]
            if projected.shape[2] == 1 and not self.norms:  # rows that all classes share
                return class_bias_act(precise(projected.squeeze(2)), self.of_y.weight, "leaky_relu")
            projected = projected + self.of_y.weight[:, None]
        return F.leaky_relu(self._norm("first", projected, q_y), SLOPE)

    def _norm(self, name: str, x: Tensor, weights: Tensor | None) -> Tensor:
        return self.norms[name](x, weights) if name in self.norms else x


def rows(layer: nn.Module, h: Float[Tensor, "R *B d"]) -> Float[Tensor, "R *B F"]:
    """Apply a layer of rows, with any number of axes between the replicas and the features."""
    return layer(h.flatten(1, -2)).unflatten(1, h.shape[1:-1])


def gaussian_heads(dimension: int) -> dict[str, int]:
    """Heads of a :class:`ClassConditionalMLP` from which :func:`gaussian` makes a Gaussian, by name and size."""
    return {"mean": dimension, "raw_variance": dimension}


def gaussian(heads: Mapping[str, Tensor]) -> Gaussian:
    """Gaussian with the given mean head, and with softplus(raw variance head) plus a constant as variance."""
    return Gaussian(heads["mean"], F.softplus(heads["raw_variance"]) + LEAST_VARIANCE)


def repeat_rows(n: int, batch: T) -> T:
    """``n`` copies of a batch, one after the other: sample s of example b is row s B + b.

    Args:
        n: number of copies.
        batch: ``[R, B, *rest]``, or a Gaussian of such parameters, or a mapping or list of any of these.
    """
    if isinstance(batch, Gaussian):
        return batch.map(partial(repeat_rows, n))  # type: ignore[return-value]
    if isinstance(batch, Mapping):
        return {name: repeat_rows(n, value) for name, value in batch.items()}  # type: ignore[return-value]
    if isinstance(batch, list):
        return [repeat_rows(n, value) for value in batch]  # type: ignore[return-value]
    assert isinstance(batch, Tensor)
    return batch[:, None].expand(-1, n, *batch.shape[1:]).flatten(1, 2)  # type: ignore[return-value]
