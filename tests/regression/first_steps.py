"""The first numbers of every declared run, stored so that any processor can check them.

Rounding differs from processor to processor, and training amplifies it: after an epoch two sound machines no longer
agree on anything that would give a fault away.  In the first steps they still do.  So ``first_steps.json`` holds for
every distinct configuration, of seed 0,

* ``initial``: what the initial weights give on a few test rows, before anything was amplified;
* ``float32``: the objective of the first steps, of the very training that makes the records;
* ``float64``: the same with weights and noise drawn in double precision, where a model computes in it throughout.
  These are other numbers than those above, and agree much more closely.

Rows are known by their names and not by their settings, so that a new setting of the library leaves the file valid;
rows of one configuration are there once, under the name of the first.  k-means and mixtures fitted to data have no
steps and are left out.

After a deliberate change ``python tests/regression/first_steps.py`` rewrites the file (of real data that is not at
hand it keeps what it had); then look at the difference.

Under ``demo`` every distinct configuration is there.  On real data there is one for each model and data set, in
float32 also where the run itself multiplies in bfloat16, whose two to three digits would hide a fault: dense
networks at the paper's settings, convolutions at those of ``quick``, with about a quarter of the arithmetic.  Coloured
MNIST is left out, since a minute goes by before it is drawn, SVHN where it is not at hand, CaGeM on OMNIGLOT,
whose 50 clusters take a minute, and GMVAE on 10,000 images of SVHN, for its network of the paper.
"""

from __future__ import annotations

import json
import math
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genclust.baselines import BASELINES
from genclust.data import DataSet, MissingData
from genclust.evaluation.capabilities import HasClusters
from genclust.evaluation.likelihood import log_likelihood
from genclust.evaluation.trained import encoder_input
from genclust.experiments import declaration, execution, training_run
from genclust.experiments.configuration import RunConfig, training_settings
from genclust.experiments.declaration import Profile
from genclust.models import BernoulliModel
from genclust.models.inference import as_float
from genclust.streams import Noise
from genclust.training.batch_norm import recalibrate_batch_norm
from genclust.training.loop import Training

STORED = Path(__file__).with_name("first_steps.json")
SEED = 0
#: What is evaluated at the initial weights: test rows, samples of the likelihood, batches that statistics are of.
TEST_ROWS, SAMPLES, BATCHES = 20, 5, 2
#: Of real data: the slowest models, and data that has no file of its own.
LEFT_OUT = {("omniglot", "cagem"), ("svhn_10k", "gmvae")}
EMBEDDED_OR_DRAWN = {"arcs", "arcs_5000", "coloured_mnist"}
#: By how much the objective of every step may be off, relatively, and so how many steps are compared.  Over the
#: variants of ``variants.py`` dense networks differ by 1e-6 in the first two steps and 6e-6 in the fifth, and all in
#: double precision by 3e-14.  Convolutions differ by 2e-7 in the first step and, from one make of processor to
#: another, by 1.2e-3 in the second: Adam's first step is the sign of each gradient, and rounding turns some signs.
DENSE = (2e-6, 2e-5, 2e-5, 2e-5, 2e-5)
CONVOLUTIONS = (2e-6, 4e-3)
#: The ladder VAE begins with divergences of thousands of nats: rounding grows faster than in other dense networks.
LADDERS = (2e-6, 2e-5, 2e-5)
#: IMSAT divides by the length of a small gradient: variants differ by 1e-4 in the second step on real data.
ADVERSARIAL = (2e-6, 5e-4)
#: The objective of split and merge is an information that begins at zero, as a sum of logarithms of some nats that
#: cancel: in single precision variants differ by up to 1e-7 nats.  Such a deviation is set against this, in nats, if
#: the objective is smaller; in double precision it is relative as everywhere.  So variants differ by 7e-5 in the third
#: step on real data, and by 5e-4 in the fourth.
INFORMATION, LEAST_INFORMATION = (2e-6, 2e-5, 3e-4), 0.1
#: By the model's name, where it is not ``DENSE``.
OF_MODELS = {"lvae": LADDERS, "cagem": LADDERS, "imsat": ADVERSARIAL, "splitmerge": INFORMATION}
DOUBLE = 1e-10
#: The same of what the initial weights give, and in absolute numbers, of small terms that are sums of larger ones.  The
#: most that variants differ by is 2.1e-6, in the entropy of a mixture whose log-densities are hundreds of nats.
INITIAL, INITIAL_LADDER, LEAST = 1e-5, 5e-4, 1e-6


