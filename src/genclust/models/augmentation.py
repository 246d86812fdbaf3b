"""Random views of images: small affine maps and, of coloured ones, other contrasts, brightnesses and polarities."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from genclust.streams import Noise

#: Greatest change at strength 1: rotation in radians, shift as a fraction of the side, logarithm of the scale of each
#: axis, and shear. None of them turns one digit into another.
ROTATION, SHIFT, LOG_SCALE, SHEAR = math.radians(15), 0.1, math.log(1.2), 0.2
#: The same for coloured images: relative change of contrast, and change of brightness where values lie in [0, 1].
CONTRAST, BRIGHTNESS = 0.4, 0.2


def views(
    x: Float[Tensor, "R B D"], image_shape: tuple[int, int, int], strength: float, noise: Noise
) -> Float[Tensor, "R B D"]:
    """Randomly transformed copies of images with values in [0, 1], with zeros beyond the border.

    Args:
        x: images as rows, height by width by colours.
        image_shape: (height, width, colours).
        strength: factor of every greatest change; at 0 only the polarity changes.
        noise: one stream per replica.
    """
    height, width, colours = image_shape
    B = x.shape[1]
    u = strength * (2 * noise.uniform(B, 6).to(x.device).flatten(0, 1) - 1)
    cos, sin = (ROTATION * u[:, 0]).cos(), (ROTATION * u[:, 0]).sin()
    rotation = torch.stack([cos, -sin, sin, cos], -1).view(-1, 2, 2)
    stretch = torch.diag_embed((LOG_SCALE * u[:, 1:3]).exp())
    stretch[:, 0, 1] = SHEAR * u[:, 3]
    shift = 2 * SHIFT * u[:, 4:, None]  # of a side that reaches from -1 to 1
    images = x.reshape(-1, height, width, colours).permute(0, 3, 1, 2)
    grid = F.affine_grid(torch.cat([rotation @ stretch, shift], -1), list(images.shape), align_corners=False)
    seen = F.grid_sample(images, grid, align_corners=False)
    if colours > 1:
        v = noise.uniform(B, 3).to(x.device).view(-1, 3, 1, 1, 1)
        contrast, brightness = (strength * (2 * v[:, i] - 1) for i in (0, 1))
        seen = (seen * (1 + CONTRAST * contrast) + BRIGHTNESS * brightness).clamp(0, 1)
        seen = torch.where(v[:, 2] < 0.5, 1 - seen, seen)
    return seen.permute(0, 2, 3, 1).reshape(x.shape)
