"""The contract that every model of the book keeps, so that training and evaluation need no names."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Generator, Tensor, nn

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


class Model(nn.Module):
    """A generative model p and an inference model q, R replicas side by side."""

    #: Raised whenever the same settings would give other numbers; part of every run's hash.
    revision: ClassVar[int] = 1
    #: Schedules that :meth:`loss` asks for.
    schedules: ClassVar[tuple[str, ...]] = ()
    replicas: int

    @abstractmethod
    def initialise(self, generators: Sequence[Generator]) -> None:
        """Draw the parameters of replica r from ``generators[r]``."""

    @abstractmethod
    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        """The training objective on one batch; ``scheduled`` holds the schedules' present values,
        as numbers or, in a captured step, as 0-dim tensors."""

    @abstractmethod
    def cluster_posterior(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        """log q(y|x), normalised over the clusters."""

    @abstractmethod
    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """The representations that neighbours, k-means and t-SNE see, by name."""
