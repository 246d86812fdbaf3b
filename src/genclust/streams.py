"""Random numbers that depend on the seed, the purpose, the step and the kind of device.

Replica r draws its own numbers from its own stream, so it gets what it would get alone.  The
stream of a step is seeded afresh from (seed, purpose, step), so a run that is resumed at step t
draws what it would have drawn without the interruption, and a checkpoint needs no generator state.
On a CPU the streams are PyTorch's generators; on a GPU they are counter-based, so that a captured
CUDA graph draws new numbers at every replay.  The two draw different numbers from the same seed: a
run goes on where it was begun.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from genclust import kernels


def stream_seed(seed: int, purpose: str, counter: int = 0) -> int:
    """Seed of the random stream (seed, purpose, counter); a CPU generator uses its lower 32 bits."""
    words = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), counter]).generate_state(2)
    return int(words[0]) << 31 ^ int(words[1])


class Noise:
    """One stream of random numbers per replica, all for one purpose.

    Example:
        >>> noise = Noise([0, 1], "example").at(10)
        >>> noise.uniform(300, 10).shape
        torch.Size([2, 300, 10])
    """

    #: One per replica; subclasses that draw by other means have none.
    generators: tuple[Generator, ...] = ()

    def __init__(self, seeds: Sequence[int], purpose: str) -> None:
        self.seeds = list(seeds)
        self.purpose = purpose
        self.generators = tuple(Generator() for _ in self.seeds)
        self.at(0)

    def at(self, counter: int | Tensor) -> Noise:
        """Set every stream to the beginning of ``counter``, such as a training step; returns the object itself."""
        for seed, generator in zip(self.seeds, self.generators, strict=True):
            generator.manual_seed(stream_seed(seed, self.purpose, int(counter)))
        return self

    def uniform(self, *shape: int) -> Float[Tensor, R * shape]:
        """Random numbers from U(0, 1), ``[R, *shape]``."""
        out = torch.empty(len(self.seeds), *shape)
        for row, generator in zip(out, self.generators, strict=True):
            row.uniform_(generator=generator)
        return out

    def normal(self, *shape: int) -> Float[Tensor, R * shape]:
        """Random numbers from N(0, 1), ``[R, *shape]``."""
        out = torch.empty(len(self.seeds), *shape)
        for row, generator in zip(out, self.generators, strict=True):
            row.normal_(generator=generator)
        return out

    def binarise(self, grey: Int[Tensor, R * shape], divisor: int = 255) -> Int[Tensor, R * shape]:
        """Random uint8 bits that are 1 with probability grey / divisor, for uint8 grey values."""
        level = torch.empty(grey.shape, dtype=torch.uint8)
        for row, generator in zip(level, self.generators, strict=True):
            row.random_(0, divisor, generator=generator)  # grey g exceeds g of the divisor's levels
        return (level < grey).to(torch.uint8)

    def permutation(self, n: int) -> Int[Tensor, "R n"]:
        """Random permutation of 0 … n-1 for each replica, always drawn on the CPU.

        Raises:
            TypeError: if the streams have no generators on the CPU, as those of subclasses.
        """
        if not self.generators:
            raise TypeError(f"{type(self).__name__} draws no permutations; take Noise, which draws them on the CPU.")
        return torch.stack([torch.randperm(n, generator=g) for g in self.generators])


class CounterNoise(Noise):
    """Random numbers per replica on any device, by Philox from (seed and purpose, step, draw within the step).

    ``at`` takes the step as a tensor too, so that a captured graph can move it on.
    """

    def __init__(self, seeds: Sequence[int], purpose: str, device: torch.device | str) -> None:
        self.seeds = list(seeds)
        self.purpose = purpose
        self.key = torch.tensor([stream_seed(seed, purpose) for seed in self.seeds], device=device)
        self.step = torch.zeros((), dtype=torch.int64, device=device)
        self._draws = 0

    def at(self, counter: int | Tensor) -> CounterNoise:
        if isinstance(counter, Tensor):
            self.step.copy_(counter)
        else:
            self.step.fill_(counter)
        self._draws = 0
        return self

    def _offset(self) -> Int[Tensor, ""]:
        self._draws += 1
        return self.step * 2**16 + self._draws  # a step draws a few times, never 65,536

    def uniform(self, *shape: int) -> Float[Tensor, R * shape]:
        return kernels.uniform(self.key, self._offset(), *shape)

    def normal(self, *shape: int) -> Float[Tensor, R * shape]:
        return kernels.normal(self.key, self._offset(), *shape)

    def binarise(self, grey: Int[Tensor, R * shape], divisor: int = 255) -> Int[Tensor, R * shape]:
        return (self.uniform(*grey.shape[1:]) * divisor < grey).to(torch.uint8)


def noise_on(device: torch.device | str, seeds: Sequence[int], purpose: str) -> Noise:
    """Random streams for a device: :class:`Noise` on a CPU, else :class:`CounterNoise`."""
    return Noise(seeds, purpose) if torch.device(device).type == "cpu" else CounterNoise(seeds, purpose, device)
