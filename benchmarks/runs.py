"""The library's models in its own training loop, on given images: what the measurements are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks import machine
from benchmarks.timing import Comparison, Variant, compare
from genclust.models import MODELS
from genclust.models.base import Model
from genclust.training.loop import Training, TrainingSettings
from genclust.training.schedules import Schedule

Result = dict[str, Any]
Make = Callable[[int], Model]


@dataclass(frozen=True)
class Setup:
    """Device, data and sizes of all measurements.

    Attributes:
        device: ``cpu`` or ``cuda``.
        rounds: rounds that count; one more warms up.
        threads: of the one process, where nothing else is said.
        mnist: ``[N, 784]`` uint8.
        digits: ``[N, 64]`` uint8.
        data: what the images are, for the page.
        smoke: sizes at which numbers mean nothing, for tests.
    """

    device: str
    rounds: int
    threads: int
    mnist: Tensor
    digits: Tensor
    data: str
    smoke: bool = False

    def pick(self, full: int, smoke: int = 1) -> int:
        """A size, or in a smoke run the smallest that still runs."""
        return smoke if self.smoke else full

    def wait(self) -> None:
        """Wait until the device has nothing left to do."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def compare(self, variants: Mapping[str, Variant], unit: str, baseline: str | None = None) -> Comparison:
        """Time variants in turn on the device, see :func:`benchmarks.timing.compare`."""
        return compare(variants, self.rounds, unit, baseline, self.wait)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions that are measured: float32, and bf16 where the processor has it."""
        return ("float32", "bf16") if machine.fast_bf16(self.device) else ("float32",)


class Run:
    """A model in the library's training loop; calling it trains and returns the number of steps.

    Those are the steps that were asked for, or where steps are captured whole epochs.
    """

    def __init__(
        self,
        make: Make,
        x: Tensor,
        batch: int,
        replicas: int = 1,
        precision: Any = "float32",
        device: str = "cpu",
        **options: Any,
    ) -> None:
        rates = {"learning_rate": 1e-3, "temperature": 1.0, "warm_up": 1.0}
        schedules = {name: Schedule.of(rate) for name, rate in rates.items()}
        settings = TrainingSettings(schedules, epochs=1_000_000, batch_size=batch, precision=precision)
        self.training = Training(make(replicas), range(replicas), x, settings, device, **options)
        self.images_per_step = batch * replicas  # data are cut to whole batches, so every step has as many

    def __call__(self, steps: int) -> int:
        began = self.training.step
        self.training.run(lambda epoch: [], (), stop=lambda: self.training.step >= began + steps)
        return self.training.step - began

    def images(self, steps: int) -> Variant:
        """``steps`` training steps as a variant, worth their images, those of all replicas counted."""
        return lambda: float(self(steps) * self.images_per_step)


def whole_batches(x: Tensor, batch: int, at_most: int) -> Tensor:
    """The first images, as many as fill whole batches."""
    return x[: max(min(len(x), at_most) // batch, 1) * batch]


def library(name: str, x_dim: int = 784, **settings: Any) -> Make:
    """A model of the library by the name that declarations use, for any number of replicas."""
    return partial(_build, name, x_dim, settings)  # which another process can be sent


def _build(name: str, x_dim: int, settings: Mapping[str, Any], replicas: int) -> Model:
    kind, of_settings = MODELS[name]
    return kind(replicas, x_dim, of_settings(**settings))


#: The Gumbel model: the demo profile's on the embedded digits, and the paper's on MNIST.
DEMO = library("gumbel", 64, n_clusters=10, latent_dim=10, feature_dim=50, hidden=(128, 64), w_gaussian=2)
MNIST = library("gumbel", n_clusters=10, latent_dim=150, w_gaussian=5)


def step(
    setup: Setup,
    make: Make,
    batch: int,
    precision: str = "float32",
    R: int = 1,
    x: Tensor | None = None,
    **options: Any,
) -> Run:
    """A training run on the MNIST images, or on ``x``, on the device."""
    x = whole_batches(setup.mnist if x is None else x, batch, 60_000)
    return Run(make, x, batch, R, precision, setup.device, **options)
