"""Every fused operation runs in a training step of some model, and gives there what the plain forms give."""

import importlib
import pkgutil

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genclust import kernels
from genclust.models import MODELS
from genclust.streams import CounterNoise

from .checks import DEVICE, needs_triton, relative_error

#: Models that between them need every operation, and which those are.
STEPS: dict[str, tuple[dict, set[str]]] = {
    "gumbel": (
        {"n_clusters": 3, "latent_dim": 4, "hidden": (8,)},
        {"bernoulli_log_prob", "gaussian_kl", "gumbel_softmax"},
    ),
    "gmvae": ({"n_clusters": 3}, {"bernoulli_log_prob", "gaussian_kl", "mixture"}),
    "gmvae_explicit": (
        {"n_clusters": 3, "hidden": 8, "z_dim": 4},
        {"bernoulli_log_prob", "class_bias_act", "gaussian_kl"},
    ),
    "iwae": ({"samples": 3, "z_dims": (4,), "hidden": (8,)}, {"bernoulli_log_prob", "log_sum_exp"}),
    "adgm": ({"n_clusters": 3, "hidden": 8, "a_dim": 4, "z_dim": 4}, {"bernoulli_log_prob", "class_bias_act"}),
}


class Seen(TorchDispatchMode):
    """The package's registered operations that are called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "genclust":
            self.names.add(func._schema.name.partition("::")[2])
        return func(*args, **(kwargs or {}))


def step(name: str, implementation: str) -> tuple[set[str], torch.Tensor, torch.Tensor]:
    """Operations, objective and all gradients of a step with two replicas."""
    kind, settings = MODELS[name]
    model = kind(2, 36, settings(**STEPS[name][0]))
    model.initialise([torch.Generator().manual_seed(r) for r in range(2)])
    model.to(DEVICE)
    x = torch.rand(2, 5, 36, generator=torch.Generator().manual_seed(0)).to(DEVICE)
    with kernels.implementation(implementation), Seen() as seen:
        noise = CounterNoise([0, 1], "training noise", DEVICE).at(1)
        objective = model.loss(x, {"temperature": 0.7, "warm_up": 0.5}, noise).objective
        objective.sum().backward()
    gradients = [p.grad.flatten() for p in model.parameters() if p.grad is not None]
    return seen.names, objective.detach(), torch.cat(gradients)


@needs_triton
@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize("name", STEPS)
def test_the_step_of_a_model_runs_its_kernels_and_gives_what_the_plain_forms_give(name):
    seen, *found = step(name, "triton")
    assert STEPS[name][1] | {f"{op}_backward" for op in STEPS[name][1]} | {"random"} == seen
    _, *truth = step(name, "reference")
    assert all(relative_error(ours, plain) < 1e-5 for ours, plain in zip(found, truth, strict=True))


def test_no_operation_is_without_a_model():
    for module in pkgutil.iter_modules(kernels.__path__):
        importlib.import_module(f"{kernels.__name__}.{module.name}")
    registered = {
        name.partition("::")[2] for name in torch._C._dispatch_get_all_op_names() if name.startswith("genclust::")
    }
    needed = set().union(*(operations for _, operations in STEPS.values()))
    assert registered == needed | {f"{op}_backward" for op in needed} | {"random"}
