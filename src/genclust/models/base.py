"""Abstract base classes of all models, so that training and evaluation work with any of them."""

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
    """Training objective of one batch, and the per-example terms that it consists of.

    Attributes:
        objective: quantity to minimise, averaged over the batch, ``[R]``, in nats.
        terms: named per-example terms ``[R, B]``, unweighted, in nats, each of them a cost: without the model's
            ``penalties`` they sum to the negative evidence lower bound, or to an approximation of it where the model
            relaxes a discrete variable or leaves out a constant of the likelihood, as its ``loss`` says.
    """

    objective: Float[Tensor, " R"]
    terms: Mapping[str, Float[Tensor, "R B"]]


@dataclass(frozen=True)
class Labelled:
    """Labelled examples that a training step gets in addition to its batch.

    Attributes:
        x: inputs, ``[R, L, D]``.
        y: classes, ``[R, L]``.
        stands_for: number of training examples per labelled example, N / N_l.
    """

    x: Float[Tensor, "R L D"]
    y: Int[Tensor, "R L"]
    stands_for: float


class Model(nn.Module):
    """Base class of models: a generative model p and an inference model q, with R replicas side by side."""

    #: Number that is raised whenever the same settings would give other results; part of every run's hash.
    revision: ClassVar[int] = 1
    #: Names of the terms of :meth:`loss` that do not belong to the evidence lower bound.
    penalties: ClassVar[tuple[str, ...]] = ()
    #: Names of the schedules that :meth:`loss` needs.
    schedules: ClassVar[tuple[str, ...]] = ()
    #: Whether :meth:`loss` accepts labelled examples (:class:`Labelled`) as a further argument.
    learns_from_labels: ClassVar[bool] = False
    #: Whether batch statistics are recomputed over the training split before a trained model is evaluated.
    recalibrates_batch_norm: ClassVar[bool] = False
    #: Whether generated values lie in [0, 1] for all settings, so that the data must lie there too.
    unit_interval: ClassVar[bool] = False
    replicas: int
    settings: Any

    def initialise(self, generators: Sequence[Generator]) -> None:
        """Draw the initial parameters of each replica r with its random generator ``generators[r]``.

        By default with the scheme that the settings name.
        """
        initialise(self, generators, self.settings.init)

    def initialise_from_data(self, x: Float[Tensor, "N D"]) -> None:
        """Data-dependent initialisation from the training split, such as output bias = logit of the pixel means.

        By default there is none.
        """

    def encoder_input(self, x: Shaped[Tensor, "N D"], noise: Noise) -> Shaped[Tensor, "N D"]:
        """Inputs of q for rows of a data set: the rows themselves, or bits drawn from their grey values."""
        return x

    @abstractmethod
    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        """Training objective of one batch, in nats, and its terms.

        ``scheduled`` holds the schedules' present values, as numbers or, in a captured step, as 0-dim tensors.
        """

    def elbo(self, terms: Mapping[str, Float[Tensor, "R B"]]) -> Float[Tensor, "R B"]:
        """Evidence lower bound (ELBO) of every example, in nats, from the unweighted terms of :meth:`loss`.

        NaN for a model that has none, all of whose terms are ``penalties``.
        """
        of_bound = [term for name, term in terms.items() if name not in self.penalties]
        return -torch.stack(of_bound).sum(0) if of_bound else torch.full_like(next(iter(terms.values())), torch.nan)

    def criterion(self, terms: Mapping[str, Float[Tensor, "R B"]]) -> Float[Tensor, "R B"]:
        """What tells which of several seeds is best on held-out examples, in nats: the evidence lower bound."""
        return self.elbo(terms)

    @abstractmethod
    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """Learned representations by name, for nearest neighbours, k-means and t-SNE."""


@dataclass(frozen=True, kw_only=True)
class BernoulliSettings:
    """Hyper-parameters of every :class:`BernoulliModel`.

    Attributes:
        divisor: divisor that makes probabilities of grey values 0 … 255: 255, or 256 as in a data file of the time.
        init: initialisation scheme of the weights.
    """

    divisor: Literal[255, 256] = 255
    init: Init = "glorot"


class BernoulliModel(Model):
    """Base class of models of binary images, binarised anew at every step, whose likelihood can be estimated."""

    unit_interval = True
    recalibrates_batch_norm = True

    def binarise(self, x: Float[Tensor, "R B D"], noise: Noise) -> Float[Tensor, "R B D"]:
        """Random bits that are 1 with probability grey value / ``divisor``, where x holds grey values / 255."""
        return (noise.uniform(*x.shape[1:]) < x * (255 / self.settings.divisor)).to(x.dtype)

    def encoder_input(self, x: Shaped[Tensor, "N D"], noise: Noise) -> Shaped[Tensor, "N D"]:
        if x.dtype == torch.uint8:
            return noise.binarise(x[None], self.settings.divisor)[0] * 255
        return (noise.uniform(*x.shape)[0] < x * (255 / self.settings.divisor)).float()

    @abstractmethod
    def infer(self, x: Float[Tensor, "R B D"]) -> Any:
        """The part of q that depends on binary images x alone, computed once for any number of samples."""

    @abstractmethod
    def log_weights(self, x: Float[Tensor, "R B D"], inferred: Any, n: int, noise: Noise) -> Float[Tensor, "n R B"]:
        """Log importance weights log p(x, h) - log q(h|x) of ``n`` samples h ~ q(h|x), in nats; E[w] = p(x).

        ``noise.normal(n, B, Z)`` draws ``[R, n, B, Z]``, replicas first; the result has the samples first.
        """

    @abstractmethod
    def reconstruct(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B D"]:
        """Reconstructions of binary images x: means of p(x|h) at the posterior means of h."""

    @abstractmethod
    def sample(self, n: int, noise: Noise) -> Float[Tensor, "R n D"]:
        """Means of p(x|h) for ``n`` samples of h from the prior."""
