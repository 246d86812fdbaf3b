r"""The Gaussian mixture VAE (GMVAE) with consistency violation, as in version 1 of its paper.

Dilokthanakul, Mediano, Garnelo, Lee, Salimbeni, Arulkumaran, Shanahan, "Deep Unsupervised
Clustering with Gaussian Mixture Variational Autoencoders", arXiv 1611.02648v1, 2016.

The paper observes y and calls the latent variables x, w and z, and so does this module.
Generative model (equation 1) and mean-field inference model:

.. math::

    p(w) &= N(0, I), \quad p(z) = \mathrm{Cat}(1/K), \quad
    p_\beta(x|w, z_k = 1) = N(\mu_k(w), \mathrm{diag}\,\sigma_k^2(w)), \quad p_\theta(y|x) \\
    q(x, w, z|y) &= q_{\phi_x}(x|y)\, q_{\phi_w}(w|y)\, q_{\phi_z}(z|y)

Bound with weights η and α (equations 3, 4, 6 and 7):

.. math::

    \mathcal L ={}& E_q[\log p_\theta(y|x)]
    - \sum_k q(z_k|y) \frac 1 M \sum_j \mathrm{KL}(q(x|y)\,\|\,p_\beta(x|w_j, z_k)) \\
    &- \mathrm{KL}(q(w|y)\,\|\,p(w)) - \eta\, \mathrm{KL}(q(z|y)\,\|\,p(z))
    - \alpha \frac 1 M \sum_j H\big(p(z|x_j, w_j)\big)

At η = 1 and α = 0 it is the evidence lower bound.  H, the consistency violation, is of Bayes'
posterior under the prior network, so its gradient reaches the samples and that network, not q(z).

Version 2 of the paper (January 2017) has no q(z|y): Bayes' posterior p(z|x, w) takes its place in the
conditional prior term and in :math:`\mathrm{KL}(p(z|x, w)\,\|\,p(z)) = \log K - H`, which it leaves out of
the objective where the mean over the batch is below λ nats ("free bits").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from genclust.kernels import bernoulli_log_prob, mixture
from genclust.kernels.dispatch import precise
from genclust.models.base import Model, Terms
from genclust.models.distributions import Gaussian, categorical_kl
from genclust.models.layers import MLP, BatchNorm, Convolution, Init, Linear
from genclust.settings import SettingError, within
from genclust.streams import Noise


@dataclass(frozen=True)
class GMVAESettings:
    """Hyper-parameters of :class:`GMVAE`; the book's chapter says which of them the paper states.

    Attributes:
        n_clusters: number of clusters K.
        x_dim: dimension of the latent x.
        w_dim: dimension of w.
        hidden: width of every dense hidden layer.
        network: kind of recognition and observation networks; ``mnist`` and ``svhn`` are the convolutional ones of
            appendix A, for grey images of 28 × 28 and coloured ones of 32 × 32.
        eta: weight of the z-prior term.
        alpha: weight of the consistency violation.
        samples: number M of samples of x and of w.
        likelihood: ``bernoulli``, or ``gaussian`` with a learned variance.
        version: version of the paper, 1 or 2.
        free_bits: threshold λ of version 2, in nats.
        batch_norm: whether the dense recognition network has batch normalisation; convolutional ones always have it.
    """

    n_clusters: int = within(1, 10_000)
    x_dim: int = within(1, 10_000, default=200)
    w_dim: int = within(1, 10_000, default=150)
    hidden: int = within(1, 100_000, default=500)
    network: Literal["dense", "mnist", "svhn"] = "dense"
    eta: float = within(0, 1e6, default=1.0)
    alpha: float = within(0, 1e6, default=0.0)
    samples: int = within(1, 10_000, default=1)
    likelihood: Literal["bernoulli", "gaussian"] = "bernoulli"
    version: Literal[1, 2] = 1
    free_bits: float = within(0, 1e6, default=0.0)
    batch_norm: bool = True
    init: Init = "pytorch"
    bn_momentum: float = within(0, 1, default=0.1)


#: Convolutional networks by name, as (height, width, channels) of the images and (filters, size, stride, padding) of
#: the recognition network's convolutions (table A.1; "246" filters in the paper are 256 in the authors' code).  The
#: observation network mirrors them (table A.3).
NETWORKS: dict[str, tuple[tuple[int, int, int], list[tuple[int, int, int, int]]]] = {
    "mnist": ((28, 28, 1), [(16, 6, 1, 0), (32, 6, 1, 0), (64, 4, 2, 1)]),
    "svhn": ((32, 32, 3), [(64, 4, 2, 1), (128, 4, 2, 1), (256, 4, 2, 1)]),
}


class Recognition(nn.Sequential):
    """Convolutional recognition network, from images to ``hidden`` features, with batch norm and ReLU in each layer."""

    def __init__(self, replicas: int, network: str, hidden: int, momentum: float) -> None:
        (height, width, channels), convolutions = NETWORKS[network]
        self.image = (height, width, channels)
        layers: list[nn.Module] = []
        side = height
        for filters, size, stride, padding in convolutions:
            layers += [Convolution(replicas, channels, filters, size, stride, padding)]
            layers += [BatchNorm(replicas, filters, momentum), nn.ReLU()]
            channels, side = filters, (side + 2 * padding - size) // stride + 1
        # The last convolution is as large as its input.
        layers += [Convolution(replicas, channels, hidden, side), BatchNorm(replicas, hidden, momentum), nn.ReLU()]
        super().__init__(*layers)

    def forward(self, y: Float[Tensor, "R B D"]) -> Float[Tensor, "R B H"]:
        # A row of the data holds the colours of a pixel side by side; convolutions want a plane per colour.
        return super().forward(y.unflatten(-1, self.image).movedim(-1, 2)).flatten(2)


class Observation(nn.Sequential):
    """Observation network from latent x to Bernoulli logits: a dense layer and transposed convolutions."""

    def __init__(self, replicas: int, network: str, x_dim: int, hidden: int, momentum: float) -> None:
        (height, _, channels), convolutions = NETWORKS[network]
        sides, planes = [height], [channels]
        for filters, size, stride, padding in convolutions:
            sides.append((sides[-1] + 2 * padding - size) // stride + 1)
            planes.append(filters)
        layers: list[nn.Module] = [
            Linear(replicas, x_dim, hidden),
            BatchNorm(replicas, hidden, momentum),
            nn.ReLU(),
            nn.Unflatten(2, (hidden, 1, 1)),
            Convolution(replicas, hidden, planes[-1], sides[-1], transposed=True),
        ]
        for (filters, size, stride, padding), plane in zip(reversed(convolutions), reversed(planes[:-1]), strict=True):
            layers += [BatchNorm(replicas, filters, momentum), nn.ReLU()]
            layers += [Convolution(replicas, filters, plane, size, stride, padding, transposed=True)]
        super().__init__(*layers)

    def forward(self, x: Float[Tensor, "R B X"]) -> Float[Tensor, "R B D"]:
        return super().forward(x).movedim(2, -1).flatten(2)


class GMVAE(Model):
    """Gaussian mixture VAE, convolutional as in tables A.1 to A.3 or dense as in the authors' ``FullyConnected``.

    Args:
        replicas: number R of independently seeded copies.
        y_dim: dimension D of the data.
        settings: hyper-parameters.

    Raises:
        SettingError: if a convolutional network does not suit D or the likelihood.

    Example:
        >>> model = GMVAE(2, 784, GMVAESettings(n_clusters=10, network="dense"))  # two replicas
        >>> model.initialise([torch.Generator().manual_seed(seed) for seed in (0, 1)])
        >>> model.eval().cluster_posterior(torch.rand(2, 5, 784)).shape
        torch.Size([2, 5, 10])
    """

    penalties = ("consistency_violation",)

    def __init__(self, replicas: int, y_dim: int, settings: GMVAESettings) -> None:
        super().__init__()
        self.replicas, self.settings = replicas, settings
        s, H = settings, settings.hidden
        if s.network == "dense":
            self.recognition: nn.Module = MLP(replicas, (y_dim, H, H), s.bn_momentum if s.batch_norm else None)
            self.observation: nn.Module = MLP(replicas, (s.x_dim, H, H), None)
            self.y_mean: nn.Module = Linear(replicas, H, y_dim)
        else:
            image, _ = NETWORKS[s.network]
            if math.prod(image) != y_dim or s.likelihood != "bernoulli":
                raise SettingError(
                    f"The network {s.network!r} takes images of {image[0]} × {image[1]} pixels and {image[2]} channels "
                    f"under a Bernoulli likelihood; for {y_dim} values or a Gaussian one take the network 'dense'."
                )
            self.recognition = Recognition(replicas, s.network, H, s.bn_momentum)
            self.observation = Observation(replicas, s.network, s.x_dim, H, s.bn_momentum)
            self.y_mean = nn.Identity()
        self.y_log_var = Linear(replicas, H, y_dim) if s.likelihood == "gaussian" else None
        self.q_x_mean, self.q_x_log_var = (Linear(replicas, H, s.x_dim) for _ in range(2))
        self.q_w_mean, self.q_w_log_var = (Linear(replicas, H, s.w_dim) for _ in range(2))
        if s.version == 1:
            self.q_z = Linear(replicas, H, s.n_clusters)
        elif s.alpha or s.eta != 1:
            raise SettingError(
                "Version 2 has neither η nor a consistency violation; set model.eta to 1, model.alpha to 0."
            )
        self.prior = nn.Sequential(Linear(replicas, s.w_dim, H), nn.Tanh())
        self.prior_means, self.prior_log_vars = (Linear(replicas, H, s.n_clusters * s.x_dim) for _ in range(2))

    def q_x(self, h: Float[Tensor, "R B H"]) -> Gaussian:
        """Posterior q(x|y) from the recognition network's features."""
        return Gaussian(precise(self.q_x_mean(h)), log_var=precise(self.q_x_log_var(h)))

    def q_w(self, h: Float[Tensor, "R B H"]) -> Gaussian:
        """Posterior q(w|y) from the recognition network's features."""
        return Gaussian(precise(self.q_w_mean(h)), log_var=precise(self.q_w_log_var(h)))

    def p_x(self, w: Float[Tensor, "R *B W"]) -> Gaussian:
        """Mixture components p(x|w, z) for every z (equation 1c), ``[R, *B, K, X]``."""
        h = self.prior(w.flatten(1, -2))
        shape = (*w.shape[:-1], self.settings.n_clusters, self.settings.x_dim)
        return Gaussian(precise(self.prior_means(h)).view(shape), log_var=precise(self.prior_log_vars(h)).view(shape))

    def p_y(self, x: Float[Tensor, "R *B X"]) -> Gaussian | Float[Tensor, "R *B D"]:
        """Likelihood p(y|x) (equation 1d): a Gaussian, or the logits of Bernoulli distributions."""
        h = self.observation(x.flatten(1, -2))
        shape = (*x.shape[:-1], -1)
        mean = precise(self.y_mean(h)).view(shape)
        return mean if self.y_log_var is None else Gaussian(mean, log_var=precise(self.y_log_var(h)).view(shape))

    def log_prob(self, y: Float[Tensor, "R B D"], x: Float[Tensor, "R M B X"]) -> Float[Tensor, "R M B"]:
        """Log-likelihood log p(y|x) in nats."""
        p_y = self.p_y(x)
        return p_y.log_prob(y[:, None]) if isinstance(p_y, Gaussian) else bernoulli_log_prob(p_y, y[:, None])

    def loss(self, y: Float[Tensor, "R B D"], scheduled: Mapping[str, float | Tensor], noise: Noise) -> Terms:
        """Training objective in nats: the negative bound of equation 7, or of version 2 of the paper."""
        s, (_, B, _) = self.settings, y.shape
        h = self.recognition(y)
        q_x, q_w = self.q_x(h), self.q_w(h)

        def samples(q: Gaussian) -> Float[Tensor, "R M B Z"]:
            return q.map(lambda t: t[:, None]).draw(noise.normal(s.samples, B, q.mean.shape[-1]))

        x, w = samples(q_x), samples(q_w)
        p_x = self.p_x(w)
        if s.version == 1:
            logits = precise(self.q_z(h))
            q_z, kl_z = logits.softmax(-1)[:, None], categorical_kl(logits)
        else:
            posterior = mixture(x, self.log_prior(), p_x.mean, p_x.log_var)
            q_z = posterior.log_responsibilities.exp()
            kl_z = math.log(s.n_clusters) - posterior.entropy.mean(1)
        every_q_x = q_x.map(lambda t: t[:, None].expand(-1, q_z.shape[1], -1, -1))
        prior = mixture(
            x, self.log_prior(), p_x.mean, p_x.log_var, q_mean=every_q_x.mean, q_log_var=every_q_x.log_var, q_z=q_z
        )
        assert prior.kl is not None
        terms = {
            "reconstruction": -self.log_prob(y, x).mean(1),
            "conditional_prior": prior.kl.mean(1),
            "kl_w": q_w.kl(),
            "kl_z": kl_z,
            "consistency_violation": prior.entropy.mean(1),
        }
        rest = terms["reconstruction"] + terms["conditional_prior"] + terms["kl_w"]
        if s.version == 1:
            objective = (rest + s.eta * kl_z + s.alpha * terms["consistency_violation"]).mean(-1)
        else:
            objective = rest.mean(-1) + kl_z.mean(-1).clamp_min(s.free_bits)
        return Terms(objective, terms)

    def log_prior(self) -> Float[Tensor, " K"]:
        """Uniform log-prior log p(z) of the clusters, ``[K]``, in nats."""
        K = self.settings.n_clusters
        return torch.full((K,), -math.log(K), device=self.q_x_mean.weight.device)

    def reconstruct(self, y: Float[Tensor, "R B D"]) -> Float[Tensor, "R B D"]:
        """Reconstructions: means of p(y|x) at the mean of q(x|y)."""
        return self.decode(self.embed(y)["x_mean"])

    def sample(self, n: int, noise: Noise) -> Float[Tensor, "R n D"]:
        """Means of p(y|x) for ``n`` samples of w, z and x from the prior."""
        s = self.settings
        z = (noise.uniform(n) * s.n_clusters).long()[..., None, None].expand(-1, -1, 1, s.x_dim)
        p_x = self.p_x(noise.normal(n, s.w_dim)).map(lambda t: t.gather(2, z).squeeze(2))
        return self.decode(p_x.draw(noise.normal(n, s.x_dim)))

    def sample_clusters(self, n: int, noise: Noise) -> Float[Tensor, "R K n D"]:
        """Means of p(y|x) for n samples of x from each mixture component at w = 0 (Figure 3a)."""
        w = self.q_w_mean.weight.new_zeros(self.replicas, 1, self.settings.w_dim)
        p_x = self.p_x(w).map(lambda t: t.transpose(1, 2))
        return self.decode(p_x.draw(noise.normal(self.settings.n_clusters, n, self.settings.x_dim)))

    def sample_cluster(self, n: int, noise: Noise, cluster: int) -> Float[Tensor, "R n D"]:
        """Means of p(y|x) for n samples of w and of x from one mixture component p(x|w, z)."""
        p_x = self.p_x(noise.normal(n, self.settings.w_dim)).map(lambda parameter: parameter[:, :, cluster])
        return self.decode(p_x.draw(noise.normal(n, self.settings.x_dim)))

    def walk(self, n: int, noise: Noise) -> Float[Tensor, "R K n D"]:
        """Means of p(y|x) at every component's mean, for w on a path of n steps (Figure 3b).

        The path is half a circle, from a draw from the prior of w to the opposite point.  Each point of the circle is
        as likely under N(0, I) as any draw, unlike the points of a straight line through the origin.
        """
        a, b = noise.normal(2, self.settings.w_dim).unsqueeze(2).unbind(1)
        angle = torch.linspace(0, math.pi, n, device=a.device)[:, None]
        return self.decode(self.p_x(angle.cos() * a + angle.sin() * b).mean.transpose(1, 2))

    def latent_map(self, y: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R ..."]]:
        """Latent space of x (Figure 2): means, clusters and reconstructions of the rows, and the mixture components.

        The rows are given by means of q(x|y) and most probable clusters, the components by means and standard
        deviations at w = 0.
        """
        x = self.embed(y)["x_mean"]
        components = self.p_x(x.new_zeros(self.replicas, 1, self.settings.w_dim))
        return {
            "latent_x": x,
            "latent_clusters": self.cluster_posterior(y).argmax(-1),
            "latent_reconstruction": self.decode(x),
            "component_means": components.mean[:, 0],
            "component_sds": components.sd[:, 0],
        }

    def decode(self, x: Float[Tensor, "R *B X"]) -> Float[Tensor, "R *B D"]:
        """Means of p(y|x)."""
        p_y = self.p_y(x)
        return p_y.mean if isinstance(p_y, Gaussian) else p_y.sigmoid()

    def cluster_posterior(self, y: Float[Tensor, "R B D"]) -> Float[Tensor, "R B K"]:
        """Cluster log-probabilities log q(z|y); in version 2, log p(z|x, w) at the means of q(x|y) and q(w|y)."""
        if self.settings.version == 1:
            return precise(self.q_z(self.recognition(y))).log_softmax(-1)
        means = self.embed(y)
        p_x = self.p_x(means["w_mean"])
        return mixture(means["x_mean"], self.log_prior(), p_x.mean, p_x.log_var).log_responsibilities

    def embed(self, y: Float[Tensor, "R B D"]) -> dict[str, Float[Tensor, "R B F"]]:
        """The means of q(x|y) and q(w|y)."""
        h = self.recognition(y)
        return {"x_mean": precise(self.q_x_mean(h)), "w_mean": precise(self.q_w_mean(h))}
