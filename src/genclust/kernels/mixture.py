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
sample of w.  H, averaged over the M samples, is its consistency violation (equation 6), and KL, averaged
likewise, its conditional prior term (equation 4).  H is a function of the responsibilities alone, so
none of its gradient reaches q.

The kernels read the parameters once, forwards and backwards, for everything above; only
responsibilities and divergences, a number per component, are kept between the two.  Tensors that several
points share are expanded to a row per point before the kernels run, and their gradients summed afterwards.
"""

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from genclust.kernels.dispatch import broadcast_rows, cdiv, launch, precise, runs_triton, tl, triton

#: Number of elements that a program of a kernel processes at a time.
TILE = 1024

#: Number of differences z - μ (points × K × D) below which the plain form with autograd was the fastest on a CPU core.
#: For 0.6 to 1.6 million, the gradient written out was 1.3 to 1.6 times as fast, forwards and backwards.
SMALL = 2**18

#: Largest number of components that a tile of the kernels can hold; more go to the plain form.
WIDEST = 256


class Mixture(NamedTuple):
    """Log-likelihood, responsibilities and their entropy of each point under a mixture, in nats."""

    #: Log-likelihood log p(z).
    log_prob: Float[Tensor, "*B"]
    #: Log-responsibilities log p(k|z).
    log_responsibilities: Float[Tensor, "*B K"]
    #: Entropy of p(k|z), exactly 0 for one component; near 0 its absolute error is that of a number near 1.
    entropy: Float[Tensor, "*B"]
    #: Divergence KL(q(z) || N(z; μ_k, σ_k²)), expected over q(k), if q was given.
    kl: Float[Tensor, "*B"] | None


def _finite(log_r: Tensor) -> Tensor:
    """log r with 0 for minus infinity, so that 0 log 0 = 0 and empty components have no gradient."""
    return log_r.masked_fill(log_r == -math.inf, 0)


def _posterior(log_joint: Float[Tensor, "*B K"]) -> tuple[Tensor, Tensor, Tensor]:
    """Log-likelihood log p(z), log-responsibilities log p(k|z) and their entropy, from log p(k, z)."""
    log_r = log_joint.log_softmax(-1)
    return log_joint.logsumexp(-1), log_r, -(log_r.exp() * _finite(log_r)).sum(-1)


def _expected(q_z: Tensor, divergence: Tensor) -> Tensor:
    """Expected divergence Σ_k q_k KL_k, in which an infinite divergence counts 0 if q_k is 0."""
    return (q_z * divergence.clamp_max(torch.finfo(divergence.dtype).max)).sum(-1)


def _direct(
    z: Tensor, log_weights: Tensor, means: Tensor, log_vars: Tensor, q_mean: Tensor | None, q_log_var: Tensor | None
) -> tuple[Float[Tensor, "*B K"], Float[Tensor, "*Q K"] | None]:
    """Joint log-densities log p(k, z) and divergences KL_k, computed from differences z - μ."""
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
    """The mixture in plain PyTorch, differentiable by autograd; leading axes broadcast to those of z."""
    log_joint, divergence = _direct(z, log_weights, means, log_vars, q_mean, q_log_var)
    log_prob, log_r, entropy = _posterior(log_joint)
    if divergence is None or q_z is None:
        return Mixture(log_prob, log_r, entropy, None)
    return Mixture(log_prob, log_r, entropy, _expected(precise(q_z), divergence).expand(log_prob.shape))


@triton.jit
def _tile(means, log_vars, row, component, column, n_components: tl.constexpr, width: tl.constexpr):
    """μ, log σ² and 1/σ of a row's tile [K, D] (0, 0, 1 beyond its end), its memory offsets, and its mask."""
    at = (row * n_components + component[:, None]) * width + column[None, :]
    mask = (component[:, None] < n_components) & (column[None, :] < width)
    mu = tl.load(means + at, mask=mask, other=0.0).to(tl.float32)
    log_var = tl.load(log_vars + at, mask=mask, other=0.0).to(tl.float32)
    return mu, log_var, tl.exp(-0.5 * log_var), at, mask


