"""Trainings of the library's models in its own loop, on given images, for the benchmarks."""

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
    """Device, data and sizes of all benchmarks.

    Attributes:
        device: ``cpu`` or ``cuda``.
        rounds: number of counted rounds; one more warms up.
        threads: number of threads of the process, unless a benchmark says otherwise.
        mnist: images of MNIST, ``[N, 784]`` uint8.
        digits: images of scikit-learn's digits, ``[N, 64]`` uint8.
        data: description of the images, for the page.
        smoke: whether sizes are tiny, for tests; the numbers then mean nothing.
    """

    device: str
    rounds: int
    threads: int
    mnist: Tensor
    digits: Tensor
    data: str
    smoke: bool = False

    def pick(self, full: int, smoke: int = 1) -> int:
        """Size ``full``, or in a smoke run the small size ``smoke``."""
        return smoke if self.smoke else full

    def wait(self) -> None:
        """Wait until the device has finished its work."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def compare(self, variants: Mapping[str, Variant], unit: str, baseline: str | None = None) -> Comparison:
        """Time variants in turn on the device, see :func:`benchmarks.timing.compare`."""
        return compare(variants, self.rounds, unit, baseline, self.wait)

    @property
    def precisions(self) -> tuple[str, ...]:
        """Precisions to measure: float32, and bf16 where the device multiplies it in hardware."""
        return ("float32", "bf16") if machine.fast_bf16(self.device) else ("float32",)


class Run:
    """Training of a model in the library's loop; calling it trains and returns the number of steps.

    The number is the requested one or, where steps are captured, that of whole epochs.
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
        """Variant of ``steps`` training steps, counted in images, those of all replicas together."""
        return lambda: float(self(steps) * self.images_per_step)


def whole_batches(x: Tensor, batch: int, at_most: int) -> Tensor:
    """First images, as many as fill whole batches, but no more than ``at_most``."""
    return x[: max(min(len(x), at_most) // batch, 1) * batch]


def library(name: str, x_dim: int = 784, **settings: Any) -> Make:
    """Function from the number of replicas to a model of the library, by the name that declarations use."""
    return partial(_build, name, x_dim, settings)  # which another process can be sent


def _build(name: str, x_dim: int, settings: Mapping[str, Any], replicas: int) -> Model:
    kind, of_settings = MODELS[name]
    return kind(replicas, x_dim, of_settings(**settings))


#: Gumbel models, that of the demo profile on the embedded digits and that of the paper on MNIST.
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
    """Training of a model on the MNIST images, or on ``x``, on the device; calling it makes steps."""
    x = whole_batches(setup.mnist if x is None else x, batch, 60_000)
    return Run(make, x, batch, R, precision, setup.device, **options)
