"""Plots of bounds on the log-likelihood against the number of importance samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes


def bound_curves(ax: Axes, curves: Mapping[str, tuple[Int[np.ndarray, " n"], Float[np.ndarray, "seeds n"]]]) -> None:
    """Draw one line per model: the mean bound over seeds (nats) against the number of importance samples.

    Args:
        ax: axes to draw on; samples are on a logarithmic axis.
        curves: for each name the numbers of samples, and the bounds in nats.
    """
    for i, (name, (samples, bounds)) in enumerate(curves.items()):
        ax.plot(samples, bounds.mean(0), color=f"C{i}", marker="o", markersize=4, label=name)
    ax.set(xscale="log", xlabel="importance samples $S$", ylabel="bound on $\\log p(x)$ (nats)")
    ax.legend(loc="lower right", fontsize="small")
