"""Diagrams of models and architectures: Figures 1 and 2 of "Is Simple Better?", Figure 1 of GMVAE, CaGeM and VLAC.

Shapes in a colour carry white text, so that they read alike on light and dark pages; the rest is in ink.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Patch, Wedge

from genclust.figures.style import INK, PAPER

# Both have a contrast of at least 3 to 1 against white and #121212, and 5 to 1 against their white text.
STOCHASTIC = "#c2410c"
HIDDEN = "#5f6b7a"


class Shape(NamedTuple):
    """Drawn node or layer, at which arrows start and end."""

    x: float
    y: float
    patch: Patch


def graphical_model(inference: Axes, generation: Axes) -> None:
    r"""Draw Figure 1 of "Is Simple Better?": the inference model (a) and the generative model (b).

    They are :math:`q(c, z|\hat x)` and :math:`p(x|z, c)`.

    Circles are random variables, the filled one is observed, the double one is the deterministic
    :math:`\hat x = g(x)`; the plates repeat for all N examples. Drawn for axes of about 2.4 by 3.2 inches.

    Args:
        inference: axes for (a).
        generation: axes for (b).
    """
    for ax, title in ((inference, "(a) Inference model"), (generation, "(b) Generative model")):
        _canvas(ax, 3, 4)
        ax.set_title(title)
        ax.add_patch(_rounded(1.5, 2, 2.8, 3.8, edgecolor=INK, facecolor="none"))
        ax.text(2.65, 0.35, "$N$", ha="center", va="center")

        c = _node(ax, 0.8, 3.3, "$c$")
        z = _node(ax, 2.2, 3.3, "$z$")
        x = _node(ax, 1.5, 0.65, "$x$", fill=INK)
        if ax is generation:
            _arrow(ax, c, x)
            _arrow(ax, z, x)
        else:
            x_hat = _node(ax, 1.5, 2, r"$\hat{x}$")
            ax.add_patch(Circle((1.5, 2), 0.28, facecolor="none", edgecolor=INK, linewidth=1))
            _arrow(ax, x, x_hat)
            _arrow(ax, x_hat, c)
            _arrow(ax, x_hat, z)


def architecture(ax: Axes) -> None:
    r"""Draw Figure 2 of "Is Simple Better?": encoder, inference networks, sum of two linear embeddings, and decoder.

    Sizes are the paper's: D inputs, :math:`d_f` features, :math:`d_z` Gaussian latent dimensions,
    k clusters. Coloured circles are stochastic; filled layers are followed by batch normalisation and
    ReLU, the others are linear. Drawn for axes of about 5 by 6.5 inches, upright so that a phone
    hardly need shrink it.

    Args:
        ax: axes to draw on.
    """
    _canvas(ax, 10, 13)
    middle, left, right = 5.0, 2.2, 7.8

    # x̂ = g(x)
    x = _layer(ax, middle, 12.7, 5.2, "input $x$:  $D$")
    encoder_1 = _layer(ax, middle, 11.7, 4.2, "512", hidden=True)
    encoder_2 = _layer(ax, middle, 10.7, 3.2, "256", hidden=True)
    x_hat = _layer(ax, middle, 9.7, 2.6, r"$\hat{x}$:  $d_f$")
    # q(c|x̂)
    category_1 = _layer(ax, left, 8.5, 2.6, "$d_f$", hidden=True)
    category_2 = _layer(ax, left, 7.5, 2.0, "$d_f/2$", hidden=True)
    logits = _layer(ax, left, 6.5, 2.0, "logits:  $k$")
    c = _node(ax, left, 5.2, "$c$", radius=0.45, fill=STOCHASTIC)
    # q(z|x̂)
    mean = _layer(ax, right - 1.05, 7.5, 1.8, r"$\mu$:  $d_z$")
    sd = _layer(ax, right + 1.05, 7.5, 1.8, r"$\sigma$:  $d_z$")
    z = _node(ax, right, 5.2, "$z$", radius=0.45, fill=STOCHASTIC)
    # p(x|z,c)
    embedded_c = _layer(ax, left, 3.8, 2.6, "$d_f$")
    embedded_z = _layer(ax, right, 3.8, 2.6, "$d_f$")
    total = _node(ax, middle, 3.8, "$+$")
    decoder_1 = _layer(ax, middle, 2.4, 3.2, "256", hidden=True)
    decoder_2 = _layer(ax, middle, 1.4, 4.2, "512", hidden=True)
    output = _layer(ax, middle, 0.4, 5.2, "output $x$:  $D$")

    for chain in (
        (x, encoder_1, encoder_2, x_hat),
        (x_hat, category_1, category_2, logits, c, embedded_c, total),
        (x_hat, mean, z, embedded_z, total),
        (x_hat, sd, z),
        (total, decoder_1, decoder_2, output),
    ):
        for start, end in pairwise(chain):
            _arrow(ax, start, end)

    for x_text, y_text, text, side in (
        (0.0, 11.7, "encoder\n$g(x)$", "left"),
        (10.0, 11.7, "filled: batch\nnorm, ReLU", "right"),
        (0.0, 9.2, r"$q(c\,|\,\hat{x})$", "left"),
        (10.0, 9.2, r"$q(z\,|\,\hat{x})$", "right"),
        (left + 0.6, 5.2, "Gumbel-\nsoftmax", "left"),
        (right - 0.6, 5.2, "Gaussian", "right"),
        (0.0, 1.4, "decoder\n$p(x\\,|\\,z,c)$", "left"),
    ):
        ax.text(x_text, y_text, text, ha=side, va="center")


def gmvae_graphical_model(generation: Axes, inference: Axes) -> None:
    r"""Draw Figure 1 of GMVAE: the generative model and the variational family q.

    The generative model is :math:`p(w)\,p(z)\,p_\beta(x|w, z)\,p_\theta(y|x)`.

    Circles are random variables, the filled one is observed, and what stands beside an arrow are the parameters of
    its network. Drawn for axes of about 2.4 by 3.2 inches.

    Args:
        generation: axes for the generative model.
        inference: axes for the mean-field family.
    """
    for ax, title in ((generation, "Generative model"), (inference, "Variational family")):
        _canvas(ax, 3, 4)
        ax.set_title(title)
        y = _node(ax, 1.5, 0.65, "$y$", fill=INK)
        w, z = _node(ax, 0.6, 3.3, "$w$"), _node(ax, 2.4, 3.3, "$z$")
        if ax is generation:
            x = _node(ax, 1.5, 2, "$x$")
            for start, end in ((w, x), (z, x), (x, y)):
                _arrow(ax, start, end)
            labels = [(0.75, 2.5, r"$\beta$"), (1.75, 1.3, r"$\theta$")]
        else:
            x = _node(ax, 1.5, 3.3, "$x$")
            for end in (w, x, z):
                _arrow(ax, y, end)
            labels = [(0.65, 2.0, r"$\phi_w$"), (1.75, 2.3, r"$\phi_x$"), (2.35, 2.0, r"$\phi_z$")]
        for at_x, at_y, text in labels:
            ax.text(at_x, at_y, text, ha="center", va="center")


def cagem_graphical_model(generation: Axes, inference: Axes) -> None:
    r"""Draw Figure 1 of CaGeM: the generative model and the inference model q.

    The generative model is :math:`p(z_2)\,p(y|z_2)\,p(z_1|y, z_2)\,p(x|y, z_1)`.

    Circles are random variables; x is observed, and so is y of the labelled points, which is half filled in the
    page's ink. Drawn for axes of about 2.4 by 3.2 inches.

    Args:
        generation: axes for the generative model.
        inference: axes for :math:`q(z_1|x)\,q(y|z_1, x)\,q(z_2|x, y, z_1)`.
    """
    for ax, title in ((generation, "Generative model"), (inference, "Inference model")):
        _canvas(ax, 3, 4)
        ax.set_title(title)
        x = _node(ax, 1.5, 0.55, "$x$", fill=INK)
        z1, y, z2 = _node(ax, 0.65, 1.75, "$z_1$"), _node(ax, 2.35, 2.15, "$y$"), _node(ax, 1.1, 3.45, "$z_2$")
        ax.add_patch(Wedge((y.x, y.y), 0.36, 180, 360, facecolor=INK, alpha=0.35, linewidth=0))
        generated = ((z2, y), (z2, z1), (y, z1), (y, x), (z1, x))
        inferred = ((x, z1), (x, y), (z1, y), (x, z2), (y, z2), (z1, z2))
        for start, end in generated if ax is generation else inferred:
            _arrow(ax, start, end)


def vlac_graphical_model(inference: Axes, generation: Axes) -> None:
    r"""Draw Figure 1 of VLAC for L = 2: the recognition model (equations 6 to 8) and the generative one (1 to 3).

    Circles are random variables, the filled one is observed, and the double ones are the deterministic
    :math:`h_l` and :math:`\tilde z_l`. Drawn for axes of about 2.6 by 3.6 inches.

    Args:
        inference: axes for the recognition model.
        generation: axes for the generative model.
    """
    for ax, title in ((inference, "(a) Recognition model"), (generation, "(b) Generative model")):
        _canvas(ax, 3.4, 4.2)
        ax.set_title(title)
        recognised = ax is inference
        x = _node(ax, 1.75 if recognised else 0.55, 0.5, "$x$", fill=INK)
        name = "h_{}" if recognised else r"\tilde{{z}}_{}"
        below, above = (_node(ax, 0.55, height, f"${name.format(i)}$") for i, height in ((1, 1.95), (2, 3.6)))
        for shape in (below, above):
            ax.add_patch(Circle((shape.x, shape.y), 0.28, facecolor="none", edgecolor=INK, linewidth=1))
        z1, z2 = _node(ax, 1.65, 1.95, "$z_1$"), _node(ax, 1.65, 3.6, "$z_2$")
        y1, y2 = _node(ax, 2.9, 1.95, "$y_1$"), _node(ax, 2.9, 3.6, "$y_2$")
        ladder = ((x, below), (below, above), (y1, above), (below, z1), (above, z2), (x, y1), (x, y2))
        descent = ((z2, above), (above, below), (z1, below), (below, x))
        for start, end in (*(ladder if recognised else descent), (y1, z1), (y2, z2)):
            _arrow(ax, start, end)


def _canvas(ax: Axes, width: float, height: float) -> None:
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.axis("off")


def _node(ax: Axes, x: float, y: float, text: str, *, radius: float = 0.36, fill: str = "none") -> Shape:
    patch = Circle((x, y), radius, facecolor=fill, edgecolor=INK if fill == "none" else fill, linewidth=1.4)
    ax.add_patch(patch)
    ink = {"none": INK, INK: PAPER}.get(fill, "white")
    ax.text(x, y, text, ha="center", va="center_baseline", color=ink, size="large")
    return Shape(x, y, patch)


def _layer(ax: Axes, x: float, y: float, width: float, text: str, *, hidden: bool = False) -> Shape:
    """Draw a layer of units; ``hidden`` if batch normalisation and ReLU follow it."""
    fill, edge, ink = (HIDDEN, HIDDEN, "white") if hidden else ("none", INK, INK)
    patch = _rounded(x, y, width, 0.56, facecolor=fill, edgecolor=edge)
    ax.add_patch(patch)
    ax.text(x, y, text, ha="center", va="center_baseline", color=ink)
    return Shape(x, y, patch)


def _rounded(x: float, y: float, width: float, height: float, *, facecolor: str, edgecolor: str) -> FancyBboxPatch:
    return FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.15",
        facecolor=facecolor,
        edgecolor=edgecolor,
        linewidth=1.4,
    )


def _arrow(ax: Axes, start: Shape, end: Shape) -> None:
    """Draw an arrow between the centres of two shapes, cut at their outlines."""
    ax.add_patch(
        FancyArrowPatch(
            (start.x, start.y),
            (end.x, end.y),
            patchA=start.patch,
            patchB=end.patch,
            arrowstyle="-|>",
            mutation_scale=11,
            shrinkA=2,
            shrinkB=2,
            color=INK,
            linewidth=1.2,
        )
    )