class DoubleNoise(Noise):
    """Random numbers drawn in double precision: those drawn in float32 differ in their last bit."""

    def uniform(self, *shape: int) -> Tensor:
        return self._drawn(shape, Tensor.uniform_)

    def normal(self, *shape: int) -> Tensor:
        return self._drawn(shape, Tensor.normal_)

    def _drawn(self, shape: tuple[int, ...], fill: Callable[..., Tensor]) -> Tensor:
        out = torch.empty(len(self.seeds), *shape, dtype=torch.float64)
        for row, generator in zip(out, self.generators, strict=True):
            fill(row, generator=generator)
        return out


def processor() -> dict[str, Any]:
    """On what numbers are made."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "model": models[0] if models else platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


def distinct(profile: Profile) -> dict[str, RunConfig]:
    """Every configuration that trains under a profile, under the name of its first row."""
    found: dict[str, tuple[str, RunConfig]] = {}
    for name in declaration.names():
        for row in declaration.load(name).runnable:
            if profile in row.profiles and (config := row.config(profile)).model["name"] not in BASELINES:
                found.setdefault(config.address, (f"{name}/{row.name}", config))
    return dict(found.values())


def configuration(row: str, profile: Profile) -> RunConfig:
    """The configuration of ``experiment/row``, on real data in float32."""
    experiment, _, name = row.partition("/")
    overrides = {} if profile == "demo" else {"training": {"precision": "float32"}}
    return declaration.load(experiment).row(name).config(profile, overrides)


def rows(profile: Profile) -> list[str]:
    """The rows whose first numbers are stored: all that are distinct, or one for each model on each real data set."""
    every = distinct(profile)
    if profile == "demo":
        return list(every)
    first: dict[tuple[str, str, str], str] = {}
    for row, config in every.items():
        data, model = config.data, config.model["name"]
        at_this_profile = convolutional(config) == (profile == "quick")
        if at_this_profile and (data["name"], model) not in LEFT_OUT and data["name"] not in EMBEDDED_OR_DRAWN:
            first.setdefault((data["name"], data.get("also_train_on", ""), model), row)
    return list(first.values())


_DATA: dict[str, DataSet] = {}


def data_of(config: RunConfig) -> DataSet:
    """The data of a configuration, read once however many rows are of it.

    Raises:
        DataError: if it is missing or unfit.
    """
    key = json.dumps(config.data, sort_keys=True)
    if key not in _DATA:
        _DATA[key], _ = execution.prepare(config)
    return _DATA[key]


def convolutional(config: RunConfig) -> bool:
    """Whether the model has convolutions."""
    return "channels" in config.model


def tolerances(config: RunConfig) -> tuple[float, ...]:
    """Of every step that is compared in float32."""
    return CONVOLUTIONS if convolutional(config) else OF_MODELS.get(config.model["name"], DENSE)


def training_of(config: RunConfig, data: DataSet, double: bool = False) -> Training:
    """The training of a configuration, as :func:`genclust.experiments.execution.train` builds it."""
    x = torch.from_numpy(training_run.fitted_rows(config, data))
    model = training_run.build(config, 1, x.shape[1])
    if double:
        model, x = model.double(), as_float(x).double()
    settings = training_settings(config.model["name"], config.training)
    training = Training(model, [SEED], x, settings, labelled=training_run.labelled_rows(config, data, [SEED]))
    if double:
        training.noise = DoubleNoise([SEED], "training noise")
    return training


def objectives(training: Training, steps: int) -> list[float]:
    """The objective of the first steps."""
    training.model.train()
    return [training._one_step().item() for _ in range(steps)]


@torch.no_grad()
def evaluated(training: Training, data: DataSet) -> dict[str, float]:
    """What the present weights give on the first test rows: terms of the loss, posteriors, embeddings, likelihood."""
    model = training.model
    if isinstance(model, BernoulliModel):
        rows = BATCHES * training.settings.batch_size
        recalibrate_batch_norm(model, training.x[:rows], [SEED], training.settings.batch_size)
    model.eval()
    grey = as_float(torch.from_numpy(data.splits["test"].x[:TEST_ROWS]))[None]
    seen = as_float(encoder_input(model, data, "test")[:TEST_ROWS])[None]
    loss = model.loss(grey, training.scheduled(training.total_steps), Noise([SEED], "validation noise"))
    found = {"objective": loss.objective} | {name: term.mean() for name, term in loss.terms.items()}
    found |= {f"{name} squared": mean.square().mean() for name, mean in model.embed(seen).items()}
    if isinstance(model, HasClusters):
        found["log q(y|x)"] = model.cluster_posterior(seen).mean()
    if isinstance(model, BernoulliModel):
        found["log-likelihood"] = log_likelihood(model, seen[0], [SEED], SAMPLES).mean()
    return {name: value.item() for name, value in found.items()}


def first_numbers(row: str, profile: Profile) -> dict[str, Any]:
    """What ``first_steps.json`` holds of a row.

    Raises:
        DataError: if its data is missing or unfit.
    """
    torch.set_num_threads(1)  # more of them sum in an order that their number decides
    config = configuration(row, profile)
    data, steps = data_of(config), len(tolerances(config))
    training = training_of(config, data)
    found: dict[str, Any] = {"initial": evaluated(training, data), "float32": objectives(training, steps)}
    if profile == "demo":
        found["float64"] = objectives(training_of(config, data, double=True), steps)
    return found


@dataclass(frozen=True)
class Comparison:
    """A stored number beside one made anew."""

    quantity: str
    old: float
    new: float
    tolerance: float
    least: float = 0.0

    @property
    def deviation(self) -> float:
        """Relative; 1 for one that is not finite."""
        apart = abs(self.new - self.old)
        return apart / max(abs(self.old), self.least / self.tolerance) if math.isfinite(apart) else 1.0

    @property
    def holds(self) -> bool:
        return self.deviation <= self.tolerance

    def __str__(self) -> str:
        return (
            f"{self.quantity}: {self.new!r} where {self.old!r} is stored, "
            f"off by {self.deviation:.1e} where {self.tolerance:g} is allowed"
        )


def comparisons(config: RunConfig, old: dict[str, Any], new: dict[str, Any]) -> Iterator[Comparison]:
    """Every stored number of a row beside the one made anew.

    Raises:
        ValueError: if they are not the same numbers.
    """
    if old["initial"].keys() != new["initial"].keys() or old.keys() != new.keys():
        raise ValueError(f"Other numbers are stored: {old.keys()}, {old['initial'].keys()}; see {Path(__file__).name}.")
    initial = INITIAL_LADDER if config.model["name"] == "lvae" else INITIAL
    for name, value in old["initial"].items():
        yield Comparison(f"initial {name}", value, new["initial"][name], initial, LEAST)
    for precision in ("float32", "float64"):
        pairs = zip(old.get(precision, ()), new.get(precision, ()), tolerances(config), strict=precision in old)
        for step, (before, after, tolerance) in enumerate(pairs, start=1):
            single = precision == "float32"
            least = LEAST_INFORMATION * tolerance if single and config.model["name"] == "splitmerge" else 0.0
            yield Comparison(f"{precision} step {step}", before, after, tolerance if single else DOUBLE, least)


def everything(profiles: tuple[Profile, ...], kept: dict[str, Any]) -> dict[str, Any]:
    """The content of the file, with what is ``kept`` of rows whose data is not at hand."""
    content: dict[str, Any] = {}
    for profile in profiles:
        numbers: dict[str, Any] = {}
        for row in rows(profile):
            try:
                numbers[row] = first_numbers(row, profile)
            except MissingData:
                if row in (before := kept.get(profile, {"rows": {}})["rows"]):
                    numbers[row] = before[row]
        content[profile] = {"made_on": processor(), "rows": numbers}
    return content


def main(output: Path = STORED, *profiles: Profile) -> None:
    """Write the first numbers of these profiles, or of all, to a file; what was stored of others stays."""
    before = json.loads(STORED.read_text()) if STORED.exists() else {}
    content = before | everything(profiles or ("demo", "quick", "paper"), before)
    output.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]), *map(declaration.parse_profile, sys.argv[2:]))
