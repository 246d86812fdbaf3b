"""What tests that recompute a model by hand share: noise that is known, and a network written out."""

import torch

from genclust.models.distributions import Gaussian
from genclust.streams import Noise


class Fixed(Noise):
    """Replays given draws: normal and uniform from one list."""

    def __init__(self, *draws: torch.Tensor) -> None:
        self.draws = list(draws)

    def normal(self, *shape: int) -> torch.Tensor:
        assert self.draws[0].shape[1:] == shape
        return self.draws.pop(0)

    uniform = normal


def mlp(network, y: int | None = None, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
    """A network without batch normalisation of one replica, written out."""
    assert set(inputs) == set(network.inputs)
    h = sum(value @ network.inputs[name].weight[0] + network.inputs[name].bias[0] for name, value in inputs.items())
    if network.of_y is not None:
        h = h + network.of_y.weight[0, y]
    h = torch.where(h > 0, h, 0.01 * h)
    h = h @ network.second.weight[0] + network.second.bias[0]
    h = torch.where(h > 0, h, 0.01 * h)
    return {name: h @ head.weight[0] + head.bias[0] for name, head in network.heads.items()}


def moments(gaussian: Gaussian) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and log-variance."""
    return gaussian.mean, gaussian.log_var
