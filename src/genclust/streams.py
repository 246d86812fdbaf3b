"""Random numbers that depend on the seed, the purpose, the step and the kind of device.

Replica r draws its own numbers from its own stream, so it gets what it would get alone.  The
stream of a step is seeded afresh from (seed, purpose, step), so a run that is resumed at step t
draws what it would have drawn without the interruption, and a checkpoint needs no generator state.
A CPU and a GPU draw different numbers from the same seed: a run goes on where it was begun.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor


def stream_seed(seed: int, purpose: str, counter: int = 0) -> int:
    """The seed of the stream (seed, purpose, counter); a CPU generator uses its lower 32 bits."""
    words = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), counter]).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


class Noise:
    """One stream of random numbers a replica, all for one purpose.

    Example:
        >>> noise = Noise([0, 1], "example").at(10)
        >>> noise.uniform(300, 10).shape
        torch.Size([2, 300, 10])
    """

    def __init__(self, seeds: Sequence[int], purpose: str, device: torch.device | str = "cpu") -> None:
        self.seeds = list(seeds)
        self.purpose = purpose
        self.generators = [Generator(device) for _ in self.seeds]
        self.at(0)

    def at(self, counter: int) -> Noise:
        """Turn every stream to the beginning of ``counter``."""
        for seed, generator in zip(self.seeds, self.generators, strict=True):
            generator.manual_seed(stream_seed(seed, self.purpose, counter))
        return self

    def _empty(self, *shape: int) -> Tensor:
        return torch.empty(len(self.seeds), *shape, device=self.generators[0].device)

    def uniform(self, *shape: int) -> Float[Tensor, R * shape]:
        """U(0, 1) numbers."""
        out = self._empty(*shape)
        for row, generator in zip(out, self.generators, strict=True):
            row.uniform_(generator=generator)
        return out

    def normal(self, *shape: int) -> Float[Tensor, R * shape]:
        """N(0, 1) numbers."""
        out = self._empty(*shape)
        for row, generator in zip(out, self.generators, strict=True):
            row.normal_(generator=generator)
        return out

    def permutation(self, n: int) -> Int[Tensor, "R n"]:
        """A random order of 0 … n-1 for each replica."""
        device = self.generators[0].device
        return torch.stack([torch.randperm(n, generator=g, device=device) for g in self.generators])
