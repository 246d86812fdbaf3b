r"""Split and merge: many small clusters that views of a thing share, merged by the information they carry.

A model of this project, from what its replications show: clusters more than classes help (GMVAE, VLAC), a cluster
must not carry what style can (Is Simple Better?), a term that asks for consistency matters (GMVAE), and no number that
needs no label picks the best seed reliably, while several clusterings together beat one.

Each of H heads splits the data into S sub-clusters, :math:`q_h(s|x)`.  A pair :math:`(x', x'')` is two random views of
a row, or of the row and a near neighbour.  The objective of each head is the mutual information of the sub-clusters of
the two (Ji, Henriques and Vedaldi, "Invariant Information Clustering", ICCV, 2019):

.. math::

    P_h(s, t) = E_{(x', x'')}\, q_h(s|x')\, q_h(t|x''), \qquad
    \max\; \frac1H \sum_h I_h(S; T) = \frac1H \sum_h \sum_{s,t} P_h(s, t) \log \frac{P_h(s, t)}{P_h(s)\,P_h(t)}

The sub-clusters of all heads, as the values of one variable, are then merged into K clusters by the agglomerative
information bottleneck (:mod:`genclust.models.bottleneck`): no prior asks for clusters of one size, and there are no
local optima of K clusters to be caught in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import one_hot

from genclust.kernels.dispatch import precise
from genclust.models.augmentation import views
from genclust.models.base import Model, Terms
from genclust.models.bottleneck import merge
from genclust.models.layers import MLP, Init, Linear
from genclust.models.neighbours import nearest, tenths
from genclust.models.networks import check_hidden, check_images
from genclust.settings import SettingError, within
from genclust.streams import Noise

#: Weight of the newest batch in the joint distribution by which sub-clusters are merged.
MOMENTUM = 0.01
#: Most sub-clusters of all heads together; merging these takes about a minute.
MOST = 1000


@dataclass(frozen=True)
class SplitMergeSettings:
    """Hyper-parameters of :class:`SplitMerge`.

    Attributes:
        n_clusters: number of clusters K.
        heads: number H of independent splits.
        subclusters: number S of sub-clusters of every head.
        hidden: widths of the encoder's hidden layers.
        height, width: size of the images, in pixels; 0 for rows that are no images, which have no views.
        colours: values per pixel.
        augmentation: how much views change, relative to 15 degrees, a tenth of the side, a fifth of the size and a
            shear of 0.2 (:mod:`genclust.models.augmentation`); 0 for no views.
        neighbours: whether the second of a pair comes from a near neighbour of the row.
        init: initialisation scheme of the weights.
        bn_momentum: weight of the newest batch in the running statistics of batch normalisation.
    """

    n_clusters: int = within(1, 10_000)
    heads: int = within(1, 100, default=2)
    subclusters: int = within(2, 1000, default=50)
    hidden: tuple[int, ...] = within(1, 100_000, default=(512, 512))
    height: int = within(0, 10_000, default=0)
    width: int = within(0, 10_000, default=0)
    colours: int = within(0, 100, default=1)
    augmentation: float = within(0, 10, default=1.0)
    neighbours: bool = True
    init: Init = "pytorch"
    bn_momentum: float = within(0, 1, default=0.1)


class SplitMerge(Model):
    """Clustering by mutual information of sub-clusters between views and neighbours, merged into clusters.

    Args:
        replicas: number R of independently seeded copies.
        x_dim: dimension D of the data.
        settings: hyper-parameters.

    Raises:
        SettingError: if there are fewer sub-clusters than clusters or more than can be merged, no hidden layer, or
            images of another size.

    Example:
        >>> model = SplitMerge(2, 784, SplitMergeSettings(n_clusters=10))  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().cluster_posterior(torch.rand(2, 5, 784)).shape
        torch.Size([2, 5, 10])
    """

    #: The only term: there is no generative model, and so no evidence lower bound.
    penalties = ("information",)
    joint: Tensor
    groups: Tensor
    rows: Tensor

    def __init__(self, replicas: int, x_dim: int, settings: SplitMergeSettings) -> None:
        super().__init__()
        self.replicas, self.x_dim, self.settings = replicas, x_dim, settings
        total = settings.heads * settings.subclusters
        if settings.n_clusters > total:
            raise SettingError(f"{total} sub-clusters in all cannot be merged into n_clusters={settings.n_clusters}.")
        if total > MOST:
            raise SettingError(
                f"{settings.heads} heads of {settings.subclusters} sub-clusters have {total} together, and more than "
                f"{MOST} cannot be merged in a minute; set fewer heads or subclusters."
            )
        check_hidden(settings.hidden)
        if settings.height or settings.width:
            check_images(x_dim, settings.height, settings.width, settings.colours)
        self.encoder = MLP(replicas, (x_dim, *settings.hidden), settings.bn_momentum)
        self.split = Linear(replicas, settings.hidden[-1], total)
        self.register_buffer("joint", (torch.eye(total) / total).repeat(replicas, 1, 1))
        self.register_buffer("groups", torch.zeros(replicas, total, dtype=torch.int64))
        # The training split, in which neighbours are looked for: neither a weight nor part of a checkpoint.
        self.register_buffer("rows", torch.zeros(1, 0, x_dim), persistent=False)

    def initialise_from_data(self, x: Float[Tensor, "N D"]) -> None:
        """Keep the training split, to look for neighbours in."""
        if self.settings.neighbours:
            self.rows = tenths(x)

    def train(self, mode: bool = True) -> Self:
        """Set the mode; whenever training pauses, sub-clusters are merged anew by the joint distribution so far."""
        if self.training and not mode:
            merged = [merge(joint.double().cpu().numpy(), self.settings.n_clusters) for joint in self.joint]
            self.groups.copy_(torch.from_numpy(np.stack(merged)))
        return super().train(mode)

    def q_s(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B H S"]:
        """Sub-cluster probabilities q(s|x) of every head, in float32."""
        logits = precise(self.split(self.encoder(x)))
        return logits.unflatten(-1, (self.settings.heads, self.settings.subclusters)).softmax(-1)

    def view(self, x: Float[Tensor, "R B D"], noise: Noise) -> Float[Tensor, "R B D"]:
        """Random views of images; other rows unchanged."""
        s = self.settings
        if s.height and s.augmentation:
            return views(x, (s.height, s.width, s.colours), s.augmentation, noise)
        return x

    def neighbour(self, x: Float[Tensor, "R B D"], noise: Noise) -> Float[Tensor, "R B D"]:
        """A near neighbour of every row: the nearest in a random tenth of the training split, so about the tenth."""
        return nearest(x, self.rows, noise) if self.rows.numel() else x

    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        """Training objective in nats: minus the mutual information of the sub-clusters of pairs, head by head."""
        q, q_pair = self.q_s(self.view(x, noise)), self.q_s(self.view(self.neighbour(x, noise), noise))
        with torch.autocast(x.device.type, enabled=False):  # no information in 16 bits
            if self.training:
                self._follow(q.detach().flatten(2), q_pair.detach().flatten(2))
            P = torch.einsum("rbhs,rbht->rhst", q, q_pair).detach() / x.shape[1]
            P = ((P + P.mT) / 2).clamp_min(torch.finfo(P.dtype).tiny)
            m = P.sum(-1).log()
            # With the logarithms held fixed the gradient is that of I: their own gradients sum to those of ΣP = 1.
            log_ratio = P.log() - m[..., None] - m[..., None, :]
            information = torch.einsum("rbhs,rhst,rbht->rb", q, log_ratio, q_pair) / self.settings.heads
        return Terms(-information.mean(-1), {"information": -information})

    def criterion(self, terms: Mapping[str, Float[Tensor, "R B"]]) -> Float[Tensor, "R B"]:
        """Mutual information of the sub-clusters, in nats: a lower bound of that of the pairs themselves."""
        return -terms["information"]

    @torch.no_grad()
    def _follow(self, q: Float[Tensor, "R B HS"], q_pair: Float[Tensor, "R B HS"]) -> None:
        """Move the joint distribution of all heads' sub-clusters towards that of a batch."""
        joint = q.mT @ q_pair / (q.shape[1] * self.settings.heads**2)
        self.joint.lerp_((joint + joint.mT) / 2, MOMENTUM)

    def cluster_posterior(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        """Logarithms of q(y|x): the probability of the cluster's sub-clusters, averaged over heads."""
        q = self.q_s(x).flatten(2)
        q = q @ one_hot(self.groups, self.settings.n_clusters).to(q.dtype) / self.settings.heads
        return q.clamp_min(torch.finfo(q.dtype).tiny).log()

    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """Units of the last hidden layer."""
        return {"hidden": precise(self.encoder(x))}
