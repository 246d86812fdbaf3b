"""Random numbers as a function of seed, offset and position, by the counter-based generator Philox 4×32-10.

A counter-based generator has no state, so a captured CUDA graph draws new numbers when its
``offset`` tensor moves on, and a replica draws what it would draw alone.  The key is the replica's
64-bit seed; the counter's four words are the position within the replica (low, high) and the offset
(low, high).

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genclust.kernels.dispatch import cdiv, launch, runs_triton, tl, triton

_M0, _M1 = 0xD2511F53, 0xCD9E8D57
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = 0xFFFFFFFF
BLOCK = 1024


def philox(seed: Int[Tensor, "*n"], counter: tuple[Tensor, Tensor, Tensor, Tensor]) -> list[Int[Tensor, "*n"]]:
    """Philox 4×32-10: four words of 32 random bits, in int64 tensors, from broadcastable ``seed`` and counter words."""
    k0, k1 = seed & _LOW, (seed >> 32) & _LOW
    c0, c1, c2, c3 = counter
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1  # below 2^64: the high word needs an unsigned shift
        c0, c1, c2, c3 = ((p1 >> 32) & _LOW) ^ c1 ^ k0, p1 & _LOW, ((p0 >> 32) & _LOW) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _W0) & _LOW, (k1 + _W1) & _LOW
    return [c0, c1, c2, c3]


def _words(blocks: int, seed: Int[Tensor, " R"], offset: Int[Tensor, ""]) -> Int[Tensor, "R 4*blocks"]:
    """Random 32-bit words, four for each block of four positions, in plain PyTorch."""
    block = torch.arange(blocks, device=seed.device)[None]
    counter = (block & _LOW, block >> 32, offset & _LOW, (offset >> 32) & _LOW)
    return torch.stack(torch.broadcast_tensors(*philox(seed[:, None], counter)), -1).flatten(1)


def _check(seed: Tensor, offset: Tensor) -> None:
    if seed.dtype != torch.int64 or seed.ndim != 1 or offset.dtype != torch.int64 or offset.numel() != 1:
        raise ValueError(
            "Random numbers need an int64 seed [R] and an int64 offset of one element, not "
            f"{seed.dtype} {list(seed.shape)} and {offset.dtype} {list(offset.shape)}."
        )


@triton.jit
def _block_words(seed, offset, block):
    """Random 32-bit words, four for each block of four positions, in Triton."""
    low = (block & 0xFFFFFFFF).to(tl.uint32)
    high = (block >> 32).to(tl.uint32)
    zero = low * 0
    return tl.philox(
        seed, low, high, zero + (offset & 0xFFFFFFFF).to(tl.uint32), zero + ((offset >> 32) & 0xFFFFFFFF).to(tl.uint32)
    )


@triton.jit
def _fill_kernel(out, seeds, offset, n, normal: tl.constexpr, block_size: tl.constexpr):
    programs = tl.cdiv(tl.cdiv(n, 4), block_size)
    r = (tl.program_id(0) // programs).to(tl.int64)
    block = (tl.program_id(0) % programs).to(tl.int64) * block_size + tl.arange(0, block_size)
    w0, w1, w2, w3 = _block_words(tl.load(seeds + r), tl.load(offset), block)
    # 23 bits and a half are exact in float32: never 0, never 1.
    u0, u1 = ((w0 >> 9).to(tl.float32) + 0.5) * 2**-23, ((w1 >> 9).to(tl.float32) + 0.5) * 2**-23
    u2, u3 = ((w2 >> 9).to(tl.float32) + 0.5) * 2**-23, ((w3 >> 9).to(tl.float32) + 0.5) * 2**-23
    if normal:
        r0, r1 = tl.sqrt(-2.0 * tl.log(u0)), tl.sqrt(-2.0 * tl.log(u2))
        a0, a1 = 6.283185307179586 * u1, 6.283185307179586 * u3
        u0, u1, u2, u3 = r0 * tl.cos(a0), r0 * tl.sin(a0), r1 * tl.cos(a1), r1 * tl.sin(a1)
    at = block * 4
    tl.store(out + r * n + at, u0, mask=at < n)
    tl.store(out + r * n + at + 1, u1, mask=at + 1 < n)
    tl.store(out + r * n + at + 2, u2, mask=at + 2 < n)
    tl.store(out + r * n + at + 3, u3, mask=at + 3 < n)


@torch.library.custom_op("genclust::random", mutates_args=())
def _random(seed: Tensor, offset: Tensor, shape: list[int], normal: bool) -> Tensor:
    full = (len(seed), *shape)
    if runs_triton(seed):
        out = torch.empty(full, device=seed.device)
        n = math.prod(shape)
        if out.numel():
            launch(_fill_kernel, len(seed) * cdiv(cdiv(n, 4), BLOCK))(out, seed, offset, n, normal, BLOCK)
        return out
    n = math.prod(shape)
    u = ((_words(cdiv(n, 4), seed, offset) >> 9).float() + 0.5) * 2**-23
    if normal:
        radius, angle = (-2 * u[:, ::2].log()).sqrt(), 2 * math.pi * u[:, 1::2]
        u = torch.stack([radius * angle.cos(), radius * angle.sin()], -1).flatten(1)
    return u[:, :n].reshape(full).contiguous()


@_random.register_fake
def _(seed: Tensor, offset: Tensor, shape: list[int], normal: bool) -> Tensor:
    return torch.empty((len(seed), *shape), device=seed.device)


def uniform(seed: Int[Tensor, " R"], offset: Int[Tensor, ""], *shape: int) -> Float[Tensor, "R *shape"]:
    """Uniform random numbers in the open interval (0, 1), for each replica from its own seed.

    Raises:
        ValueError: if seed or offset has the wrong type or shape.
    """
    _check(seed, offset)
    return _random(seed, offset, list(shape), False)


def normal(seed: Int[Tensor, " R"], offset: Int[Tensor, ""], *shape: int) -> Float[Tensor, "R *shape"]:
    """Standard normal random numbers by the Box-Muller transformation; absolute values are at most 5.8.

    Raises:
        ValueError: if seed or offset has the wrong type or shape.
    """
    _check(seed, offset)
    return _random(seed, offset, list(shape), True)
