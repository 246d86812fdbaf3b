"""Near neighbours of rows in a training split, at a tenth of the arithmetic of a search through all of it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from genclust.kernels.dispatch import precise
from genclust.streams import Noise

#: The nearest in a random tenth of the rows is, on average, the tenth nearest of all.
SHARE = 10


def tenths(rows: Float[Tensor, "N D"]) -> Float[Tensor, "T n D"]:
    """The rows in ten parts of every tenth row, without the last few; few rows are one part."""
    n = len(rows) // SHARE
    return rows[: n * SHARE].view(n, SHARE, -1).transpose(0, 1).contiguous() if n else rows[None]


def squared_distances(x: Float[Tensor, "B D"], rows: Float[Tensor, "n D"]) -> Float[Tensor, "B n"]:
    """Squared Euclidean distances, infinite where a row is x itself.

    From the rows' mean on, since the products of far values would round small distances away.
    """
    x, rows = precise(x), precise(rows)
    mean = rows.mean(0)
    x, rows = x - mean, rows - mean
    squares = x.square().sum(-1, keepdim=True)
    with torch.autocast(x.device.type, enabled=False):  # in 16 bits a row would not be told from its neighbours
        d = torch.addmm(rows.square().sum(-1), x, rows.T, alpha=-2).add_(squares)
    return d.masked_fill_(d < 1e-5 * squares, torch.inf)


@torch.no_grad()
def nearest(x: Float[Tensor, "R B D"], parts: Float[Tensor, "T n D"], noise: Noise) -> Float[Tensor, "R B D"]:
    """Nearest row of every x, except itself, in one of the parts, which each replica draws anew."""
    drawn = (noise.uniform(1) * len(parts)).long().to(parts.device)
    of_replicas = [parts.index_select(0, part)[0] for part in drawn]
    found = [rows[squared_distances(of_x, rows).argmin(1)] for of_x, rows in zip(x, of_replicas, strict=True)]
    return torch.stack(found)
