r"""Gaussian mixtures: log-likelihood, responsibilities, their entropy, and the expected KL of a conditional prior.

.. math::
    \log p(z) &= \log \sum_k \pi_k N(z; \mu_k, \sigma_k^2), \qquad
    r_k = p(k|z) = \pi_k N(z; \mu_k, \sigma_k^2) / p(z) \\
    H &= -\sum_k r_k \log r_k \\
    \mathrm{KL} &= \sum_k q_k \mathrm{KL}(N(m, s^2) \| N(\mu_k, \sigma_k^2)), \\
    \mathrm{KL}(N(m, s^2) \| N(\mu_k, \sigma_k^2)) &=
        \tfrac12 \sum_d \left( e^{\delta} - 1 - \delta + (m_d - \mu_{kd})^2 / \sigma_{kd}^2 \right),
        \quad \delta = \log s_d^2 - \log \sigma_{kd}^2

In the GMVAE (arXiv 1611.02648v1) the means and variances come from a network of w, one set for each
sample.  H, averaged over the M samples, is its consistency violation (equation 6), and KL, averaged
likewise, its conditional prior term (equation 4).  H is of the responsibilities alone: nothing of it
reaches q.

The kernels read the parameters once, forwards and backwards, for everything above; only
responsibilities and divergences, a number per component, are kept between the two.  Parameters that
many rows share stay in the cache; their gradient is summed in two stages, in a fixed order.
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from genclust.kernels.dispatch import broadcast_rows, cdiv, precise, runs_triton, tl, triton

#: Elements a program works on at a time, and rows whose shared gradient it sums.
TILE = 1024
ROWS = 64

#: Differences z - μ (rows × K × D) below which no form was faster on one CPU core than the plain one with autograd.
#: Forwards and backwards, the gradient written out was 1.3 to 1.6 times as fast for 0.6 to 1.6 million of them.
SMALL = 2**18

#: Components that a tile of the kernels holds at most; more go to the plain form.
WIDEST = 256


class Mixture(NamedTuple):
    """Log-likelihood, responsibilities and their entropy of each point under a mixture, in nats."""

    #: log p(z).
    log_prob: Float[Tensor, "*B"]
    #: log p(k|z).
    log_responsibilities: Float[Tensor, "*B K"]
    #: Of p(k|z), exactly 0 for one component; near 0 its accuracy is absolute, as that of a number near 1.
    entropy: Float[Tensor, "*B"]
    #: Expected over q(k), if q was given.
    kl: Float[Tensor, "*B"] | None


def _finite(log_r: Tensor) -> Tensor:
    """0 log 0 = 0, and no gradient from an empty component."""
    return log_r.masked_fill(log_r == -math.inf, 0)


def _posterior(log_joint: Float[Tensor, "*B K"]) -> tuple[Tensor, Tensor, Tensor]:
    """log p(z), log p(k|z) and its entropy from log p(k, z)."""
    log_r = log_joint.log_softmax(-1)
    return log_joint.logsumexp(-1), log_r, -(log_r.exp() * _finite(log_r)).sum(-1)


def _expected(q_z: Tensor, divergence: Tensor) -> Tensor:
    """Σ_k q_k KL_k, where a divergence above the range of its type counts nothing if q_k is 0."""
    return (q_z * divergence.clamp_max(torch.finfo(divergence.dtype).max)).sum(-1)


def _direct(
    z: Tensor, log_weights: Tensor, means: Tensor, log_vars: Tensor, q_mean: Tensor | None, q_log_var: Tensor | None
) -> tuple[Float[Tensor, "*B K"], Float[Tensor, "*Q K"] | None]:
    """log p(k, z) and KL_k, each difference taken before it is squared."""
    mu, log_var = precise(means), precise(log_vars)
    # (z - μ)/σ is squared last: with tiny variances its square may overflow where its gradient does not.
    inverse = (-0.5 * log_var).exp()
    t = (precise(z).unsqueeze(-2) - mu) * inverse
    distance = torch.linalg.vecdot(t, t) + log_var.sum(-1) + z.shape[-1] * math.log(2 * math.pi)
    log_joint = precise(log_weights) - 0.5 * distance
    if q_mean is None or q_log_var is None:
        return log_joint, None
    t = (precise(q_mean).unsqueeze(-2) - mu) * inverse
    half = 0.5 * (precise(q_log_var).unsqueeze(-2) - log_var)
    # exp(δ) - 1 - δ = h² + 2 (h - δ/2) keeps its digits where δ is small.
    h = half.expm1()
    return log_joint, 0.5 * (torch.linalg.vecdot(h, h) + torch.linalg.vecdot(t, t)) + (h - half).sum(-1)


def reference(
    z: Float[Tensor, "*B D"],
    log_weights: Float[Tensor, "*W K"],
    means: Float[Tensor, "*P K D"],
    log_vars: Float[Tensor, "*P K D"],
    q_mean: Float[Tensor, "*Q D"] | None = None,
    q_log_var: Float[Tensor, "*Q D"] | None = None,
    q_z: Float[Tensor, "*Q K"] | None = None,
) -> Mixture:
    """The mixture in plain PyTorch, differentiable by autograd; all tensors have as many leading axes as z."""
    log_joint, divergence = _direct(z, log_weights, means, log_vars, q_mean, q_log_var)
    log_prob, log_r, entropy = _posterior(log_joint)
    if divergence is None or q_z is None:
        return Mixture(log_prob, log_r, entropy, None)
    return Mixture(log_prob, log_r, entropy, _expected(precise(q_z), divergence).expand(log_prob.shape))


@triton.jit
def _tile(means, log_vars, param, component, column, n_components: tl.constexpr, width: tl.constexpr):
    """μ, log σ² and 1/σ of a tile [1, K, D], its places in memory, and which of them exist; 0, 0, 1 elsewhere."""
    at = (param * n_components + component[:, None]) * width + column[None, :]
    mask = (component[:, None] < n_components) & (column[None, :] < width)
    mu = tl.load(means + at, mask=mask, other=0.0).to(tl.float32)[None]
    log_var = tl.load(log_vars + at, mask=mask, other=0.0).to(tl.float32)[None]
    return mu, log_var, tl.exp(-0.5 * log_var), at, mask


@triton.jit
def _broadcast_row(row, repeat, inner):
    """The row of a smaller tensor that belongs to a row of z."""
    return (row // (repeat * inner)) * inner + row % inner


@triton.jit
def _per_component(x, row, exists, component, n_components: tl.constexpr, other):
    """A tile [rows, K] of a tensor with a number per component."""
    mask = exists[:, None] & (component[None, :] < n_components)
    return tl.load(x + row[:, None] * n_components + component[None, :], mask=mask, other=other).to(tl.float32)


@triton.jit
def _per_column(x, row, exists, column, width: tl.constexpr):
    """A tile [rows, 1, D] of z or of q's parameters."""
    mask = exists[:, None] & (column[None, :] < width)
    return tl.load(x + row[:, None] * width + column[None, :], mask=mask, other=0.0).to(tl.float32)[:, None, :]


