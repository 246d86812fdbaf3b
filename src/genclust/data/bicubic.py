"""Bicubic reduction of images as in MATLAB's ``imresize``, by which the papers' 28 x 28 OMNIGLOT was made."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float


@cache
def weights(n: int, m: int) -> Float[np.ndarray, "m n"]:
    r"""Weight matrix ``[m, n]`` that reduces a line of ``n`` pixels to ``m`` pixels by bicubic interpolation.

    Output pixel i lies at :math:`c_i = (i + 1/2)\, s - 1/2` among the input pixels, with :math:`s = n / m`, and input
    pixel j gives it a share in proportion to :math:`k((j - c_i) / s)`, the cubic kernel with a = -1/2,

    .. math::

        k(t) = \begin{cases}
            \tfrac32 |t|^3 - \tfrac52 |t|^2 + 1 & |t| \le 1 \\
            -\tfrac12 |t|^3 + \tfrac52 |t|^2 - 4 |t| + 2 & 1 < |t| \le 2 \\
            0 & \text{otherwise,}
        \end{cases}

    so that the kernel is wider by the factor s.  Beyond the ends, the first and the last pixel are repeated.

    Args:
        n: number of pixels of the line.
        m: number of pixels of the reduced line, at most ``n``.

    Returns:
        Weights whose rows sum to 1.
    """
    scale = n / m
    beyond = int(np.ceil(2 * scale))  # how far the kernel reaches
    j = np.arange(-beyond, n + beyond)
    t = np.abs(j - ((np.arange(m)[:, None] + 0.5) * scale - 0.5)) / scale
    near, far = ((1.5 * t - 2.5) * t) * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
    kernel = np.where(t <= 1, near, np.where(t <= 2, far, 0.0))
    kernel /= kernel.sum(axis=1, keepdims=True)
    return kernel @ (j.clip(0, n - 1)[:, None] == np.arange(n))


def reduce(image: Float[np.ndarray, "*N H W"], size: int) -> Float[np.ndarray, "*N size size"]:
    """Images in [0, 1] reduced to ``size`` x ``size`` pixels, clamped to [0, 1] where the kernel overshoots."""
    height, width = image.shape[-2:]
    return (weights(height, size) @ image @ weights(width, size).T).clip(0, 1)
