"""The contract that every model of the book keeps, so that training and evaluation need no names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float, Int, Shaped
from torch import Generator, Tensor, nn

from genclust.models.layers import Init, initialise
from genclust.streams import Noise


@dataclass(frozen=True)
class Terms:
    """What a loss is made of.

    Attributes:
        objective: what is minimised, averaged over the batch, ``[R]``, in nats.
        terms: named per-example terms ``[R, B]``, unweighted, in nats.
    """

    objective: Float[Tensor, " R"]
    terms: Mapping[str, Float[Tensor, "R B"]]


@dataclass(frozen=True)
class Labelled:
    """The labelled examples that a step sees beside its batch.

    Attributes:
        x: ``[R, L, D]``.
        y: their classes, ``[R, L]``.
        stands_for: examples of the training split for each labelled one, N / N_l.
    """

    x: Float[Tensor, "R L D"]
    y: Int[Tensor, "R L"]
    stands_for: float


class Model(nn.Module):
    """A generative model p and an inference model q, R replicas side by side."""

    #: Raised whenever the same settings would give other numbers; part of every run's hash.
    revision: ClassVar[int] = 1
    #: Terms of :meth:`loss` that are no part of the evidence lower bound.
    penalties: ClassVar[tuple[str, ...]] = ()
    #: Schedules that :meth:`loss` asks for.
    schedules: ClassVar[tuple[str, ...]] = ()
    #: Whether :meth:`loss` takes a further argument, :class:`Labelled`.
    learns_from_labels: ClassVar[bool] = False
    #: Whether batch statistics are collected anew over the training split before a trained model is measured.
    recalibrates_batch_norm: ClassVar[bool] = False
    #: Whether what is generated lies in [0, 1] whatever the settings, so that the data must as well.
    unit_interval: ClassVar[bool] = False
    replicas: int

    @abstractmethod
    def initialise(self, generators: Sequence[Generator]) -> None:
        """Draw the parameters of replica r from ``generators[r]``."""

    def initialise_from_data(self, x: Float[Tensor, "N D"]) -> None:
        """Data-dependent initialisation from the training split, such as output biases at the logits of pixel means;
        none unless a model has one."""

    def encoder_input(self, x: Shaped[Tensor, "N D"], noise: Noise) -> Shaped[Tensor, "N D"]:
        """What q sees of rows of a data set: the rows themselves, or bits drawn from their grey values."""
        return x

    @abstractmethod
    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        """The training objective on one batch; ``scheduled`` holds the schedules' present values,
        as numbers or, in a captured step, as 0-dim tensors."""

    def elbo(self, terms: Mapping[str, Float[Tensor, "R B"]]) -> Float[Tensor, "R B"]:
        """The evidence lower bound of every row, in nats, from the terms of :meth:`loss`, without their weights."""
        return -torch.stack([term for name, term in terms.items() if name not in self.penalties]).sum(0)

    @abstractmethod
    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """The representations that neighbours, k-means and t-SNE see, by name."""


@dataclass(frozen=True, kw_only=True)
class BernoulliSettings:
    """What every :class:`BernoulliModel` has.

    Attributes:
        divisor: of the grey values 0 … 255, before a pixel is drawn: 255, or 256 as in a file of the time.
        init: how weights are drawn.
    """

    divisor: Literal[255, 256] = 255
    init: Init = "glorot"


class BernoulliModel(Model):
    """A model of bits, trained on fresh draws from grey values, whose likelihood can be estimated."""

    unit_interval = True
    recalibrates_batch_norm = True
    settings: Any

    def initialise(self, generators: Sequence[Generator]) -> None:
        initialise(self, generators, self.settings.init)

    def binarise(self, x: Float[Tensor, "R B D"], noise: Noise) -> Float[Tensor, "R B D"]:
        """Bits that are 1 with probability of the grey value over the divisor, x being in units of 255."""
        return (noise.uniform(*x.shape[1:]) < x * (255 / self.settings.divisor)).to(x.dtype)

    def encoder_input(self, x: Shaped[Tensor, "N D"], noise: Noise) -> Shaped[Tensor, "N D"]:
        if x.dtype == torch.uint8:
            return noise.binarise(x[None], self.settings.divisor)[0] * 255
        return (noise.uniform(*x.shape)[0] < x * (255 / self.settings.divisor)).float()

    @abstractmethod
    def infer(self, x: Float[Tensor, "R B D"]) -> Any:
        """What q needs of bits x alone, computed once however many samples follow."""

    @abstractmethod
    def log_weights(self, x: Float[Tensor, "R B D"], inferred: Any, n: int, noise: Noise) -> Float[Tensor, "n R B"]:
        """log p(x, h) - log q(h|x) of ``n`` fresh samples h ~ q(h|x), in nats, unbiased: E[w] = p(x).

        ``noise.normal(n, B, Z)`` draws ``[R, n, B, Z]``, replicas first; the result has the samples first.
        """

    @abstractmethod
    def reconstruct(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B D"]:
        """Means of p(x|h) at the means of q, for bits x."""

    @abstractmethod
    def sample(self, n: int, noise: Noise) -> Float[Tensor, "R n D"]:
        """Means of p(x|h) of ``n`` draws from the prior."""
