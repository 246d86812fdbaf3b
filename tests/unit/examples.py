"""Tiny examples of every registered model: what a test that goes over all models goes over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from genclust.models import MODELS, Model
from genclust.models.inference import as_float
from genclust.streams import Noise
from genclust.training.loop import Training, TrainingSettings
from genclust.training.schedules import Schedule


@dataclass(frozen=True)
class Example:
    """A model small enough to take a step in milliseconds, with data and schedules that suit it.

    Attributes:
        name: of the model, in the registry.
        settings: as a declaration gives them, without the name.
        x_dim: D of its data.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    x_dim: int = 20

    def model(self, replicas: int = 2) -> Model:
        kind, settings = MODELS[self.name]
        return kind(replicas, self.x_dim, settings(**self.settings))

    def initialised(self, seeds: Sequence[int]) -> Model:
        model = self.model(len(seeds))
        model.initialise(Noise(seeds, "example").generators)
        model.initialise_from_data(as_float(self.batch(20)))
        return model

    def batch(self, n: int) -> torch.Tensor:
        """Grey values ``[N, D]``."""
        return torch.randint(0, 256, (n, self.x_dim), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def training(self, seeds: Sequence[int], n: int, batch_size: int, **options: Any) -> Training:
        """One epoch of ``n`` examples; a model that learns from labels knows the label of each, four times over."""
        model = self.model(len(seeds))
        schedules = {name: Schedule.of(1e-3) for name in ("learning_rate", *model.schedules)}
        known = torch.arange(4 * n).repeat(len(seeds), 1) % n
        labelled = (known, known % 3) if model.learns_from_labels else None
        return Training(
            model, seeds, self.batch(n), TrainingSettings(schedules, 1, batch_size), labelled=labelled, **options
        )


_GMVAE = {"n_clusters": 4, "x_dim": 3, "w_dim": 3, "hidden": 8}
_CAGEM = {"n_clusters": 4, "z1_dim": 3, "z2_dim": 3, "hidden": 8}
_IMAGES = {"height": 4, "width": 4, "colours": 3}
_LADDER = _IMAGES | {"channels": (3,), "dense": 6, "z_dims": (2, 3)}

#: The model's name, with what is particular after a comma where a model computes in several ways.
EXAMPLES = {
    "gumbel": Example("gumbel", {"n_clusters": 4, "latent_dim": 3, "feature_dim": 8, "hidden": (12, 10)}),
    "gmvae": Example("gmvae", _GMVAE | {"samples": 2, "alpha": 0.4}),
    "gmvae, gaussian": Example("gmvae", _GMVAE | {"likelihood": "gaussian", "batch_norm": False}),
    "gmvae, version 2": Example("gmvae", _GMVAE | {"version": 2, "free_bits": 0.5}),
    "gmvae, mnist": Example("gmvae", _GMVAE | {"network": "mnist", "init": "torch7"}, 28 * 28),
    "gmvae, svhn": Example("gmvae", _GMVAE | {"network": "svhn", "init": "torch7"}, 32 * 32 * 3),
    "gmvae_explicit": Example("gmvae_explicit", {"n_clusters": 4, "z_dim": 3, "hidden": 8}),
    "cagem": Example("cagem", _CAGEM),
    "cagem, every label term": Example("cagem", _CAGEM | {"label_objective": "elbo_l+ce_pq"}),
    "cagem, one class and one drawn": Example("cagem", _CAGEM | {"classes": 1}),
    "iwae": Example("iwae", {"samples": 3, "z_dims": (4, 2), "hidden": (8, 8)}),
    "lvae": Example("lvae", {"z_dims": (4, 3, 2), "hidden": (8, 8, 8)}),
    "avae": Example("avae", {"a_dim": 4, "z1_dim": 3, "z2_dim": 2, "hidden": 8}),
    "adgm": Example("adgm", {"n_clusters": 4, "a_dim": 3, "z_dim": 3, "hidden": 8}),
    "adgm, normalised": Example("adgm", {"n_clusters": 4, "a_dim": 3, "z_dim": 3, "hidden": 8, "batch_norm": True}),
    "adgm, two classes and one drawn": Example(
        "adgm", {"n_clusters": 4, "a_dim": 3, "z_dim": 3, "hidden": 8, "classes": 2}
    ),
    "vlac": Example("vlac", _LADDER | {"n_clusters": (4, 3)}, 48),
    "vlac, marginalised": Example("vlac", _LADDER | {"n_clusters": (4, 3), "marginalise": True}, 48),
    "vlae": Example("vlae", _LADDER, 48),
    "gmdgm": Example("gmdgm", _IMAGES | {"channels": (3, 4), "n_clusters": 4, "z_dim": 2}, 48),
    "gmdgm, marginalised": Example(
        "gmdgm", _IMAGES | {"channels": (3, 4), "n_clusters": 4, "z_dim": 2, "marginalise": True}, 48
    ),
    "imsat": Example("imsat", {"n_clusters": 4, "hidden": (8, 8)}),
    "splitmerge": Example("splitmerge", {"n_clusters": 4, "subclusters": 5, "hidden": (8, 8)}),
    "splitmerge, images": Example("splitmerge", _IMAGES | {"n_clusters": 4, "subclusters": 5, "hidden": (8, 8)}, 48),
}
