"""What the widgets are made of: numbers as text, published models as dense layers, and short runs that are stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from genclust.book.widgets import networks, packing, training
from genclust.book.widgets.maps import stored
from genclust.experiments import Asked
from genclust.experiments.declaration import load
from genclust.pages import phases

ACTIVATIONS = {"": lambda a: a, "relu": torch.relu, "leaky": leaky_relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}


def decoded(text: str, characters: int) -> np.ndarray:
    """Levels from text, by another way than the page's."""
    digits = np.array([packing.ALPHABET.index(character) for character in text]).reshape(-1, characters)
    return digits @ packing.BASE ** np.arange(characters)[::-1]


@pytest.mark.parametrize("characters", [1, 2])
def test_numbers_survive_as_text(characters: int) -> None:
    values = np.random.default_rng(0).normal(size=(5, 40)) * np.array([[1e-3], [1], [30], [0], [2]])
    packed = packing.quantise(values, characters)
    middle = (packing.BASE**characters - 1) / 2
    scales = decoded(packed["scales"], 2) / (packing.BASE**2 - 1) * packed["largest"]
    levels = decoded(packed["text"], characters).reshape(values.shape)
    np.testing.assert_allclose((levels - middle) * scales[:, None], values, atol=0.5001 * scales.max())
    assert (np.abs((levels - middle) * scales[:, None] - values) <= 0.5001 * scales[:, None]).all()


def test_zeros_are_exactly_zero() -> None:
    packed = packing.quantise(np.zeros((1, 3)), 1)
    assert set(decoded(packed["text"], 1)) == {(packing.BASE - 1) // 2}


def test_the_text_of_a_script_needs_no_escape() -> None:
    script = packing.as_script("x", {"text": packing.ALPHABET})
    assert packing.ALPHABET in script and script.isascii()


def run(layers: Sequence[networks.Layer], values: Tensor) -> Tensor:
    for layer in layers:
        values = ACTIVATIONS[layer.activation](values @ layer.weight + layer.bias)
    return values


@pytest.mark.parametrize("make", [networks.gumbel_writer, networks.gmvae_writer, networks.cagem_writer])
@torch.no_grad()
def test_layers_write_what_the_model_writes(make: type[networks.Writer]) -> None:
    writer = make()
    K, d = writer.model.settings.n_clusters, writer.directions.shape[1]
    torch.testing.assert_close(writer.directions.T @ writer.directions, torch.eye(d), atol=1e-5, rtol=0)
    styles = torch.randn(6, d, generator=torch.Generator().manual_seed(0))
    wanted = writer.write(styles @ writer.directions.T)
    for k in range(K):
        values = styles
        for stage in writer.stages:
            if stage.sees_cluster:
                values = torch.cat([values, torch.eye(K)[k].expand(len(values), K)], 1)
            values = run(stage.layers, values)
            if stage.per_cluster:
                values = values.view(len(values), K, -1)[:, k]
        torch.testing.assert_close(values, wanted[:, k, torch.from_numpy(writer.pixels)], atol=1e-5, rtol=0)
    assert wanted[..., torch.from_numpy(~writer.pixels)].max() < 0.15


@torch.no_grad()
def test_directions_come_in_the_order_of_what_they_change() -> None:
    writer = networks.gumbel_writer()
    changes = (
        (writer.write(0.05 * writer.directions.T) - writer.write(-0.05 * writer.directions.T)).flatten(1).norm(dim=1)
    )
    assert (changes.diff() <= 1e-4).all() and changes[-1] < 0.1 * changes[0]


def test_stored_latent_spaces_are_of_the_phase_map_of_today() -> None:
    arrays = stored(training.PHASES)
    plane = phases.planes(Asked("published", ""), "plain")["plain"]
    assert list(zip(arrays["eta"], arrays["alpha"], strict=True)) == sorted(plane)
    for cell, runs in enumerate(plane[pair] for pair in sorted(plane)):
        record = training.median_run(runs)
        assert arrays["seed"][cell] == record.seed
        assert record.path is None or record.path.parent.name == arrays["address"][cell]
        # Rounding differs between processors, and training amplifies it: a published index is met about.
        assert abs(arrays["ari"][cell] - record.metrics[phases.ARI]) < 10


def test_stored_formation_is_of_the_declared_row() -> None:
    experiment, name, profile = training.FORMATION_ROW
    row, arrays = load(experiment).rows[name], stored(training.FORMATION)
    assert str(arrays["address"]) == row.config(profile).address
    assert arrays["seeds"].tolist() == row.seeds(profile)
    assert tuple(arrays["epochs"]) == training.FORMATION_EPOCHS
    assert arrays["map"].shape == (*arrays["clusters"].shape, 2)
