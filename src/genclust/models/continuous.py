r"""Base class of models with continuous latent variables only: their bound and their importance weights.

With h for all latent variables, at a sample of q, and its mean the evidence lower bound:

.. math:: \log w = \log p(x|h) - \sum_i \big(\log q(h_i|\cdot) - \log p(h_i|\cdot)\big)
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genclust.models.base import BernoulliModel, Terms
from genclust.models.networks import repeat_rows
from genclust.streams import Noise


class ContinuousModel(BernoulliModel):
    """Base class of models of binary images that have no discrete latent variable."""

    @property
    @abstractmethod
    def latent_dims(self) -> Sequence[int]:
        """Dimension of each latent variable, in the order in which noise is drawn for them."""

    @abstractmethod
    def terms(
        self, x: Float[Tensor, "R B D"], inferred: Any, noises: Sequence[Float[Tensor, "R B Z"]]
    ) -> dict[str, Float[Tensor, "R B"]]:
        """Terms of the negative bound, in nats, at one sample of h per row.

        Returns:
            First ``reconstruction``, which is -log p(x|h), then log q - log p of each latent variable.
        """

    @property
    def training_samples(self) -> int:
        """Number of samples of h per example in a training step."""
        return 1

    def negative_bound(self, negative_log_w: Float[Tensor, "R k B"]) -> Float[Tensor, "R B"]:
        """Negative bound of each example from k negative log-weights, in nats: their mean, the negative ELBO."""
        return negative_log_w.mean(1)

    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        """Training objective in nats: the negative bound; ``warm_up``, if used, multiplies every log q - log p."""
        x = self.binarise(x, noise)
        terms = self.sampled_terms(x, self.infer(x), self.training_samples, noise)
        if "warm_up" in self.schedules:
            latent = torch.stack([term for name, term in terms.items() if name != "reconstruction"]).sum(0)
            negative_log_w = terms["reconstruction"] + scheduled["warm_up"] * latent
        else:
            negative_log_w = torch.stack(list(terms.values())).sum(0)
        means = {name: term.mean(1) for name, term in terms.items()}
        return Terms(self.negative_bound(negative_log_w).mean(-1), means)

    def log_weights(self, x: Float[Tensor, "R B D"], inferred: Any, n: int, noise: Noise) -> Float[Tensor, "n R B"]:
        terms = self.sampled_terms(x, inferred, n, noise)
        return -torch.stack(list(terms.values())).sum(0).transpose(0, 1)

    def sampled_terms(
        self, x: Float[Tensor, "R B D"], inferred: Any, n: int, noise: Noise
    ) -> dict[str, Float[Tensor, "R n B"]]:
        """Terms of the negative bound, in nats, at ``n`` samples of h per row."""
        R, B, _ = x.shape
        noises = [noise.normal(n, B, dim).flatten(1, 2) for dim in self.latent_dims]
        terms = self.terms(repeat_rows(n, x), repeat_rows(n, inferred), noises)
        return {name: term.view(R, n, B) for name, term in terms.items()}


class LayeredModel(ContinuousModel):
    """Base class of models whose prior p descends through layers of Gaussians, from a standard normal at the top."""

    p: nn.ModuleList

    @abstractmethod
    def logits(self, z1: Float[Tensor, "R B Z"]) -> Float[Tensor, "R B D"]:
        """Bernoulli logits of p(x|z1), where z1 is the lowest layer."""

    @property
    def latent_dims(self) -> tuple[int, ...]:
        dims: tuple[int, ...] = self.settings.z_dims
        return dims

    def sample(self, n: int, noise: Noise) -> Float[Tensor, "R n D"]:
        """Means of p(x|z1) for ``n`` samples from the prior, drawn from the top layer down."""
        z = noise.normal(n, self.latent_dims[-1])
        for p in reversed(self.p):
            p_below = p(z)
            z = p_below.draw(noise.normal(n, p_below.mean.shape[-1]))
        return self.logits(z).sigmoid()