@triton.jit
def _entries(x, row, index, n: tl.constexpr, other):
    """Entries of one row of a tensor [rows, n], in float32."""
    return tl.load(x + row * n + index, mask=index < n, other=other).to(tl.float32)


@triton.jit
def _forward_kernel(
    log_prob, log_r, entropy, kl, divergence, z, log_weights, means, log_vars, q_mean, q_log_var, q_z,
    log_normaliser, n_components: tl.constexpr, width: tl.constexpr, has_q: tl.constexpr,
    block_components: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """All outputs for one point z."""
    row = tl.program_id(0).to(tl.int64)
    component = tl.arange(0, block_components)
    exists = component < n_components
    distance = tl.zeros((block_components,), tl.float32)
    relative = tl.zeros((block_components,), tl.float32)
    for start in range(0, width, block_columns):
        column = start + tl.arange(0, block_columns)
        mu, log_var, inverse, _, _ = _tile(means, log_vars, row, component, column, n_components, width)
        t = (_entries(z, row, column, width, 0.0)[None, :] - mu) * inverse
        distance += tl.sum(t * t + log_var, 1)
        if has_q:
            t = (_entries(q_mean, row, column, width, 0.0)[None, :] - mu) * inverse
            half = 0.5 * (_entries(q_log_var, row, column, width, 0.0)[None, :] - log_var)
            h = tl.exp(half) - 1.0
            relative += tl.sum(h * h + t * t + 2.0 * (h - half), 1)

    at = row * n_components + component
    log_joint = _entries(log_weights, row, component, n_components, 0.0) - 0.5 * (distance + log_normaliser)
    log_joint = tl.where(exists, log_joint, float("-inf"))
    top = tl.max(log_joint, 0)
    top = tl.where(top == float("-inf"), 0.0, top)
    # The maximum is taken off first: added to log Σ, a large one would swallow it.
    shifted = log_joint - top
    log_total = tl.log(tl.sum(tl.exp(shifted), 0))
    log_ratio = shifted - log_total
    uncertain = tl.exp(log_ratio) * tl.where(log_ratio == float("-inf"), 0.0, log_ratio)
    tl.store(log_prob + row, top + log_total)
    tl.store(log_r + at, log_ratio, mask=exists)
    tl.store(entropy + row, 0.0 - tl.sum(uncertain, 0))
    if has_q:
        relative = 0.5 * relative
        relative = tl.where(relative > 3.4028234663852886e38, 3.4028234663852886e38, relative)
        weight = _entries(q_z, row, component, n_components, 0.0)
        tl.store(divergence + at, relative, mask=exists)
        tl.store(kl + row, tl.sum(weight * relative, 0))


@triton.jit
def _backward_kernel(
    grad_z, grad_joint, grad_means, grad_log_vars, grad_q_mean, grad_q_log_var,
    by_log_prob, by_log_r, by_entropy, by_kl, log_r, z, means, log_vars, q_mean, q_log_var, q_z,
    n_components: tl.constexpr, width: tl.constexpr, has_q: tl.constexpr,
    block_components: tl.constexpr, block_columns: tl.constexpr,
):  # fmt: skip
    """All gradients of one point z, in one tile of columns."""
    tiles = tl.cdiv(width, block_columns)
    row = (tl.program_id(0) // tiles).to(tl.int64)
    tile = tl.program_id(0) % tiles
    component = tl.arange(0, block_components)
    column = tile * block_columns + tl.arange(0, block_columns)
    mu, log_var, inverse, at, mask = _tile(means, log_vars, row, component, column, n_components, width)

    log_ratio = _entries(log_r, row, component, n_components, float("-inf"))
    ratio = tl.exp(log_ratio)
    log_ratio = tl.where(log_ratio == float("-inf"), 0.0, log_ratio)
    entropy = 0.0 - tl.sum(ratio * log_ratio, 0)
    direct = _entries(by_log_r, row, component, n_components, 0.0)
    factor = tl.load(by_log_prob + row) - tl.sum(direct, 0)
    g = direct + ratio * (factor - tl.load(by_entropy + row) * (log_ratio + entropy))
    if tile == 0:
        joint = grad_joint + row * n_components + component
        tl.store(joint, g.to(grad_joint.dtype.element_ty), mask=component < n_components)
    g = g[:, None]
    t = (_entries(z, row, column, width, 0.0)[None, :] - mu) * inverse
    # Zero times t comes first: an empty component's t² may have overflowed.
    pull = g * t
    to_mu = pull * inverse
    to_log_var = pull * t - g
    place = row * width + column
    tl.store(grad_z + place, (0.0 - tl.sum(to_mu, 0)).to(grad_z.dtype.element_ty), mask=column < width)
    if has_q:
        weight = (_entries(q_z, row, component, n_components, 0.0) * tl.load(by_kl + row))[:, None]
        t = (_entries(q_mean, row, column, width, 0.0)[None, :] - mu) * inverse
        h = tl.exp(0.5 * (_entries(q_log_var, row, column, width, 0.0)[None, :] - log_var)) - 1.0
        pull = weight * t
        wider = weight * h * (h + 2.0)
        to_log_var -= wider + pull * t
        pull *= inverse
        to_mu -= pull
        tl.store(grad_q_mean + place, tl.sum(pull, 0).to(grad_q_mean.dtype.element_ty), mask=column < width)
        wider = 0.5 * tl.sum(wider, 0)
        tl.store(grad_q_log_var + place, wider.to(grad_q_log_var.dtype.element_ty), mask=column < width)
    tl.store(grad_means + at, to_mu.to(grad_means.dtype.element_ty), mask=mask)
    tl.store(grad_log_vars + at, (0.5 * to_log_var).to(grad_log_vars.dtype.element_ty), mask=mask)


def _blocks(n_components: int, width: int) -> tuple[int, int]:
    """Size (components, columns) of a tile, both powers of two."""
    components, columns = (1 << max(n - 1, 0).bit_length() for n in (n_components, width))
    return components, min(columns, max(TILE // components, 16))


def _warps(blocks: tuple[int, int]) -> int:
    return min(max(math.prod(blocks) // 256, 1), 4)


def _expanded(lead: tuple[int, ...], inputs: list[Tensor]) -> list[Tensor]:
    """Inputs in the order of :func:`mixture`, with leading axes expanded to ``lead``, contiguous in memory."""
    own_axes = (1, 1, 2, 2, 1, 1, 1)[: len(inputs)]
    return [x.expand(*lead, *x.shape[-n:]).contiguous() for x, n in zip(inputs, own_axes, strict=True)]


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
    """Outputs log p(z), log r, H, KL and KL_k for every k; the last two are empty without q."""
    if not runs_triton(z):
        log_joint, divergence = _direct(z, log_weights, means, log_vars, q_mean, q_log_var)
        posterior = _posterior(log_joint)
        if divergence is None or q_z is None:
            return *posterior, log_joint.new_empty(0), log_joint.new_empty(0)
        divergence = divergence.expand(log_joint.shape)
        return *posterior, _expected(precise(q_z), divergence), divergence.contiguous()
    outputs = _outputs(z, log_weights, means, log_vars, q_mean, q_log_var, q_z)
    if z.numel():
        n_components, width = means.shape[-2:]
        q = [x for x in (q_mean, q_log_var, q_z) if x is not None]
        inputs = _expanded(z.shape[:-1], [z, log_weights, means, log_vars, *q])
        blocks = _blocks(n_components, width)
        launch(_forward_kernel, outputs[0].numel())(
            *outputs, *inputs, *([] if q else [z, z, z]), width * math.log(2 * math.pi),
            n_components, width, bool(q), *blocks, num_warps=_warps(blocks),
        )  # fmt: skip
    return outputs


@_mixture.register_fake
def _outputs(
    z: Tensor,
    log_weights: Tensor,
    means: Tensor,
    log_vars: Tensor,
    q_mean: Tensor | None,
    q_log_var: Tensor | None,
    q_z: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Uninitialised tensors for the outputs, in float32 or better."""
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
    """Gradients of all inputs except q_z in plain PyTorch, in place where possible, as the kernel computes them."""
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
    """Gradients of all inputs except q_z by the kernel, with a row per point; float32 where points share an input."""
    z, log_weights, means, *rest = _expanded(inputs[0].shape[:-1], inputs)
    gradients = [
        torch.empty_like(rows, dtype=rows.dtype if rows.shape == x.shape else torch.float32)
        for rows, x in zip((z, log_weights, means, *rest[:3]), inputs[:6], strict=True)
    ]
    if z.numel():
        n_components, width = means.shape[-2:]
        log_vars, *q = rest
        blocks = _blocks(n_components, width)
        grads = [g.contiguous() for g in (by_log_prob, by_log_r, by_entropy, by_kl)]
        launch(_backward_kernel, by_log_prob.numel() * cdiv(width, blocks[1]))(
            *gradients, *([] if q else [z, z]), *grads, log_r, z, means, log_vars, *(q or [z, z, z]),
            n_components, width, bool(q), *blocks, num_warps=_warps(blocks),
        )  # fmt: skip
    return gradients


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
    r"""Log-likelihood, responsibilities and entropy under a Gaussian mixture and, if q is given, the expected KL.

    All are in nats and float32 or better.  A squared distance above the range of the type, in standard deviations,
    makes a component's responsibility 0; where that happens to all of them, or all weights are 0, they are NaN.

    Args:
        z: points; the outputs of a point with NaN are NaN.
        log_weights: log π, used as it is: log-probabilities, not logits, or log_prob is off by their log-sum
            (the responsibilities are not).  -inf is an empty component, whose log-responsibility is -inf.
        means, log_vars: parameters of the components; ``*P``, like ``*W`` and ``*Q``, broadcasts to ``*B``.
        q_mean, q_log_var: mean and log-variance of q(z), the Gaussian of the point; given with ``q_z`` or not at all.
        q_z: probabilities of q(k), the component (the cluster z of GMVAE, whose x is the point z here).

    Raises:
        ValueError: if shapes do not fit, or q is given in part.
    """
    _check(z, log_weights, means, log_vars, q_mean, q_log_var, q_z)
    tensors = [x for x in (z, log_weights, means, log_vars, q_mean, q_log_var, q_z) if x is not None]
    if not runs_triton(*tensors):
        small = z.device.type == "cpu" and z.numel() * means.shape[-2] < SMALL
        if small or any(x.dtype == torch.float64 for x in tensors):
            return reference(*tensors)
    elif means.shape[-2] > WIDEST:
        return reference(*tensors)
    log_prob, log_r, entropy, kl, _ = _mixture(z, log_weights, means, log_vars, q_mean, q_log_var, q_z)
    return Mixture(log_prob, log_r, entropy, None if q_z is None else kl)


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
    elif q_mean.shape != q_log_var.shape or (*q_mean.shape[:-1], components) != q_z.shape:
        raise ValueError(
            f"q_mean {list(q_mean.shape)}, q_log_var {list(q_log_var.shape)} and q_z {list(q_z.shape)} need the same "
            f"leading axes, the last with {components} components."
        )
    elif q_mean.shape[-1] != z.shape[-1]:
        raise ValueError(f"q_mean has {q_mean.shape[-1]} dimensions, z {z.shape[-1]}.")
    for x, own, what in ((means, 2, "Means"), (log_weights, 1, "Log-weights"), (q_z, 1, "q")):
        if x is not None:
            broadcast_rows(z.shape[:-1], x.shape[:-own], what)
