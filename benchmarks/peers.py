"""Training with other libraries as they are published, and in the ordinary PyTorch loop of most people.

Each function returns a variant: one pass over the images, worth as many images as there are.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks.machine import version_of
from benchmarks.timing import Variant
from genclust.baselines import clustpy

PEERS = ("pythae", "clustpy")


class NotInstalled(Exception):
    """Raised if a library to compare with is not installed; everything else is measured without it."""


def versions() -> dict[str, str]:
    """Versions of the libraries that are compared with, or "not installed", by name."""
    return {name: version_of(name) or "not installed" for name in PEERS}


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Context without progress bars and messages, of which a benchmark would print hundreds."""
    logging.disable(logging.INFO)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(logging.NOTSET)


def _as_float(images: Tensor) -> Tensor:
    return images.float() / 255


# ---- the ordinary loop


class PlainGumbel(nn.Module):
    """The library's Gumbel model in plain layers: D-512-256-100, 100-100-50-K, linear heads, mirrored decoder."""

    def __init__(self, d: int = 784, z: int = 150, k: int = 10, features: int = 100) -> None:
        super().__init__()

        def hidden(i: int, o: int) -> list[nn.Module]:
            return [nn.Linear(i, o), nn.BatchNorm1d(o), nn.ReLU()]

        self.encoder = nn.Sequential(*hidden(d, 512), *hidden(512, 256), nn.Linear(256, features))
        self.category = nn.Sequential(*hidden(features, features), *hidden(features, 50), nn.Linear(50, k))
        self.mean, self.log_var = nn.Linear(features, z), nn.Linear(features, z)
        self.embed_z, self.embed_c = nn.Linear(z, features), nn.Linear(k, features)
        self.decoder = nn.Sequential(*hidden(features, 256), *hidden(256, 512), nn.Linear(512, d), nn.Sigmoid())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x_hat = self.encoder(x)
        logits, mean, log_var = self.category(x_hat), self.mean(x_hat), self.log_var(x_hat)
        c = F.gumbel_softmax(logits, tau=1.0)
        z = mean + torch.exp(0.5 * log_var) * torch.randn_like(mean)
        return self.decoder(self.embed_z(z) + self.embed_c(c)), logits, mean, log_var


class ConvertedOneByOne(Dataset[tuple[Tensor]]):
    """Data set of grey images that are converted to float32 on access, through PIL as in torchvision's MNIST."""

    def __init__(self, images: Tensor) -> None:
        from PIL import Image

        self.images, self.read = images.view(-1, 28, 28).numpy(), Image.fromarray

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor]:
        picture = np.array(self.read(self.images[i]))
        return (torch.from_numpy(picture).float().div(255).view(-1),)


def plain_loop(images: Tensor, batch: int, convert: bool = False) -> Variant:
    """Epoch of the Gumbel model in an ordinary loop: shuffling DataLoader, plain layers, Adam with its defaults.

    The images lie in memory as float32 in a TensorDataset, the fast end of what is ordinary; with ``convert``
    every image is converted when it is read, as in most tutorials.
    """
    data = ConvertedOneByOne(images) if convert else TensorDataset(_as_float(images))
    loader = DataLoader(data, batch_size=batch, shuffle=True)
    model = PlainGumbel(images.shape[1])
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)

    def epoch() -> float:
        model.train()
        total = 0.0
        for (x,) in loader:
            reconstructed, logits, mean, log_var = model(x)
            reconstruction = F.binary_cross_entropy(reconstructed, x, reduction="none").sum(-1)
            kl_z = -0.5 * (1 + log_var - mean.pow(2) - log_var.exp()).sum(-1)
            log_pi = F.log_softmax(logits, -1)
            kl_c = (log_pi.exp() * log_pi).sum(-1)  # up to a constant
            loss = (reconstruction + 5 * kl_z + kl_c).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item()
        return float(len(images))

    return epoch


# ---- pythae


def _pythae_model(samples: int) -> Any:
    if importlib.util.find_spec("pythae") is None:
        raise NotInstalled("pythae is not installed; make bench installs it into .venv-bench")
    with _silent():
        from pythae.models import IWAE, VAE, IWAEConfig, VAEConfig

    common = {"input_dim": (784,), "latent_dim": 16, "reconstruction_loss": "bce"}
    return VAE(VAEConfig(**common)) if samples == 1 else IWAE(IWAEConfig(**common, number_samples=samples))


def pythae_training(images: Tensor, batch: int, samples: int) -> Variant:
    """Epoch of pythae's own trainer, for its VAE or, with several samples, its IWAE."""
    model = _pythae_model(samples)
    with _silent():
        from pythae.data.datasets import BaseDataset
        from pythae.trainers import BaseTrainer, BaseTrainerConfig

        with tempfile.TemporaryDirectory() as folder:  # asked for before training, written to only after it
            settings = BaseTrainerConfig(
                output_dir=folder, per_device_train_batch_size=batch, learning_rate=1e-3, no_cuda=True
            )
            data = BaseDataset(_as_float(images), torch.zeros(len(images)))
            trainer = BaseTrainer(model, data, training_config=settings)
            trainer.prepare_training()

    def epoch() -> float:
        with _silent():
            trainer.train_step(1)
        return float(len(images))

    return epoch


def pythae_likelihood(images: Tensor, samples: int) -> Variant:
    """Evaluation of pythae's importance-weighted likelihood, in chunks of 100 as is its default.

    Gradients are switched off, which pythae leaves to the caller.
    """
    model = _pythae_model(1).eval()
    x = _as_float(images)

    def evaluate() -> float:
        with torch.no_grad():
            model.get_nll(x, n_samples=samples, batch_size=100)
        return float(len(images))

    return evaluate


# ---- ClustPy


def clustpy_vade(images: Tensor, batch: int) -> Variant:
    """Epoch of ClustPy's own fitting loop of VaDE after its initialisation, over its own data loader."""
    if importlib.util.find_spec("clustpy") is None:
        raise NotInstalled("ClustPy is not installed; make bench installs it into .venv-bench")
    deep = clustpy.deep()
    network = deep.vade._VaDE_VAE([784, 500, 500, 2000, 10])
    network.fitted = True  # past the pretraining
    mixture = deep.vade._VaDE_Module(n_clusters=10, embedding_size=10)
    loader = deep.get_dataloader(_as_float(images), batch, True)
    optimiser = torch.optim.Adam([*network.parameters(), *mixture.parameters()], lr=1e-4)
    criterion: Callable[..., Tensor] = nn.BCELoss(reduction="sum")

    def epoch() -> float:
        with _silent():
            mixture.fit(network, None, loader, 1, torch.device("cpu"), optimiser, criterion, 1.0, 1.0)
        return float(len(images))

    return epoch
