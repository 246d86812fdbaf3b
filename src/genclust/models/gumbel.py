r"""The model of "Is Simple Better? Revisiting Simple Generative Models for Unsupervised Clustering".

Arias Figueroa and Ramírez Rivera, NIPS workshop on Bayesian deep learning, 2017.

Generative model (equations 2 to 4) and inference model (equations 1, 5 and 6):

.. math::

    p(c) &= \mathrm{Cat}(1/K), \quad p(z) = N(0, I), \quad p_\theta(x|z,c) = f(x; z, c, \theta) \\
    \hat x &= g(x), \quad q_\phi(c|\hat x) = \mathrm{Cat}(\pi_\phi(\hat x)), \quad
    q_\phi(z|\hat x) = N(\mu_\phi(\hat x), \mathrm{diag}\,\sigma_\phi^2(\hat x))

Bound (equation 7), with the weights of section 3 on its two divergences; at
:math:`w_G = w_C = 1` and with exact expectations it is the evidence lower bound:

.. math::

    \mathcal L = E_{q(c,z|\hat x)}[\log p(x|z,c)]
    - w_C\,\mathrm{KL}(q(c|\hat x)\,\|\,p(c)) - w_G\,\mathrm{KL}(q(z|\hat x)\,\|\,p(z))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import one_hot

from genclust.kernels import bernoulli_log_prob, gumbel_softmax
from genclust.kernels.dispatch import precise
from genclust.models.base import Model, Terms
from genclust.models.distributions import Gaussian
from genclust.models.layers import MLP, Init, Linear
from genclust.models.networks import check_hidden
from genclust.settings import within
from genclust.streams import Noise


@dataclass(frozen=True)
class GumbelSettings:
    """Hyper-parameters of :class:`GumbelClustering`; the book's chapter says which of them the paper states.

    Attributes:
        n_clusters: number of clusters K.
        latent_dim: dimension of the style z.
        feature_dim: dimension F of the features x̂ (equation 1).
        hidden: widths of the encoder's hidden layers; the decoder's are the same in reverse.
        w_gaussian: weight w_G of the divergence of z (section 3).
        w_categorical: weight w_C of the divergence of c, which the paper does not have: 1.
        likelihood: ``bernoulli``, or ``gaussian`` with variance 1/2 and without its constant.
        sample: whether the decoder sees the relaxed sample of c itself (``soft``) or, with the same gradient, its
            one-hot (``hard``).
        category_head: network from x̂ to q(c|x̂) (equation 5): ``mlp`` with hidden layers of F and F/2, or ``linear``.
        init: initialisation scheme of the weights.
        bn_momentum: weight of the newest batch in the running statistics of batch normalisation.
    """

    n_clusters: int = within(1, 10_000)
    latent_dim: int = within(1, 10_000)
    feature_dim: int = within(2, 10_000, default=100)
    hidden: tuple[int, ...] = within(1, 100_000, default=(512, 256))
    w_gaussian: float = within(0, 1e6, default=1.0)
    w_categorical: float = within(0, 1e6, default=1.0)
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    sample: Literal["soft", "hard"] = "soft"
    category_head: Literal["mlp", "linear"] = "mlp"
    init: Init = "pytorch"
    bn_momentum: float = within(0, 1, default=0.1)


class GumbelClustering(Model):
    """Clustering VAE with a Gumbel-softmax cluster c and a Gaussian style z, whose embeddings are added.

    Args:
        replicas: number R of independently seeded copies.
        x_dim: dimension D of the data.
        settings: hyper-parameters.

    Raises:
        SettingError: if there is no hidden layer.

    Example:
        >>> model = GumbelClustering(2, 784, GumbelSettings(n_clusters=10, latent_dim=50))  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().cluster_posterior(torch.rand(2, 5, 784)).shape
        torch.Size([2, 5, 10])
    """

    schedules = ("temperature",)

    def __init__(self, replicas: int, x_dim: int, settings: GumbelSettings) -> None:
        super().__init__()
        self.replicas, self.x_dim, self.settings = replicas, x_dim, settings
        s, F, momentum = settings, settings.feature_dim, settings.bn_momentum
        check_hidden(s.hidden)

        def mlp(*sizes: int) -> MLP:
            return MLP(replicas, sizes, momentum)

        # g: D - 512 - 256 - F, the last layer linear
        self.encoder = nn.Sequential(mlp(x_dim, *s.hidden), Linear(replicas, s.hidden[-1], F))
        # q(c|x̂): F - F - F/2 - K
        self.category = (
            nn.Sequential(mlp(F, F, F // 2), Linear(replicas, F // 2, s.n_clusters))
            if s.category_head == "mlp"
            else Linear(replicas, F, s.n_clusters)
        )
        # q(z|x̂): two linear layers
        self.z_mean = Linear(replicas, F, s.latent_dim)
        self.z_log_var = Linear(replicas, F, s.latent_dim)
        # p(x|z,c): both latents are embedded linearly and added; F - 256 - 512 - D
        self.embed_z = Linear(replicas, s.latent_dim, F)
        self.embed_c = Linear(replicas, s.n_clusters, F)
        self.decoder = nn.Sequential(mlp(F, *reversed(s.hidden)), Linear(replicas, s.hidden[0], x_dim))

    def q_z(self, x_hat: Float[Tensor, "R B F"]) -> Gaussian:
        """Posterior q(z|x̂) of the style (equation 6), in float32."""
        return Gaussian(precise(self.z_mean(x_hat)), log_var=precise(self.z_log_var(x_hat)))

    def q_c(self, x_hat: Float[Tensor, "R B F"]) -> Float[Tensor, "R B K"]:
        """Logits of the cluster posterior q(c|x̂) (equation 5), in float32."""
        return precise(self.category(x_hat))

    def p_x(self, z: Float[Tensor, "R B Z"], c: Float[Tensor, "R B K"]) -> Float[Tensor, "R B D"]:
        """Parameters of p(x|z,c) (equation 4): Bernoulli logits, or the mean of a Gaussian."""
        return precise(self.decoder(self.embed_z(z) + self.embed_c(c)))

    def decode(self, z: Float[Tensor, "R B Z"], c: Float[Tensor, "R B K"]) -> Float[Tensor, "R B D"]:
        """Means of p(x|z,c)."""
        parameters = self.p_x(z, c)
        return parameters.sigmoid() if self.settings.likelihood == "bernoulli" else parameters

    def decode_every_cluster(self, z: Float[Tensor, "R N Z"]) -> Float[Tensor, "R N K D"]:
        """Means of p(x|z,c) for every style z under every cluster c (Figure 4)."""
        (R, N, _), K = z.shape, self.settings.n_clusters
        c = one_hot(torch.arange(K, device=z.device)).to(z.dtype).repeat(R, N, 1)
        return self.decode(z.repeat_interleave(K, 1), c).unflatten(1, (N, K))

    def reconstruct(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B D"]:
        """Reconstructions: means of p(x|z,c) at the mean of q(z|x̂) and the most probable cluster c."""
        x_hat = self.encoder(x)
        c = one_hot(self.q_c(x_hat).argmax(-1), self.settings.n_clusters).to(x_hat.dtype)
        return self.decode(self.q_z(x_hat).mean, c)

    def sample(self, n: int, noise: Noise) -> Float[Tensor, "R n D"]:
        """Means of p(x|z,c) for ``n`` samples of z and c from the prior."""
        c = (noise.uniform(n) * self.settings.n_clusters).long()
        return self.decode(noise.normal(n, self.settings.latent_dim), one_hot(c, self.settings.n_clusters).float())

    def sample_clusters(self, n: int, noise: Noise) -> Float[Tensor, "R K n D"]:
        """Means of p(x|z,c) for ``n`` samples of z, the same for every cluster c."""
        return self.decode_every_cluster(noise.normal(n, self.settings.latent_dim)).transpose(1, 2)

    def sample_cluster(self, n: int, noise: Noise, cluster: int) -> Float[Tensor, "R n D"]:
        """Means of p(x|z,c) for ``n`` samples of z and one cluster c."""
        z = noise.normal(n, self.settings.latent_dim)
        return self.decode(z, one_hot(z.new_full(z.shape[:2], cluster).long(), self.settings.n_clusters).to(z))

    def log_prob(self, x: Float[Tensor, "R B D"], parameters: Float[Tensor, "R B D"]) -> Float[Tensor, "R B"]:
        """Log-likelihood log p(x|z,c) in nats; the Gaussian has variance 1/2, and its constant is left out.

        So the Gaussian term is the sum of squared errors, the "mean square error" of the paper, and it and any bound
        made of it are D/2 log π higher than with the constant.
        """
        if self.settings.likelihood == "bernoulli":
            return bernoulli_log_prob(parameters, x)
        return -(x - parameters).square().sum(-1)

    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        """Training objective in nats: the negative weighted bound (equation 7), one sample of c and z per example.

        Unless the sample of c is hard, it is relaxed, and the terms sum to an approximation of the negative bound.
        """
        s = self.settings
        x_hat = self.encoder(x)
        logits = self.q_c(x_hat)
        q_z = self.q_z(x_hat)

        uniform = noise.uniform(*logits.shape[1:])
        c, kl_c = gumbel_softmax(logits, uniform, scheduled["temperature"], hard=s.sample == "hard")
        z = q_z.draw(noise.normal(*q_z.mean.shape[1:]))

        reconstruction = -self.log_prob(x, self.p_x(z, c))
        kl_z = q_z.kl()
        objective = (reconstruction + s.w_gaussian * kl_z + s.w_categorical * kl_c).mean(-1)
        return Terms(objective, {"reconstruction": reconstruction, "kl_z": kl_z, "kl_c": kl_c})

    def cluster_posterior(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        return self.q_c(self.encoder(x)).log_softmax(-1)

    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """Features x̂ of the encoder (equation 1), and the mean of q(z|x̂)."""
        x_hat = self.encoder(x)
        return {"x_hat": precise(x_hat), "z_mean": self.q_z(x_hat).mean}
