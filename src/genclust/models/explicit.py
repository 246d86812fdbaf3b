r"""The "explicit" Gaussian mixture VAE: Kingma's M2 with a Gaussian mixture as the prior of z.

What most public code under the name GMVAE implements, and not the model of Dilokthanakul et al.:
it has no w, the components are parameters instead of a network's output, and the approximate
posterior of z is conditioned on the cluster y, which is summed out.  M2 is by Kingma, Rezende,
Mohamed, Welling, "Semi-supervised learning with deep generative models", NIPS 2014.

.. math::

    p(y) &= \mathrm{Cat}(1/K), \quad p(z|y) = N(\mu_y, \mathrm{diag}\,\sigma_y^2), \quad p_\theta(x|z) \\
    q(y, z|x) &= q_\phi(y|x)\, q_\phi(z|x, y) \\
    \mathcal L &= \sum_y q(y|x) \Big( E_{q(z|x,y)}[\log p_\theta(x|z)]
    - \mathrm{KL}(q(z|x, y)\,\|\,p(z|y)) \Big) - \mathrm{KL}(q(y|x)\,\|\,p(y))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from genclust.kernels import bernoulli_log_prob, class_bias_act
from genclust.kernels.dispatch import precise
from genclust.models.base import Model, Terms
from genclust.models.distributions import Gaussian, categorical_kl
from genclust.models.layers import MLP, Init, Linear
from genclust.settings import within
from genclust.streams import Noise


@dataclass(frozen=True)
class ExplicitSettings:
    """Hyper-parameters of :class:`ExplicitGMVAE`.

    Attributes:
        n_clusters: number of clusters K.
        z_dim: dimension of z.
        hidden: width of the two hidden layers of every network.
    """

    n_clusters: int = within(1, 10_000)
    z_dim: int = within(1, 10_000, default=64)
    hidden: int = within(1, 100_000, default=512)
    init: Init = "glorot"


class ExplicitGMVAE(Model):
    """Gaussian mixture VAE of dense ReLU networks; the cluster y is summed out, with one sample of z for each y.

    Args:
        replicas: number R of independently seeded copies.
        x_dim: dimension D of the data.
        settings: hyper-parameters.

    Example:
        >>> model = ExplicitGMVAE(2, 784, ExplicitSettings(n_clusters=10))  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().cluster_posterior(torch.rand(2, 5, 784)).shape
        torch.Size([2, 5, 10])
    """

    def __init__(self, replicas: int, x_dim: int, settings: ExplicitSettings) -> None:
        super().__init__()
        self.replicas, self.settings = replicas, settings
        R, H, Z, K = replicas, settings.hidden, settings.z_dim, settings.n_clusters
        self.q_y = nn.Sequential(MLP(R, (x_dim, H, H), None), Linear(R, H, K))
        # q(z|x, y): what x and y say to the first layer is added, so that x is projected once for all y
        self.q_z_x, self.q_z_y = Linear(R, x_dim, H), Linear(R, K, H)
        self.q_z = MLP(R, (H, H), None)
        self.q_z_mean, self.q_z_log_var = Linear(R, H, Z), Linear(R, H, Z)
        self.p_z_mean, self.p_z_log_var = Linear(R, K, Z), Linear(R, K, Z)
        self.p_x = nn.Sequential(MLP(R, (Z, H, H), None), Linear(R, H, x_dim))

    def posterior(self, x: Float[Tensor, "R B D"]) -> Gaussian:
        """Posterior q(z|x, y) for every cluster y, ``[R, B, K, Z]``."""
        projected = self.q_z_x(x)
        biases = (self.q_z_y.weight + self.q_z_y.bias).to(projected.dtype)
        h = class_bias_act(projected, biases, "relu")
        rows = self.q_z(h.flatten(1, 2))
        shape = (*h.shape[:3], self.settings.z_dim)
        return Gaussian(precise(self.q_z_mean(rows)).view(shape), log_var=precise(self.q_z_log_var(rows)).view(shape))

    def prior(self) -> Gaussian:
        """Prior p(z|y) for every cluster y, ``[R, K, Z]``."""
        log_var = self.p_z_log_var.weight + self.p_z_log_var.bias
        return Gaussian(self.p_z_mean.weight + self.p_z_mean.bias, log_var=log_var)

    def logits(self, z: Float[Tensor, "R *B Z"]) -> Float[Tensor, "R *B D"]:
        """Bernoulli logits of p(x|z)."""
        return precise(self.p_x(z.flatten(1, -2))).view(*z.shape[:-1], -1)

    def decode(self, z: Float[Tensor, "R *B Z"]) -> Float[Tensor, "R *B D"]:
        """Means of p(x|z)."""
        return self.logits(z).sigmoid()

    def sample_clusters(self, n: int, noise: Noise) -> Float[Tensor, "R K n D"]:
        """Means of p(x|z) for n samples z ~ p(z|y) of every cluster y."""
        p_z = self.prior().map(lambda parameter: parameter[:, :, None])
        return self.decode(p_z.draw(noise.normal(self.settings.n_clusters, n, self.settings.z_dim)))

    def loss(self, x: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        """Training objective in nats: the negative evidence lower bound, with y summed out."""
        logits = precise(self.q_y(x))
        q_y = logits.softmax(-1)
        q_z = self.posterior(x)
        z = q_z.draw(noise.normal(*q_z.mean.shape[1:]))
        p_z = self.prior().map(lambda parameter: parameter[:, None].expand_as(z))
        terms = {
            "reconstruction": -(q_y * bernoulli_log_prob(self.logits(z), x[:, :, None])).sum(-1),
            "kl_z": (q_y * q_z.kl(p_z)).sum(-1),
            "kl_y": categorical_kl(logits),
        }
        objective = terms["reconstruction"] + terms["kl_z"] + terms["kl_y"]
        return Terms(objective.mean(-1), terms)

    def cluster_posterior(self, x: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        return precise(self.q_y(x)).log_softmax(-1)

    def embed(self, x: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """Mean of q(z|x, y), averaged over the clusters under q(y|x)."""
        weights = precise(self.q_y(x)).softmax(-1)[..., None]
        return {"z_mean": (weights * self.posterior(x).mean).sum(2)}
