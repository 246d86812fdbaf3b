"""ClustPy's autoencoder, one for each seed and data, and clusterings of its code: k-means, a mixture and N2D."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm import tqdm

from genclust.baselines import clustpy
from genclust.baselines.embedded import Embedded, Then, clustered
from genclust.baselines.libraries import quiet
from genclust.baselines.manifold import umap
from genclust.paths import cache_folder
from genclust.settings import within
from genclust.timing import clock

#: ClustPy's defaults: hidden layers, size of the code, size of a batch and learning rate of Adam.
HIDDEN, CODE, BATCH, RATE = (500, 500, 2000), 10, 256, 1e-3


@dataclass(frozen=True)
class Autoencoder:
    """A trained autoencoder, the seconds that its training took, and whether that was before, in an earlier fit."""

    network: Any
    seconds: float
    was_kept: bool

    @property
    def saved_seconds(self) -> float:
        return self.seconds if self.was_kept else 0.0

    def encode(self, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N F"]:
        return encode(self.network, x)


@torch.no_grad()
def encode(network: Any, x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N F"]:
    """Codes of rows under a network of ClustPy's; their means under a variational one."""
    codes = [network.encode(rows) for rows in torch.from_numpy(x).split(2000)]
    return torch.cat([code[0] if isinstance(code, tuple) else code for code in codes]).numpy()


def pretrained(x: Float[np.ndarray, "N D"], seed: int, epochs: int) -> Autoencoder:
    """The autoencoder of these rows and this seed: the one that was kept in the cache folder, or a new one."""
    path = _path(x, seed, epochs)
    if path.exists():
        try:
            network = _new(x.shape[1], seed)
            return Autoencoder(network, _load(network, path), was_kept=True)
        except (SafetensorError, RuntimeError, TypeError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            tqdm.write(f"The autoencoder {path} cannot be read ({reason}); it is trained anew.")
    network = _new(x.shape[1], seed)
    began = clock("cpu")
    with quiet():
        network.fit(n_epochs=epochs, optimizer_params={"lr": RATE}, batch_size=BATCH, data=x)
    seconds = clock("cpu") - began
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_name(f"{path.name}.{os.getpid()}")
    save_file(network.state_dict(), written, metadata={"seconds": str(seconds)})
    written.replace(path)
    return Autoencoder(network, seconds, was_kept=False)


def _new(x_dim: int, seed: int) -> Any:
    """Autoencoder of ClustPy's with the initial weights of a seed."""
    torch.manual_seed(seed)  # of the weights; the network seeds its training by itself
    return clustpy.deep().neural_networks.FeedforwardAutoencoder([x_dim, *HIDDEN, CODE], random_state=seed)


def _path(x: Float[np.ndarray, "N D"], seed: int, epochs: int) -> Path:
    """File of the autoencoder, named by a digest of all that decides it."""
    decides = [x.shape, x.dtype.str, seed, epochs, HIDDEN, CODE, BATCH, RATE, version("clustpy"), version("torch")]
    sha = hashlib.sha256(json.dumps(decides).encode())
    sha.update(np.ascontiguousarray(x).data)
    return cache_folder() / "autoencoders" / f"{sha.hexdigest()[:20]}.safetensors"


def _load(network: Any, path: Path) -> float:
    """Load the weights of a file into the network; returns the seconds that their training took."""
    with safe_open(path, "pt") as file:
        network.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
        seconds = float(file.metadata()["seconds"])
    network.fitted = True
    network.eval()
    return seconds


@dataclass(frozen=True)
class AutoencoderSettings:
    """Settings of an autoencoder and of the clustering of its code."""

    needs: ClassVar = ("clustpy",)
    n_clusters: int = within(1, 10_000)
    then: Then = "kmeans"
    pretrain_epochs: int = within(1, 10_000, default=100)

    def fit(self, x: Float[np.ndarray, "N D"], seed: int) -> Embedded:
        autoencoder = pretrained(x, seed, self.pretrain_epochs)
        clusters = clustered(self.then, self.n_clusters, autoencoder.encode(x), seed)
        return Embedded(autoencoder.encode, clusters, autoencoder.saved_seconds)


@dataclass(frozen=True)
class N2DSettings:
    """Settings of N2D: UMAP of an autoencoder's code to as many dimensions as clusters, and a Gaussian mixture.

    ClustPy has it with t-SNE by default, and keeps no mixture to assign new rows with; so the three steps stand here.
    """

    needs: ClassVar = ("clustpy", "umap")
    n_clusters: int = within(1, 10_000)
    n_neighbors: int = within(2, 1000, default=20)
    min_dist: float = within(0, 1, default=0.0)
    pretrain_epochs: int = within(1, 10_000, default=100)

    def fit(self, x: Float[np.ndarray, "N D"], seed: int) -> Embedded:
        autoencoder = pretrained(x, seed, self.pretrain_epochs)
        code = autoencoder.encode(x)
        coordinates = umap(code, seed, self.n_clusters, self.n_neighbors, self.min_dist, "euclidean")
        return Embedded(
            lambda rows: coordinates(autoencoder.encode(rows)),
            clustered("gmm", self.n_clusters, coordinates(code), seed),
            autoencoder.saved_seconds,
        )