@triton.jit
def _forward_kernel(
    log_prob, log_r, entropy, kl, divergence, z, log_weights, means, log_vars, q_mean, q_log_var, q_z,
    repeat, inner, w_repeat, w_inner, q_repeat, q_inner, log_normaliser, n_components: tl.constexpr,
    width: tl.constexpr, has_q: tl.constexpr,
    block_rows: tl.constexpr, block_components: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """One row of parameters, and a block of the rows of z that share it."""
    chunks = tl.cdiv(repeat, block_rows)
    param = (tl.program_id(0) // chunks).to(tl.int64)
    sample = (tl.program_id(0) % chunks).to(tl.int64) * block_rows + tl.arange(0, block_rows)
    row = ((param // inner) * repeat + sample) * inner + param % inner
    q_row = _broadcast_row(row, q_repeat, q_inner)
    exists = sample < repeat
    component = tl.arange(0, block_components)

    distance = tl.zeros((block_rows, block_components), tl.float32)
    relative = tl.zeros((block_rows, block_components), tl.float32)
    for start in range(0, width, block_columns):
        column = start + tl.arange(0, block_columns)
        mu, log_var, inverse, _, _ = _tile(means, log_vars, param, component, column, n_components, width)
        t = (_per_column(z, row, exists, column, width) - mu) * inverse
        distance += tl.sum(t * t + log_var, 2)
        if has_q:
            t = (_per_column(q_mean, q_row, exists, column, width) - mu) * inverse
            half = 0.5 * (_per_column(q_log_var, q_row, exists, column, width) - log_var)
            h = tl.exp(half) - 1.0
            relative += tl.sum(h * h + t * t + 2.0 * (h - half), 2)

    here = exists[:, None] & (component[None, :] < n_components)
    at = row[:, None] * n_components + component[None, :]
    w_row = _broadcast_row(row, w_repeat, w_inner)
    weight = _per_component(log_weights, w_row, exists, component, n_components, 0.0)
    log_joint = weight - 0.5 * (distance + log_normaliser)
    log_joint = tl.where(component[None, :] < n_components, log_joint, float("-inf"))
    top = tl.max(log_joint, 1)
    top = tl.where(top == float("-inf"), 0.0, top)
    # The maximum is taken off first: added to log Σ, a large one would swallow it.
    shifted = log_joint - top[:, None]
    log_total = tl.log(tl.sum(tl.exp(shifted), 1))
    log_ratio = shifted - log_total[:, None]
    uncertain = tl.exp(log_ratio) * tl.where(log_ratio == float("-inf"), 0.0, log_ratio)
    tl.store(log_prob + row, top + log_total, mask=exists)
    tl.store(log_r + at, log_ratio, mask=here)
    tl.store(entropy + row, 0.0 - tl.sum(uncertain, 1), mask=exists)
    if has_q:
        relative = 0.5 * relative
        relative = tl.where(relative > 3.4028234663852886e38, 3.4028234663852886e38, relative)
        weight = _per_component(q_z, q_row, exists, component, n_components, 0.0)
        tl.store(divergence + at, relative, mask=here)
        tl.store(kl + row, tl.sum(weight * relative, 1), mask=exists)


@triton.jit
def _backward_kernel(
    grad_z, grad_joint, grad_means, grad_log_vars, grad_q_mean, grad_q_log_var,
    by_log_prob, by_log_r, by_entropy, by_kl, log_r, z, means, log_vars, q_mean, q_log_var, q_z,
    n_params, repeat, inner, rows, q_repeat, q_inner, n_components: tl.constexpr, width: tl.constexpr,
    has_q: tl.constexpr,
    block_rows: tl.constexpr, block_components: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """A tile of one row of parameters, and up to ``rows`` rows of z, over which its gradient is summed."""
    tiles, chunks = tl.cdiv(width, block_columns), tl.cdiv(repeat, rows)
    tile = tl.program_id(0) % tiles
    chunk = ((tl.program_id(0) // tiles) % chunks).to(tl.int64)
    param = (tl.program_id(0) // tiles // chunks).to(tl.int64)
    component = tl.arange(0, block_components)
    column = tile * block_columns + tl.arange(0, block_columns)
    mu, log_var, inverse, at, mask = _tile(means, log_vars, param, component, column, n_components, width)
    total_mu = tl.zeros((block_components, block_columns), tl.float32)
    total_log_var = tl.zeros((block_components, block_columns), tl.float32)

    for start in range(0, rows, block_rows):
        sample = chunk * rows + start + tl.arange(0, block_rows)
        row = ((param // inner) * repeat + sample) * inner + param % inner
        exists = sample < repeat
        log_ratio = _per_component(log_r, row, exists, component, n_components, float("-inf"))
        ratio = tl.exp(log_ratio)
        log_ratio = tl.where(log_ratio == float("-inf"), 0.0, log_ratio)
        entropy = 0.0 - tl.sum(ratio * log_ratio, 1)
        given = _per_component(by_log_r, row, exists, component, n_components, 0.0)
        factor = tl.load(by_log_prob + row, mask=exists, other=0.0) - tl.sum(given, 1)
        by_uncertainty = tl.load(by_entropy + row, mask=exists, other=0.0)
        g = given + ratio * (factor[:, None] - by_uncertainty[:, None] * (log_ratio + entropy[:, None]))
        if tile == 0:
            here = exists[:, None] & (component[None, :] < n_components)
            tl.store(
                grad_joint + row[:, None] * n_components + component[None, :],
                g.to(grad_joint.dtype.element_ty), mask=here,
            )  # fmt: skip
        g = g[:, :, None]
        t = (_per_column(z, row, exists, column, width) - mu) * inverse
        # Zero times t comes first: an empty component's t² may have overflowed.
        pull = g * t
        to_mu = pull * inverse
        to_log_var = pull * t - g
        place = row[:, None] * width + column[None, :]
        inside = exists[:, None] & (column[None, :] < width)
        tl.store(grad_z + place, (0.0 - tl.sum(to_mu, 1)).to(grad_z.dtype.element_ty), mask=inside)
        if has_q:
            q_row = _broadcast_row(row, q_repeat, q_inner)
            weight = _per_component(q_z, q_row, exists, component, n_components, 0.0)
            weight = (weight * tl.load(by_kl + row, mask=exists, other=0.0)[:, None])[:, :, None]
            t = (_per_column(q_mean, q_row, exists, column, width) - mu) * inverse
            h = tl.exp(0.5 * (_per_column(q_log_var, q_row, exists, column, width) - log_var)) - 1.0
            pull = weight * t
            wider = weight * h * (h + 2.0)
            to_log_var -= wider + pull * t
            pull *= inverse
            to_mu -= pull
            tl.store(grad_q_mean + place, tl.sum(pull, 1).to(grad_q_mean.dtype.element_ty), mask=inside)
            wider = 0.5 * tl.sum(wider, 1)
            tl.store(grad_q_log_var + place, wider.to(grad_q_log_var.dtype.element_ty), mask=inside)
        total_mu += tl.sum(to_mu, 0)
        total_log_var += 0.5 * tl.sum(to_log_var, 0)

    at += chunk * n_params * n_components * width
    tl.store(grad_means + at, total_mu.to(grad_means.dtype.element_ty), mask=mask)
    tl.store(grad_log_vars + at, total_log_var.to(grad_log_vars.dtype.element_ty), mask=mask)


def _blocks(n_components: int, width: int, repeat: int) -> tuple[int, int, int]:
    """(rows, components, columns) of a tile, powers of two."""
    components, columns, rows = (1 << max(n - 1, 0).bit_length() for n in (n_components, width, repeat))
    columns = min(columns, max(TILE // components, 16))
    return min(rows, max(TILE // (components * columns), 1), ROWS), components, columns


def _warps(blocks: tuple[int, int, int]) -> int:
    return min(max(math.prod(blocks) // 256, 1), 4)


def _repeats(z: Tensor, x: Tensor, own: int = 1) -> tuple[int, int, int]:
    """How the rows of x repeat under those of z."""
    rows = broadcast_rows(z.shape[:-1], x.shape[:-own], "The mixture's tensor")
    assert rows is not None, "the public function expands what repeats along axes that are not adjacent"
    return rows


@torch.library.custom_op("genclust::mixture", mutates_args=())
def _mixture(
    z: Tensor,
    log_weights: Tensor,
    means: Tensor,
    log_vars: Tensor,
    q_mean: Tensor | None,
    q_log_var: Tensor | None,
    q_z: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """log p(z), log r, H, KL and every KL_k, the last two empty without q."""
    if not runs_triton(z):
        log_joint, divergence = _direct(z, log_weights, means, log_vars, q_mean, q_log_var)
        posterior = _posterior(log_joint)
        if divergence is None or q_z is None:
            return *posterior, log_joint.new_empty(0), log_joint.new_empty(0)
        divergence = divergence.expand(log_joint.shape)
        return *posterior, _expected(precise(q_z), divergence), divergence.contiguous()
    lead, (n_components, width) = z.shape[:-1], means.shape[-2:]
    log_prob, entropy = (torch.empty(lead, device=z.device) for _ in range(2))
    log_r = torch.empty(*lead, n_components, device=z.device)
    has_q = q_z is not None
    kl = torch.empty(lead if has_q else 0, device=z.device)
    divergence = torch.empty(log_r.shape if has_q else 0, device=z.device)
    outer, repeat, inner = _repeats(z, means, 2)
    if log_prob.numel():
        q = [x.contiguous() for x in (q_mean, q_log_var, q_z) if x is not None] or [z, z, z]
        blocks = _blocks(n_components, width, repeat)
        _forward_kernel[(outer * inner * cdiv(repeat, blocks[0]),)](
            log_prob, log_r, entropy, kl, divergence,
            z.contiguous(), log_weights.contiguous(), means.contiguous(), log_vars.contiguous(), *q,
            repeat, inner, *_repeats(z, log_weights)[1:], *_repeats(z, q[0])[1:], width * math.log(2 * math.pi),
            n_components, width, has_q, *blocks, num_warps=_warps(blocks),
        )  # fmt: skip
    return log_prob, log_r, entropy, kl, divergence


@_mixture.register_fake
def _(
    z: Tensor,
    log_weights: Tensor,
    means: Tensor,
    log_vars: Tensor,
    q_mean: Tensor | None,
    q_log_var: Tensor | None,
    q_z: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    lead, like = z.shape[:-1], precise(z.new_empty(0))
    components = (*lead, means.shape[-2])
    has_q = q_z is not None
    return (
        like.new_empty(lead),
        like.new_empty(components),
        like.new_empty(lead),
        like.new_empty(lead if has_q else 0),
        like.new_empty(components if has_q else 0),
    )


@torch.library.custom_op("genclust::mixture_backward", mutates_args=())
def _mixture_backward(
    by_log_prob: Tensor,
    by_log_r: Tensor,
    by_entropy: Tensor,
    by_kl: Tensor,
    log_r: Tensor,
    divergence: Tensor,
    z: Tensor,
    log_weights: Tensor,
    means: Tensor,
    log_vars: Tensor,
    q_mean: Tensor | None,
    q_log_var: Tensor | None,
    q_z: Tensor | None,
) -> list[Tensor]:
    """Gradients of z, log_weights, means, log_vars and, where given, q_mean, q_log_var and q_z."""
    inputs = [x for x in (z, log_weights, means, log_vars, q_mean, q_log_var, q_z) if x is not None]
    run = _launch_backward if runs_triton(z) else _direct_backward
    gradients = run(by_log_prob, by_log_r, by_entropy, by_kl, log_r, inputs)
    if q_z is not None:
        gradients.append(by_kl.unsqueeze(-1) * divergence)
    return [g.sum_to_size(x.shape).to(x.dtype).contiguous() for g, x in zip(gradients, inputs, strict=True)]


@_mixture_backward.register_fake
def _(*arguments: Tensor | None) -> list[Tensor]:
    return [torch.empty_like(x, memory_format=torch.contiguous_format) for x in arguments[6:] if x is not None]


def _direct_backward(
    by_log_prob: Tensor, by_log_r: Tensor, by_entropy: Tensor, by_kl: Tensor, log_r: Tensor, inputs: list[Tensor]
) -> list[Tensor]:
    """What the kernel does, in PyTorch, in place where it can be."""
    z, _, mu, log_var, *q = (precise(x) for x in inputs)
    r, finite = log_r.exp(), _finite(log_r)
    entropy = -(r * finite).sum(-1, keepdim=True)
    factor = (by_log_prob - by_log_r.sum(-1)).unsqueeze(-1)
    by_joint = by_log_r + r * (factor - by_entropy.unsqueeze(-1) * (finite + entropy))
    g = by_joint.unsqueeze(-1)
    inverse = (-0.5 * log_var).exp_()
    t = (z.unsqueeze(-2) - mu).mul_(inverse)
    to_mu = t * g
    to_log_var = t.mul_(to_mu).sub_(g)
    by_z = -to_mu.mul_(inverse).sum(-2)
    if not q:
        return [by_z, by_joint, to_mu, to_log_var.mul_(0.5)]
    q_mean, q_log_var, q_z = q
    weight = (by_kl.unsqueeze(-1) * q_z).unsqueeze(-1)
    t = (q_mean.unsqueeze(-2) - mu).mul_(inverse)
    pull = t * weight
    to_log_var.addcmul_(pull, t, value=-1)
    pull.mul_(inverse)
    h = (q_log_var.unsqueeze(-2) - log_var).mul_(0.5).expm1_()
    wider = (h * weight).mul_(h.add_(2))
    to_log_var.sub_(wider).mul_(0.5)
    return [by_z, by_joint, to_mu.sub_(pull), to_log_var, pull.sum(-2), wider.sum(-2).mul_(0.5)]


def _launch_backward(
    by_log_prob: Tensor, by_log_r: Tensor, by_entropy: Tensor, by_kl: Tensor, log_r: Tensor, inputs: list[Tensor]
) -> list[Tensor]:
    """Gradients row by row where rows of z share an input, and in its own type where they do not."""
    z, log_weights, means, log_vars, *q = (x.contiguous() for x in inputs)
    outer, repeat, inner = _repeats(z, means, 2)
    chunks = cdiv(repeat, ROWS)

    def rows(x: Tensor) -> Tensor:
        shape = (*z.shape[:-1], x.shape[-1])
        return torch.empty(shape, dtype=x.dtype if x.shape == shape else torch.float32, device=z.device)

    def partial_sums(x: Tensor) -> Tensor:
        return torch.empty((chunks, *x.shape), dtype=x.dtype if chunks == 1 else torch.float32, device=z.device)

    by_rows = [rows(x) for x in (z, log_weights, *q[:2])]
    by_params = [partial_sums(x) for x in (means, log_vars)]
    if not z.numel():
        by_params = [x.new_zeros(1, *x.shape) for x in (means, log_vars)]
    else:
        n_components, width = means.shape[-2:]
        blocks = _blocks(n_components, width, min(repeat, ROWS))
        grads = [g.contiguous() for g in (by_log_prob, by_log_r, by_entropy, by_kl)]
        _backward_kernel[(outer * inner * chunks * cdiv(width, blocks[2]),)](
            *by_rows[:2], *by_params, *(by_rows[2:] or [z, z]), *grads, log_r, z, means, log_vars, *(q or [z, z, z]),
            outer * inner, repeat, inner, min(repeat, ROWS), *_repeats(z, q[0] if q else z)[1:], n_components, width,
            bool(q), *blocks, num_warps=_warps(blocks),
        )  # fmt: skip
    by_means, by_log_vars = (x[0] if len(x) == 1 else x.sum(0) for x in by_params)
    return [by_rows[0], by_rows[1], by_means, by_log_vars, *by_rows[2:]]


def _setup(ctx: Any, inputs: tuple, output: tuple) -> None:
    ctx.save_for_backward(output[1], output[4], *inputs)
    ctx.mark_non_differentiable(output[4])


def _gradient(ctx: Any, *grads: Tensor) -> tuple:
    gradients = _mixture_backward(*grads[:4], *ctx.saved_tensors)
    return (*gradients, *[None] * (7 - len(gradients)))


_mixture.register_autograd(_gradient, setup_context=_setup)


def mixture(
    z: Float[Tensor, "*B D"],
    log_weights: Float[Tensor, "*W K"],
    means: Float[Tensor, "*P K D"],
    log_vars: Float[Tensor, "*P K D"],
    q_mean: Float[Tensor, "*Q D"] | None = None,
    q_log_var: Float[Tensor, "*Q D"] | None = None,
    q_z: Float[Tensor, "*Q K"] | None = None,
) -> Mixture:
    r"""Gaussian mixture at z and, if q is given, the expected KL from it, in nats and float32 or better.

    A squared distance above the range of the type, in standard deviations, makes a component's
    responsibility 0; where that happens to all of them, or all weights are 0, they are NaN.

    Args:
        z: points; NaN in one makes NaN of what is said about it.
        log_weights: log π, used as it is: log-probabilities, not logits, or log_prob is off by their log-sum
            (the responsibilities are not).  -inf is an empty component, whose log-responsibility is -inf.
        means, log_vars: one mixture for each point (``*P`` = ``*B``) or for many: ``*P``, like ``*W``,
            are the first axes of ``*B``, each as long or 1.
        q_mean, q_log_var, q_z: q(z) = N(q_mean, exp(q_log_var)) and the probabilities of q(k), all or none;
            ``*Q`` has as many axes as ``*B``, each as long or 1, such as 1 for the samples of w.

    Raises:
        ValueError: if shapes do not fit, or q is given in part.
    """
    lead = z.shape[:-1]
    _check(z, log_weights, means, log_vars, q_mean, q_log_var, q_z)
    means, log_vars = _aligned(means, lead, 2, "Means"), _aligned(log_vars, lead, 2, "Log-variances")
    log_weights = _aligned(log_weights, lead, 1, "Log-weights")
    q = [None if x is None else _aligned(x, lead, 1, "q") for x in (q_mean, q_log_var, q_z)]
    given = [x for x in (z, log_weights, means, log_vars, *q) if x is not None]
    if not runs_triton(*given):
        small = z.device.type == "cpu" and z.numel() * means.shape[-2] < SMALL
        if small or any(x.dtype == torch.float64 for x in given):
            return reference(*given)
    elif means.shape[-2] > WIDEST:
        return reference(*given)
    log_prob, log_r, entropy, kl, _ = _mixture(z, log_weights, means, log_vars, *q)
    return Mixture(log_prob, log_r, entropy, None if q_z is None else kl)


def _aligned(x: Tensor, lead: tuple[int, ...], own: int, what: str) -> Tensor:
    """As many leading axes as z, the missing ones last, and repeated along adjacent axes only."""
    x = x.reshape(*x.shape[:-own], *(1,) * (len(lead) + own - x.ndim), *x.shape[-own:])
    if broadcast_rows(lead, x.shape[:-own], what) is None:
        return x.expand(*lead, *x.shape[-own:])
    return x


def _check(
    z: Tensor,
    log_weights: Tensor,
    means: Tensor,
    log_vars: Tensor,
    q_mean: Tensor | None,
    q_log_var: Tensor | None,
    q_z: Tensor | None,
) -> None:
    if means.ndim < 2 or means.shape != log_vars.shape or 0 in means.shape[-2:] or means.shape[-1:] != z.shape[-1:]:
        raise ValueError(
            f"Means {list(means.shape)} and log-variances {list(log_vars.shape)} need the same shape [..., K, D], "
            f"K and D at least 1 and D as in z {list(z.shape)}."
        )
    components = means.shape[-2]
    if log_weights.shape[-1:] != (components,):
        raise ValueError(f"{components} components need as many log-weights, not {list(log_weights.shape)}.")
    if q_mean is None or q_log_var is None or q_z is None:
        if not q_mean is q_log_var is q_z is None:
            raise ValueError("q is q_mean, q_log_var and q_z: all of them or none.")
    elif q_mean.shape != q_log_var.shape or (*q_mean.shape[:-1], components) != q_z.shape or q_mean.ndim != z.ndim:
        raise ValueError(
            f"q_mean {list(q_mean.shape)}, q_log_var {list(q_log_var.shape)} and q_z {list(q_z.shape)} need the same "
            f"leading axes, as many as z {list(z.shape)} has, the last with {components} components."
        )
    elif q_mean.shape[-1] != z.shape[-1]:
        raise ValueError(f"q_mean has {q_mean.shape[-1]} dimensions, z {z.shape[-1]}.")
