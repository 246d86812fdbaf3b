r"""Importance-weighted estimates of the log-likelihood, in bounded memory.

.. math:: \log p(x) \ge E\Big[\log \frac1S \sum_s w_s\Big], \quad
          w_s = \frac{p(x, h_s)}{q(h_s|x)}, \quad h_s \sim q(h|x)

(Burda, Grosse, Salakhutdinov 2016, equation 8).  Each image is encoded once; samples stream
through a running log-mean-exp, so memory depends on how many are taken at once and not on S.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from genclust.kernels import LogMeanExp
from genclust.streams import Noise, noise_on


class LikelihoodModel(Protocol):
    """What a model offers to have its likelihood estimated."""

    replicas: int

    def infer(self, x: Float[Tensor, "R B D"]) -> Any:
        """What q needs of x alone, computed once however many samples follow."""

    def log_weights(self, x: Float[Tensor, "R B D"], inferred: Any, n: int, noise: Noise) -> Float[Tensor, "n R B"]:
        """log w of ``n`` fresh samples, in nats; unbiased: E[w] = p(x).

        ``noise.normal(n, B, Z)`` draws ``[R, n, B, Z]``, replicas first; the result has the samples first.
        """


@dataclass(frozen=True)
class LogLikelihood:
    """Estimates for every image, in nats, on the CPU.

    Attributes:
        log_prob: log-mean-exp of all weights, a lower bound on log p(x) in expectation, ``[R, N]``.
        elbo: mean of all log-weights, the one-sample bound, ``[R, N]``.
        n_samples: S.
    """

    log_prob: Float[Tensor, "R N"]
    elbo: Float[Tensor, "R N"]
    n_samples: int

    def mean(self) -> Float[Tensor, " R"]:
        """Mean log-likelihood of each replica."""
        return self.log_prob.mean(1)

    def standard_error(self) -> Float[Tensor, " R"]:
        """Of that mean, over the images; NaN for a single one."""
        n = self.log_prob.shape[1]
        return self.log_prob.std(1) / n**0.5 if n > 1 else torch.full_like(self.log_prob[:, 0], torch.nan)


@torch.no_grad()
def log_likelihood(
    model: LikelihoodModel,
    x: Float[Tensor, "N D"],
    seeds: Sequence[int],
    n_samples: int,
    *,
    samples_at_once: int = 250,
    images_at_once: int = 100,
    precision: Literal["float32", "bf16"] = "float32",
) -> LogLikelihood:
    """Estimate log p(x) of every image under every replica.

    The estimate depends on the seeds and on both ``at_once``, which say how the random numbers are
    cut; on nothing else.

    Args:
        model: in evaluation mode, on the device of ``x``.
        x: images as the model takes them, bits for a Bernoulli likelihood.
        seeds: one a replica, of the samples' random streams.
        n_samples: S; a last chunk may be smaller.
        samples_at_once: how many are in memory.
        images_at_once: likewise.
        precision: ``bf16`` for bfloat16 matrix products; log-weights are float32 in any case.

    Raises:
        ValueError: for no images, fewer than one sample, NaN in x, another precision, seeds that do not match the
            replicas, or a model whose log-weights have another shape or are in half precision.
    """
    if min(n_samples, samples_at_once, images_at_once) < 1 or len(x) == 0:
        raise ValueError("A likelihood needs at least one image, and one sample and one image at once.")
    if len(seeds) != model.replicas:
        raise ValueError(f"{model.replicas} replicas need as many seeds, not {len(seeds)}.")
    if precision not in ("float32", "bf16"):
        raise ValueError(f"The precision is float32 or bf16, not {precision!r}.")
    if x.ndim != 2:
        raise ValueError(f"Images are rows of a matrix [N, D], not of shape {list(x.shape)}.")
    if not bool(x.isfinite().all()):
        raise ValueError("The images hold values that are not finite.")
    noise = noise_on(x.device, seeds, "likelihood samples")
    counter = 0
    log_probs, elbos = [], []
    for images in x.split(images_at_once):
        batch = images.expand(model.replicas, *images.shape)
        log_prob, elbo = LogMeanExp(), torch.zeros(batch.shape[:2], device=x.device)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
            inferred = model.infer(batch)
        for start in range(0, n_samples, samples_at_once):
            n = min(samples_at_once, n_samples - start)
            with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
                log_weights = model.log_weights(batch, inferred, n, noise.at(counter))
            if log_weights.shape != (n, *batch.shape[:2]) or log_weights.dtype in (torch.bfloat16, torch.float16):
                raise ValueError(
                    f"log_weights gives {log_weights.dtype} {list(log_weights.shape)}; samples, replicas and images "
                    f"are {[n, *batch.shape[:2]]}, in float32 or better."
                )
            log_prob.update(log_weights)
            elbo += log_weights.sum(0)
            counter += 1
        log_probs.append(log_prob.result().cpu())
        elbos.append((elbo / n_samples).cpu())
    return LogLikelihood(torch.cat(log_probs, 1), torch.cat(elbos, 1), n_samples)
