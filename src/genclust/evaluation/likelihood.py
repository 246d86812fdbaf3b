r"""Importance-weighted estimates of the log-likelihood in nats, in bounded memory.

.. math:: \log p(x) \ge E\Big[\log \frac1S \sum_s w_s\Big], \quad
          w_s = \frac{p(x, h_s)}{q(h_s|x)}, \quad h_s \sim q(h|x)

(Burda, Grosse, Salakhutdinov 2016, equation 8).  Each image is encoded once; samples stream
through a running log-mean-exp, so memory depends on how many are taken at once and not on S.  With the papers' 5,000
samples this takes hours for the largest models, so it can keep in a file what is done, and go on from there.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as tensors_as_bytes
from torch import Tensor
from tqdm import tqdm

from genclust.evaluation.capabilities import HasLikelihood
from genclust.kernels import LogMeanExp
from genclust.paths import write_whole
from genclust.streams import noise_on

#: Seconds after which what is done is kept again.
SECONDS_BETWEEN_SAVES = 60.0


class LikelihoodModel(HasLikelihood, Protocol):
    """Model whose likelihood can be estimated, with a number of replicas."""

    replicas: int

    def state_dict(self) -> Mapping[str, Tensor]:
        """Weights and statistics by name; asked for only where what is done is kept."""


@dataclass(frozen=True)
class LogLikelihood:
    """Log-likelihood estimates for every image, in nats, on the CPU.

    Attributes:
        log_prob: log-mean-exp of all weights, a lower bound on log p(x) in expectation, ``[R, N]``.
        elbo: mean of all log-weights, the one-sample bound, ``[R, N]``.
    """

    log_prob: Float[Tensor, "R N"]
    elbo: Float[Tensor, "R N"]

    def mean(self) -> Float[Tensor, " R"]:
        """Mean log-likelihood of each replica over the images, in nats."""
        return self.log_prob.mean(1)

    def standard_error(self) -> Float[Tensor, " R"]:
        """Standard error of the mean log-likelihood over the images, in nats; NaN for a single image."""
        n = self.log_prob.shape[1]
        return self.log_prob.std(1) / n**0.5 if n > 1 else torch.full_like(self.log_prob[:, 0], torch.nan)


@torch.no_grad()
def log_likelihood(
    model: LikelihoodModel,
    x: Float[Tensor, "N D"],
    seeds: Sequence[int],
    n_samples: int,
    *,
    samples_at_once: int = 100,
    images_at_once: int = 100,
    precision: Literal["float32", "bf16"] = "float32",
    kept: Path | None = None,
) -> LogLikelihood:
    """Estimate log p(x) of every image under every replica, in nats.

    The estimate depends only on the seeds and on both ``at_once``, which set how the random numbers
    are divided into chunks.

    Args:
        model: model in evaluation mode, on the device of ``x``.
        x: images as inputs of the model, bits for a Bernoulli likelihood.
        seeds: one seed per replica, for the random streams of the samples.
        n_samples: number of samples S; the last chunk may be smaller.
        samples_at_once: number of samples per image in memory.
        images_at_once: number of images in memory.
        precision: ``bf16`` for bfloat16 matrix products; log-weights are float32 in any case.
        kept: file to keep what is done in, about once a minute and at the end.  An interrupted call with the same
            weights, images and arguments goes on from there, to the same estimates; what another call left there is
            not used.

    Raises:
        ValueError: for no images, fewer than one sample, NaN in x, another precision, seeds that do not match the
            replicas, or a model whose log-weights have another shape or are in half precision.
    """
    chunks = _chunks(model, x, seeds, n_samples, samples_at_once, images_at_once, precision, {})
    arguments = [list(seeds), n_samples, samples_at_once, images_at_once, precision, x.device.type]
    whose = _digest(model, x, arguments) if kept else ""
    parts = _read(kept, whose) if kept else []
    saved_at = time.monotonic()
    done = sum(part.shape[2] for part in parts)
    for of_images in islice(chunks, -(-done // images_at_once), None):
        log_prob, elbo = LogMeanExp(), torch.zeros(())
        for log_w in of_images:
            log_prob.update(log_w)
            elbo = elbo.to(log_w) + log_w.sum(0)
        parts.append(torch.stack([log_prob.result(), elbo / n_samples]).cpu())
        done += parts[-1].shape[2]
        if kept and (done == len(x) or time.monotonic() - saved_at > SECONDS_BETWEEN_SAVES):
            about = {"of": whose, "images": str(len(x))}
            write_whole(kept, tensors_as_bytes({"estimates": torch.cat(parts, 2)}, about))
            saved_at = time.monotonic()
    return LogLikelihood(*torch.cat(parts, 2))


def _digest(model: LikelihoodModel, x: Tensor, arguments: list[Any]) -> str:
    """SHA-256 of all that decides the estimates: weights, images, and how samples are drawn."""
    sha = hashlib.sha256(json.dumps(arguments).encode())
    for name, tensor in [*sorted(model.state_dict().items()), ("x", x)]:
        sha.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        sha.update(tensor.detach().cpu().numpy().tobytes())
    return sha.hexdigest()


def _read(kept: Path, whose: str) -> list[Float[Tensor, "2 R n"]]:
    """What an interrupted call kept: estimates of the first images; none of what another call kept, or if damaged."""
    if not kept.exists():
        return []
    try:
        with safe_open(kept, "pt") as file:
            if (file.metadata() or {}).get("of") == whose:
                return [file.get_tensor("estimates")]
    except (SafetensorError, OSError) as error:
        reason = str(error).splitlines()[0]
        tqdm.write(f"The likelihoods in {kept} cannot be read ({reason}); they are estimated anew.")
    return []


def share_kept(kept: Path) -> float | None:
    """Share of images whose likelihood :func:`log_likelihood` has kept in a file, in per cent; None if unreadable."""
    try:
        with safe_open(kept, "pt") as file:
            return 100 * file.get_slice("estimates").get_shape()[2] / int(file.metadata()["images"])
    except (SafetensorError, OSError, TypeError, KeyError):
        return None


@torch.no_grad()
def log_weights(
    model: LikelihoodModel,
    x: Float[Tensor, "N D"],
    seeds: Sequence[int],
    n_samples: int,
    *,
    samples_at_once: int = 100,
    images_at_once: int = 100,
    precision: Literal["float32", "bf16"] = "float32",
    **options: Any,
) -> Float[Tensor, "S R N"]:
    """All log importance weights, in nats, on the CPU; meant for few images.

    Args:
        model, x, seeds, n_samples, samples_at_once, images_at_once, precision: as for :func:`log_likelihood`.
        options: further arguments of the model's ``log_weights``, such as ``enumerate_y``.

    Raises:
        ValueError: as :func:`log_likelihood`.
    """
    chunks = _chunks(model, x, seeds, n_samples, samples_at_once, images_at_once, precision, options)
    return torch.cat([torch.cat([log_w.cpu() for log_w in of_images]) for of_images in chunks], 2)


def bound(log_w: Float[Tensor, "S N"], samples: Sequence[int]) -> Float[np.ndarray, " n"]:
    """Importance-weighted bound in nats for each number of samples, mean over images and disjoint sets of samples."""
    bounds = []
    for size in samples:
        sets = log_w[: len(log_w) // size * size].unflatten(0, (-1, size)).double()
        bounds.append(float((sets.logsumexp(1) - np.log(size)).mean()))
    return np.array(bounds)


def _chunks(
    model: LikelihoodModel,
    x: Tensor,
    seeds: Sequence[int],
    n_samples: int,
    samples_at_once: int,
    images_at_once: int,
    precision: str,
    options: dict[str, Any],
) -> Iterator[Iterator[Float[Tensor, "n R B"]]]:
    """Chunks of images and, for each of these, log importance weights in chunks of samples."""
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
    n_chunks = -(-n_samples // samples_at_once)

    def half() -> torch.autocast:
        return torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16")

    def of(batch: Tensor, first: int) -> Iterator[Tensor]:
        with half():
            inferred = model.infer(batch)
        for i in range(n_chunks):
            n = min(samples_at_once, n_samples - i * samples_at_once)
            with half():
                log_w = model.log_weights(batch, inferred, n, noise.at(first + i), **options)
            if log_w.shape != (n, *batch.shape[:2]) or log_w.dtype in (torch.bfloat16, torch.float16):
                raise ValueError(
                    f"log_weights gives {log_w.dtype} {list(log_w.shape)}; samples, replicas and images "
                    f"are {[n, *batch.shape[:2]]}, in float32 or better."
                )
            yield log_w

    for i, images in enumerate(x.split(images_at_once)):
        yield of(images.expand(model.replicas, *images.shape), i * n_chunks)
