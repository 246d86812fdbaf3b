"""Fused operations on inputs of a given size, and the bytes that each must move."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from genclust import kernels
from genclust.kernels.bernoulli import reference as plain_bernoulli
from genclust.kernels.classbias import reference as plain_class_bias
from genclust.kernels.gaussian import reference as plain_gaussian_kl
from genclust.kernels.gumbel import reference as plain_gumbel
from genclust.kernels.logmeanexp import reference as plain_log_mean_exp
from genclust.kernels.mixture import reference as plain_mixture


@dataclass(frozen=True)
class Case:
    """A fused operation on given tensors.

    Attributes:
        name: name of the operation, and of the case where there are several.
        call: function from the tensors to the result of the operation.
        tensors: the arguments; those that require a gradient are differentiated.
        plain: the same function in plain PyTorch, without the dispatch that a compiler cannot see through.
    """

    name: str
    call: Callable[..., Any]
    tensors: Sequence[Tensor]
    plain: Callable[..., Any]

    @property
    def differentiable(self) -> list[Tensor]:
        """Arguments that get a gradient."""
        return [t for t in self.tensors if t.requires_grad]

    def outputs(self, returned: Any) -> list[Tensor]:
        """Tensors in the operation's result."""
        if isinstance(returned, Tensor):
            return [returned]
        values = returned if isinstance(returned, tuple) else vars(returned).values()
        return [value for value in values if isinstance(value, Tensor)]

    def forward_bytes(self, outputs: Sequence[Tensor]) -> int:
        """Bytes of a forward pass: every argument read once, every output written once."""
        return _bytes(self.tensors) + _bytes(outputs)

    def backward_bytes(self, outputs: Sequence[Tensor]) -> int:
        """Bytes of a backward pass: arguments and outputs' gradients read once, arguments' gradients written once."""
        return _bytes(self.tensors) + _bytes(outputs) + _bytes(self.differentiable)


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def cases(device: str, smoke: bool = False, draw: int = 0) -> Iterator[Case]:
    """Yield one case per fused operation, so that only one is in memory at a time.

    About 10 to 40 MB on a CPU; 0.4 GB and more on a GPU, where less would measure the launch; next to nothing as
    ``smoke``.  ``draw`` is the seed of the numbers.
    """
    generator = torch.Generator(device).manual_seed(draw)
    n = {"cpu": 500, "cuda": 40_000}[device] if not smoke else 4

    def normal(*shape: int, scale: float = 1.0, grad: bool = True) -> Tensor:
        return (scale * torch.randn(shape, generator=generator, device=device)).requires_grad_(grad)

    yield Case(
        "Bernoulli log-likelihood, x broadcast over 10 classes",
        kernels.bernoulli_log_prob,
        [normal(1, n, 10, 784), torch.rand((1, n, 1, 784), generator=generator, device=device)],
        plain_bernoulli,
    )
    yield Case(
        "Gaussian divergence",
        kernels.gaussian_kl,
        [normal(1, 40 * n, 128), normal(1, 40 * n, 128, scale=0.3)],
        plain_gaussian_kl,
    )
    yield Case(
        "Gumbel-softmax sample with its divergence",
        lambda logits, uniform: kernels.gumbel_softmax(logits, uniform, 0.7),
        [normal(1, 400 * n, 16), torch.rand((1, 400 * n, 16), generator=generator, device=device)],
        lambda logits, uniform: plain_gumbel(logits, uniform, 0.7),
    )
    K, D = 16, 64
    uniform = torch.full((K,), -math.log(K), device=device)
    yield Case(
        "mixture, parameters for each sample, K = 16",
        lambda z, m, v, q_m, q_v, q_z: kernels.mixture(z, uniform, m, v, q_mean=q_m, q_log_var=q_v, q_z=q_z),
        [
            normal(1, 6 * n, D),
            normal(1, 6 * n, K, D),
            normal(1, 6 * n, K, D, scale=0.3),
            normal(1, 6 * n, D),
            normal(1, 6 * n, D, scale=0.3),
            normal(1, 6 * n, K).softmax(-1).detach().requires_grad_(),
        ],
        lambda z, m, v, *q: plain_mixture(z, uniform[None, None], m, v, *q),
    )
    yield Case(
        "log-mean-exp over 5,000 samples",
        kernels.log_mean_exp,
        [normal(5000 if not smoke else 50, 1, 2 * n)],
        plain_log_mean_exp,
    )
    yield Case(
        "class bias and activation, K = 10",
        lambda h, bias: kernels.class_bias_act(h, bias, "leaky_relu"),
        [normal(1, n, 1024), normal(1, 10, 1024)],
        lambda h, bias: plain_class_bias(h, bias, "leaky_relu"),
    )
