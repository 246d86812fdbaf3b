"""Still pictures of the widgets, for readers without scripts and until a widget has loaded."""

from __future__ import annotations

import io
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genclust.book.widgets import maps
from genclust.book.widgets.networks import Writer
from genclust.book.widgets.training import FORMATION, PHASES
from genclust.figures import style

#: Cluster whose picture at z = 0 stands for a drawing, epochs of the map that are shown, and pixels per inch.
DRAWN, SHOWN_EPOCHS, DPI = 3, (1, 5, 20, 100), 120


def pictures(writers: Mapping[str, Writer]) -> dict[str, bytes]:
    """PNG of every widget by the name of its file; the first of the writers is the Gumbel-softmax model."""
    with mpl.rc_context():
        style.use()
        figures = {
            "draw": draw(next(iter(writers.values()))),
            "style": one_style(writers),
            "map": formation(),
            "phases": plane(),
        }
        return {f"{name}.png": as_png(figure) for name, figure in figures.items()}


def as_png(figure: Figure) -> bytes:
    """A figure as bytes, without the date."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def image(ax: Axes, pixels: np.ndarray, title: str = "") -> None:
    """Draw a square grey picture."""
    side = int(len(pixels) ** 0.5)
    ax.imshow(pixels.reshape(side, side), cmap="gray", vmin=0, vmax=1)
    ax.set_title(title, fontsize="small")
    ax.set_axis_off()


@torch.no_grad()
def draw(writer: Writer) -> Figure:
    """A digit, the probability of every cluster, and the reconstruction."""
    drawn = writer.write(torch.zeros(1, len(writer.directions)))[0, DRAWN]
    probabilities = writer.model.cluster_posterior(drawn[None, None])[0, 0].exp()
    figure = Figure(figsize=(style.PAGE_WIDTH, 2.2))
    left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1.6, 1))
    image(left, drawn.numpy(), "a digit")
    middle.barh(range(len(probabilities)), probabilities, color=style.CLASSES[0])
    middle.set(xlim=(0, 1), xlabel="probability", ylabel="cluster", yticks=range(len(probabilities)))
    middle.tick_params(labelsize="x-small")
    middle.invert_yaxis()
    image(right, writer.model.reconstruct(drawn[None, None])[0, 0].numpy(), "rebuilt")
    return figure


@torch.no_grad()
def one_style(writers: Mapping[str, Writer]) -> Figure:
    """Every cluster of every model at the style zero, a row per model."""
    clusters = max(writer.model.settings.n_clusters for writer in writers.values())
    figure = Figure(figsize=(style.PAGE_WIDTH, 2.7))
    grid = figure.subplots(len(writers), clusters, squeeze=False)
    for row, (title, writer) in zip(grid, writers.items(), strict=True):
        for ax, pixels in zip(row, writer.write(torch.zeros(1, len(writer.directions)))[0], strict=True):
            image(ax, pixels.numpy())
        row[0].set_title(title, loc="left", fontsize="small")
    return figure


def dots(ax: Axes, points: np.ndarray, groups: np.ndarray, title: str) -> None:
    """Points of a map in the colours of their groups."""
    x, y = points.astype(np.float32).T
    ax.scatter(x, y, s=3, c=[style.CLASSES[group] for group in groups], linewidths=0)
    ax.set_title(title, fontsize="x-small")
    ax.set(xticks=[], yticks=[])


def formation() -> Figure:
    """The map of the first seed at some epochs, in the colours of its clusters."""
    arrays = maps.stored(FORMATION)
    figure = Figure(figsize=(style.PAGE_WIDTH, 2.1))
    for ax, epoch in zip(figure.subplots(1, len(SHOWN_EPOCHS)), SHOWN_EPOCHS, strict=True):
        at = arrays["epochs"].tolist().index(epoch)
        dots(ax, arrays["map"][0, at], arrays["clusters"][0, at], f"epoch {epoch}")
    return figure


def plane() -> Figure:
    """Latent spaces of all pairs, η growing upwards and α to the right, in the colours of the arcs."""
    arrays = maps.stored(PHASES)
    etas, alphas = np.unique(arrays["eta"]), np.unique(arrays["alpha"])
    figure = Figure(figsize=(style.PAGE_WIDTH, 1.2 * len(etas)))
    grid = figure.subplots(len(etas), len(alphas))
    for cell, points in enumerate(arrays["x"]):
        row, column = divmod(cell, len(alphas))
        title = f"η = {arrays['eta'][cell]:g}, α = {arrays['alpha'][cell]:g}"
        dots(grid[len(etas) - 1 - row, column], points, arrays["arms"], title)
    return figure
