"""Published models as networks that a page can run: dense layers with batch normalisation folded into them.

Of every model a few style directions are taken, those in which its pictures change most, and only pixels on which it
ever writes.  What is left out of the weights below is zero for these styles and pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from genclust.book.widgets import packing
from genclust.estimators import saving
from genclust.models.cagem import CaGeM
from genclust.models.gmvae import GMVAE
from genclust.models.gumbel import GumbelClustering
from genclust.models.layers import BatchNorm, Linear
from genclust.models.networks import ClassConditionalMLP
from genclust.paths import root
from genclust.streams import Noise

#: Number of style directions of a model.
DIRECTIONS = 6
#: A pixel counts as written on if one of so many styles makes it brighter than this in any cluster.
STYLES, FAINTEST = 400, 0.1
#: Length of the steps over which differences of pictures are taken; styles have the length of a standard deviation.
STEP = 0.1
#: Number of the model's own pictures among which neighbours of a drawn digit are sought, per cluster.
NEIGHBOURS = 20

Activation = Literal["relu", "leaky", "tanh", "sigmoid", ""]
#: Pictures [N, K, D] of every cluster for styles [N, S] in the latent space.
Write = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Layer:
    """Dense layer: weights ``[inputs, outputs]``, biases ``[outputs]``, and what comes after."""

    weight: Float[Tensor, "inputs outputs"]
    bias: Float[Tensor, " outputs"]
    activation: Activation = ""

    def packed(self) -> dict[str, Any]:
        """The layer as text, a row for each output."""
        inputs, outputs = self.weight.shape
        characters = 1 if self.weight.numel() > packing.LARGE else 2
        return {
            "inputs": inputs,
            "outputs": outputs,
            "activation": self.activation,
            "weight": packing.quantise(self.weight.T.numpy(), characters),
            "bias": packing.quantise(self.bias[None].numpy(), 2),
        }


@dataclass(frozen=True)
class Stage:
    """Layers of a decoder: do they also see the cluster, one-hot, and has each cluster outputs of its own?"""

    layers: Sequence[Layer]
    sees_cluster: bool = False
    per_cluster: bool = False

    def packed(self) -> dict[str, Any]:
        return {
            "layers": [layer.packed() for layer in self.layers],
            "seesCluster": self.sees_cluster,
            "perCluster": self.per_cluster,
        }


@dataclass(frozen=True)
class Writer:
    """What writes one style in every cluster.

    Attributes:
        model: published model, in single precision and evaluation mode.
        write: pictures of every cluster for styles, by the model's own methods.
        directions: columns are the style directions, orthonormal.
        pixels: pixels on which the model writes.
        stages: the same as ``write`` from coordinates along ``directions`` to these pixels, for the page.
    """

    model: Any
    write: Write
    directions: Float[Tensor, "S directions"]
    pixels: Bool[np.ndarray, " D"]
    stages: Sequence[Stage]

    def packed(self) -> dict[str, Any]:
        """The writer as numbers and text."""
        return {
            "clusters": self.model.settings.n_clusters,
            "directions": self.directions.shape[1],
            "pixels": packing.encode(self.pixels.astype(int), 1),
            "stages": [stage.packed() for stage in self.stages],
        }


def published_model(name: str) -> Any:
    """A published model by its name, in single precision and evaluation mode."""
    return saving.load(root() / "models" / name).model_.float().eval()


def fold(linear: Linear, norm: nn.Module | None = None, activation: Activation = "") -> Layer:
    """Linear layer of the only replica, with the batch normalisation after it folded in."""
    weight, bias = linear.weight.detach()[0], linear.bias.detach()[0, 0]
    if isinstance(norm, BatchNorm):
        scale, shift = affine(norm)
        weight, bias = weight * scale, bias * scale + shift
    return Layer(weight, bias, activation)


def affine(norm: BatchNorm) -> tuple[Float[Tensor, " F"], Float[Tensor, " F"]]:
    """Factors and summands to which batch normalisation comes down after training."""
    scale = norm.weight.detach()[0] / torch.sqrt(norm.running_var[0] + 1e-5)
    return scale, norm.bias.detach()[0] - norm.running_mean[0] * scale


def chain(*modules: nn.Module) -> list[Layer]:
    """Layers of modules that are made of linear layers, batch normalisation, ReLU and tanh."""
    flat = [leaf for module in modules for leaf in module.modules() if not list(leaf.children())]
    layers = []
    for place, leaf in enumerate(flat):
        if isinstance(leaf, Linear):
            after = flat[place + 1 : place + 3]
            norm = after[0] if after and isinstance(after[0], BatchNorm) else None
            nonlinear = (after[1:] if norm else after)[:1]
            kinds: dict[type, Activation] = {nn.ReLU: "relu", nn.Tanh: "tanh"}
            found = [kind for each in nonlinear for cls, kind in kinds.items() if isinstance(each, cls)]
            activation: Activation = found[0] if found else ""
            layers.append(fold(leaf, norm, activation))
    return layers


def merged(first: Layer, second: Layer) -> Layer:
    """Two layers as one, the first of which has no activation."""
    return Layer(first.weight @ second.weight, first.bias @ second.weight + second.bias, second.activation)


def seen_through(layer: Layer, directions: Float[Tensor, "S d"], rest: Float[Tensor, "K H"] | None = None) -> Layer:
    """Layer of a style, of coordinates along ``directions`` instead, beside further inputs with weights ``rest``."""
    weight = directions.T @ layer.weight
    return Layer(weight if rest is None else torch.cat([weight, rest]), layer.bias, layer.activation)


def on_pixels(layer: Layer, pixels: Bool[np.ndarray, " D"]) -> Layer:
    """Last layer of a decoder, on some pixels alone, as probabilities."""
    chosen = torch.from_numpy(pixels)
    return Layer(layer.weight[:, chosen], layer.bias[chosen], "sigmoid")


@torch.no_grad()
def written(write: Write, size: int) -> Bool[np.ndarray, " D"]:
    """Pixels on which pictures of styles from N(0, I) are brighter than :data:`FAINTEST` in any cluster."""
    styles = Noise([0], "styles of a widget").normal(STYLES, size)[0]
    return (write(styles).amax((0, 1)) > FAINTEST).numpy()


@torch.no_grad()
def most_visible(write: Write, size: int) -> Float[Tensor, "S directions"]:
    """Directions in the space of styles in which the pictures of all clusters change most around zero, in this order.

    They are the right singular vectors of the pictures' derivative, taken as differences over a step of :data:`STEP` to
    either side; the sign of each is such that its largest coordinate is positive.
    """
    steps = STEP * torch.eye(size)
    derivative = ((write(steps) - write(-steps)) / (2 * STEP)).flatten(1).T
    _, _, v = torch.linalg.svd(derivative.double(), full_matrices=False)
    v = v[: min(DIRECTIONS, size)]
    signs = v.gather(1, v.abs().argmax(1, keepdim=True)).sign()
    return (v * signs).T.float()


def gumbel_write(model: GumbelClustering) -> Write:
    """Pictures of the Gumbel-softmax model: p(x|z, c) at z for every c."""
    return lambda styles: model.decode_every_cluster(styles[None])[0]


def gmvae_write(model: GMVAE) -> Write:
    """Pictures of GMVAE: p(y|x) at the mean of p(x|w, z) for every z; the style is w."""
    return lambda styles: model.decode(model.p_x(styles[None]).mean)[0]


def cagem_write(model: CaGeM) -> Write:
    """Pictures of CaGeM: p(x|y, z1) at the mean of p(z1|y, z2) for every y; the style is z2."""

    def write(styles: Float[Tensor, "N S"]) -> Float[Tensor, "N K D"]:
        z1 = model.p_z1.of(z2=styles[None])["mean"]
        return model.p_x.of(z1=z1)["logits"].sigmoid()[0]

    return write


def gumbel_writer() -> Writer:
    """The published Gumbel-softmax model as a writer."""
    model: GumbelClustering = published_model("simple-table1/proposed-mnist")
    write, size = gumbel_write(model), model.settings.latent_dim
    directions, pixels = most_visible(write, size), written(write, size)
    first, *hidden, last = chain(model.decoder)
    z, c = fold(model.embed_z), fold(model.embed_c)
    first = merged(seen_through(Layer(z.weight, z.bias + c.bias), directions, c.weight), first)
    return Writer(
        model, write, directions, pixels, [Stage([first, *hidden, on_pixels(last, pixels)], sees_cluster=True)]
    )


def gmvae_writer() -> Writer:
    """The published small GMVAE as a writer."""
    model: GMVAE = published_model("gmvae-small/k10")
    write, size = gmvae_write(model), model.settings.w_dim
    directions, pixels = most_visible(write, size), written(write, size)
    first, *prior = chain(model.prior, model.prior_means)
    *hidden, last = chain(model.observation, model.y_mean)
    stages = [
        Stage([seen_through(first, directions), *prior], per_cluster=True),
        Stage([*hidden, on_pixels(last, pixels)]),
    ]
    return Writer(model, write, directions, pixels, stages)


def cagem_writer() -> Writer:
    """The published CaGeM without labels as a writer."""
    model: CaGeM = published_model("cagem-table1/cagem-0-k10")
    write, size = cagem_write(model), model.settings.z2_dim
    directions, pixels = most_visible(write, size), written(write, size)
    upper, lower = class_conditional(model.p_z1, "z2", "mean"), class_conditional(model.p_x, "z1", "logits")
    first, classes = upper[0], model.settings.n_clusters
    style = Layer(first.weight[:-classes], first.bias, first.activation)
    upper[0] = seen_through(style, directions, first.weight[-classes:])
    stages = [Stage(upper, sees_cluster=True), Stage([*lower[:-1], on_pixels(lower[-1], pixels)], sees_cluster=True)]
    return Writer(model, write, directions, pixels, stages)


def class_conditional(network: ClassConditionalMLP, of: str, head: str) -> list[Layer]:
    """Layers of a class-conditional network from an input ``of``, beside the one-hot class, to one of its heads."""

    def norm(name: str) -> nn.Module | None:
        return network.norms[name] if name in network.norms else None  # noqa: SIM401

    def linear(module: nn.Module) -> Linear:
        assert isinstance(module, Linear)
        return module

    assert network.of_y is not None
    first = fold(linear(network.inputs[of]), norm("first"), "leaky")
    scale = affine(network.norms["first"])[0] if "first" in network.norms else 1  # type: ignore[arg-type]
    with_class = Layer(torch.cat([first.weight, network.of_y.weight.detach()[0] * scale]), first.bias, "leaky")
    second = fold(network.second, norm("second"), "leaky")
    return [with_class, second, fold(linear(network.heads[head]), norm(head))]


def gumbel_reader(writer: Writer) -> dict[str, Any]:
    """Inference networks of the Gumbel-softmax model, and styles of pictures among which neighbours are sought.

    ``features`` give x̂ from the pixels on which the model writes; ``category`` gives logits of q(c|x̂), and ``style``
    the mean of q(z|x̂) along the writer's directions.
    """
    model: GumbelClustering = writer.model
    first, *encoder = chain(model.encoder)
    first = Layer(first.weight[torch.from_numpy(writer.pixels)], first.bias, first.activation)
    mean = fold(model.z_mean)
    style = Layer(mean.weight @ writer.directions, mean.bias @ writer.directions)
    return {
        "pixels": packing.encode(writer.pixels.astype(int), 1),
        "features": [layer.packed() for layer in (first, *encoder)],
        "category": [layer.packed() for layer in chain(model.category)],
        "style": [style.packed()],
        "neighbours": packing.quantise(neighbour_styles(writer).numpy()[None], 2) | {"perCluster": NEIGHBOURS},
    }


def neighbour_styles(writer: Writer) -> Float[Tensor, " n"]:
    """Coordinates of styles from N(0, I) along the writer's directions, one style after the other."""
    return Noise([0], "neighbours of a drawn digit").normal(NEIGHBOURS, writer.directions.shape[1])[0].flatten()
