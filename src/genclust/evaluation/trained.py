"""A trained model with the data, seeds and snapshots that evaluations use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genclust.data import DataSet
from genclust.models.base import Model
from genclust.models.inference import as_float, in_chunks
from genclust.streams import Noise

#: Number of test points whose embedding is followed through training.
SNAPSHOT_POINTS = 2000
#: Seed from which the binarised data for likelihoods are drawn, once.
BINARISATION_SEED = 0
#: Suffix of the files beside a checkpoint in which evaluations keep what is done, until the record is written.
KEPT = ".kept"


def snapshot_rows(data: DataSet) -> np.ndarray:
    """Indices of the test points that snapshots follow: the same for every run on a data set."""
    n = len(data.splits["test"])
    return np.sort(np.random.default_rng(0).permutation(n)[:SNAPSHOT_POINTS])


def encoder_input(model: Model, data: DataSet, split: str) -> Tensor:
    """Inputs of q for a split, ``[N, D]``: its rows or, for models of binary images, bits drawn from them once."""
    x = torch.from_numpy(data.splits[split].x)
    return model.encoder_input(x, Noise([BINARISATION_SEED], f"bits of {split}"))


@dataclass
class Trained:
    """A trained model with the data, seeds and snapshots that evaluations use.

    Attributes:
        model: trained model in evaluation mode.
        data: data set with all its splits.
        seeds: one seed per replica.
        snapshots: for each replica, features of some test points at some epochs.
        device: device of the model.
        precision: precision of matrix products in likelihoods.
        checkpoint: file of the first seed, beside which evaluations of hours keep what is done; None for nowhere.
    """

    model: Any
    data: DataSet
    seeds: list[int]
    snapshots: Sequence[Mapping[str, Tensor]]
    device: torch.device
    precision: str
    checkpoint: Path | None = None

    @cached_property
    def parts(self) -> dict[str, Tensor]:
        """Inputs of q for every split by name, ``[N, D]``."""
        return {name: encoder_input(self.model, self.data, name).to(self.device) for name in self.data.splits}

    @cached_property
    def bits(self) -> Tensor:
        """Inputs of q for the test split as floats; bits for models of binary images."""
        return as_float(self.parts["test"])

    def kept(self, evaluation: str) -> Path | None:
        """File in which an evaluation of hours keeps what is done, to go on from there after an interruption."""
        return self.checkpoint and self.checkpoint.with_suffix(f".{evaluation}{KEPT}")

    def of_all(self, function: Callable[[Tensor], Any]) -> dict[str, Any]:
        """Outputs of ``function`` for the inputs of every split, by name."""
        return {name: in_chunks(function, x, self.model.replicas) for name, x in self.parts.items()}
