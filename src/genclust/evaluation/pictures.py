"""Images and latent maps of a trained model for figures, as arrays."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from genclust.data import Split
from genclust.evaluation.results import Results
from genclust.evaluation.trained import Trained, snapshot_rows
from genclust.models.inference import as_float, in_chunks
from genclust.streams import noise_on

#: Largest number of test images that a figure shows.
SHOWN = 10
SAMPLES_PER_CLUSTER = 12
#: Number of columns of the grids of a mixture's samples (Figures 3 and 4 of GMVAE have ten).
COMPONENT_COLUMNS = 10
GENERATED_IMAGES = 64
#: Number of images on a side of a map's grid, and quantiles of the points that it spans in each direction.
MAP_SIDE = 10
MAP_SPAN = (0.05, 0.95)
#: Numbers of test images, draws for each of them, and images of every component in Figures 2 and 3 of VLAC.
RESAMPLED_IMAGES, RESAMPLED_DRAWS, COMPONENT_IMAGES = 3, 7, 4


def as_bytes(images: Tensor) -> np.ndarray:
    """Images with values clipped to [0, 1], as uint8 grey values 0 … 255; NaN becomes 0."""
    return (255 * images.nan_to_num(nan=0).clamp(0, 1)).round().byte().cpu().numpy()


def one_of_each_class(test: Split) -> np.ndarray:
    """Indices of the first test point of each class, or of the first points of data without labels; ten at most."""
    labels = test.y
    if labels is None:
        return np.arange(min(SHOWN, len(test)))
    firsts = [int(np.flatnonzero(labels == c)[0]) for c in np.unique(labels)]
    return np.array(firsts[:SHOWN])


@torch.no_grad()
def style(t: Trained) -> list[Results]:
    """Styles of test images decoded under every cluster, and cluster samples (Figure 4 of *Is Simple Better?*)."""
    test = t.data.splits["test"]
    x = torch.from_numpy(test.x[one_of_each_class(test)]).to(t.device)
    z = in_chunks(t.model.embed, x, t.model.replicas)["z_mean"].to(t.device)
    noise = noise_on(t.device, t.seeds, "style samples").normal(SAMPLES_PER_CLUSTER, z.shape[-1])
    transfers, samples = (as_bytes(t.model.decode_every_cluster(styles)) for styles in (z, noise))
    inputs = x.cpu().numpy() if x.dtype == torch.uint8 else as_bytes(x)
    return [
        Results(
            {}, {"style_inputs": inputs, "style_transfers": transfers[r], "cluster_samples": samples[r].swapaxes(0, 1)}
        )
        for r in range(t.model.replicas)
    ]


@torch.no_grad()
def cluster_samples(t: Trained) -> list[Results]:
    """Row of sampled images for every cluster (Figures 3 and 4 of GMVAE)."""
    images = as_bytes(t.model.sample_clusters(COMPONENT_COLUMNS, noise_on(t.device, t.seeds, "component samples")))
    return [Results({}, {"component_samples": of_replica}) for of_replica in images]


@torch.no_grad()
def walk(t: Trained) -> list[Results]:
    """Row of images for every cluster along a path through the variation within clusters (Figure 3 of GMVAE)."""
    images = as_bytes(t.model.walk(COMPONENT_COLUMNS, noise_on(t.device, t.seeds, "component samples")))
    return [Results({}, {"component_walk": of_replica}) for of_replica in images]


@torch.no_grad()
def latent_map(t: Trained) -> list[Results]:
    """Test points and clusters in the latent space, and the points' reconstructions (Figure 2 of GMVAE)."""
    x = as_float(torch.from_numpy(t.data.splits["test"].x[snapshot_rows(t.data)]).to(t.device))
    tensors = t.model.latent_map(x.expand(t.model.replicas, *x.shape))
    arrays = {name: tensor.cpu().numpy() for name, tensor in tensors.items()}
    arrays["latent_clusters"] = arrays["latent_clusters"].astype(np.int16)
    return [Results({}, {name: array[r] for name, array in arrays.items()}) for r in range(t.model.replicas)]


@torch.no_grad()
def two_dimensional_map(t: Trained) -> list[Results]:
    """Map of a two-dimensional latent space: test points and a decoded grid (Figure 2 of CaGeM).

    The grid is decoded for any class, and for each class.
    """
    rows = snapshot_rows(t.data)
    x = t.bits[rows].expand(t.model.replicas, len(rows), -1)
    tensors = t.model.two_dimensional_map(x, MAP_SIDE, MAP_SPAN, noise_on(t.device, t.seeds, "map samples"))
    images = {name: as_bytes(tensors.pop(name)) for name in ("map_any", "map_of_class")}
    arrays = {name: places.cpu().numpy() for name, places in tensors.items()} | images
    y = t.data.splits["test"].y
    labels = {} if y is None else {"map_labels": y[rows].astype(np.int16)}
    return [Results({}, {name: array[r] for name, array in arrays.items()} | labels) for r in range(t.model.replicas)]


@torch.no_grad()
def generation(t: Trained) -> list[Results]:
    """Binarised test images, their reconstructions, and samples from the prior (Figure 3 of CaGeM)."""
    shown = t.bits[:GENERATED_IMAGES]
    rebuilt = as_bytes(t.model.reconstruct(shown.expand(t.model.replicas, *shown.shape)))
    samples = as_bytes(t.model.sample(GENERATED_IMAGES, noise_on(t.device, t.seeds, "generated samples")))
    return [
        Results(
            {},
            {"generated_inputs": as_bytes(shown), "generated_rebuilt": rebuilt[r], "generated_samples": samples[r]},
        )
        for r in range(t.model.replicas)
    ]


@torch.no_grad()
def layers(t: Trained) -> list[Results]:
    """Test images with one layer drawn anew, and images from every cluster of a layer (Figures 2 and 3 of VLAC)."""
    test = t.data.splits["test"]
    shown = test.x[one_of_each_class(test)[:RESAMPLED_IMAGES]]
    x = as_float(torch.from_numpy(shown).to(t.device)).expand(t.model.replicas, *shown.shape)
    noise = noise_on(t.device, t.seeds, "layer samples")
    pictures = t.model.layer_pictures(x, RESAMPLED_DRAWS, COMPONENT_IMAGES, noise)
    images = {name: as_bytes(of_replicas) for name, of_replicas in pictures.items()}
    inputs = {"layer_inputs": as_bytes(x[0])}
    return [Results({}, inputs | {name: image[r] for name, image in images.items()}) for r in range(t.model.replicas)]
