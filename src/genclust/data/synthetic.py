"""Synthetic data, drawn from a random generator instead of read from a file."""

from __future__ import annotations

import numpy as np

from genclust.data.base import Split

N_ARCS = 5


def arcs(n: int = 10_000, seed: int = 0) -> Split:
    r"""Points on five noisy arcs in the plane, the synthetic data of the GMVAE paper.

    Point i belongs to a random arm :math:`k_i \in \{0, \dots, 4\}`, a piece of a circle:

    .. math::
        x_i &= c_{k_i} + (0.4 + \epsilon_i)\,(\cos\theta_i, \sin\theta_i), \qquad
        c_k = 0.6\,(\cos\phi_k, \sin\phi_k), \quad \phi_k = 72^\circ k, \\
        \theta_i &\sim N(\phi_{k_i} + 90^\circ, 0.5^2), \qquad \epsilon_i \sim N(0, 0.024^2).

    The constants were fitted to the 5,000 points in ``datasets/spiral.t7`` of the authors' code
    (Nat-D/GMVAE), where the paper speaks of 10,000.

    Args:
        n: number of points, 10,000 as in the paper, or 5,000 as in the authors' file.
        seed: seed of the random numbers.

    Returns:
        float32 points ``[n, 2]`` and the arm of each, ``[n]``.
    """
    rng = np.random.default_rng(seed)
    arm = rng.integers(N_ARCS, size=n)
    centre = 2 * np.pi * arm / N_ARCS
    angle = centre + np.pi / 2 + rng.normal(0, 0.5, n)
    radius = 0.4 + rng.normal(0, 0.024, n)
    x = 0.6 * np.cos(centre) + radius * np.cos(angle)
    y = 0.6 * np.sin(centre) + radius * np.sin(angle)
    return Split(np.column_stack([x, y]).astype(np.float32), arm)
