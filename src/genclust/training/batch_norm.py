"""Recomputation of batch normalisation statistics of a trained network over the whole training split."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from genclust.models.base import Model
from genclust.models.inference import as_float
from genclust.models.layers import momenta_kept
from genclust.streams import noise_on


@torch.no_grad()
def recalibrate_batch_norm(model: Model, x: Tensor, seeds: Sequence[int], batch_size: int) -> None:
    """Recompute the running statistics of all batch normalisations as averages over one pass through ``x``.

    Running statistics from training follow the last batches of a network that still changed.  The
    authors of CaGeM recompute theirs before every evaluation, in their ladder VAE's code.

    Args:
        model: trained model, which is left in evaluation mode.
        x: training split ``[N, D]``, on the model's device.
        seeds: one seed per replica, for the random draws of the forward passes.
        batch_size: batch size, as in training; a smaller last batch is left out.
    """
    noise = noise_on(x.device, seeds, "batch statistics")
    warm = dict.fromkeys(model.schedules, 1.0)
    with momenta_kept(model) as layers:
        try:
            model.train()
            for i in range(max(1, len(x) // batch_size)):
                for layer in layers:
                    layer.momentum = 1 / (i + 1)  # the running value is then the mean of all so far
                batch = as_float(x[i * batch_size : (i + 1) * batch_size])
                model.loss(batch.expand(model.replicas, *batch.shape), warm, noise.at(i))
        finally:
            model.eval()
