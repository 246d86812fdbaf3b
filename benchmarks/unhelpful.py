"""Benchmarks of optimisations that were tried on a CPU and not taken, beside what is done instead."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from benchmarks.models import VAE
from benchmarks.runs import Result, Setup
from benchmarks.timing import Variant, repeat
from genclust import kernels
from genclust.streams import CounterNoise, Noise


def unhelpful(setup: Setup) -> Result:
    """Rates of each optimisation and of what is done instead, the baseline; a ratio above 1 would be faster."""
    tries: Mapping[str, Callable[[Setup], tuple[dict[str, Variant], float]]] = {
        "Bernoulli log-likelihood as a registered operation with a backward of its own": _registered,
        "vmap over replicas instead of batched products, demo network": partial(_vmap, hidden=64, batch=100, x_dim=64),
        "vmap over replicas instead of batched products, MNIST network": partial(
            _vmap, hidden=512, batch=100, x_dim=784
        ),
        "counter-based random numbers instead of a generator": _philox,
        "Adam for each parameter in turn": partial(_adam, fused=False, foreach=False),
        "Adam for all parameters at once, unfused": partial(_adam, fused=False, foreach=True),
        "torch.compile of the VAE's loss": _compiled_loss,
        "torch.compile of the class-broadcast bias and activation": _compiled_class_bias,
    }
    results = {}
    for name, build in tries.items():
        variants, seconds = build(setup)
        results[name] = setup.compare(variants, "calls/s", "taken").as_dict() | {"first_call_seconds": seconds}
    return results


def _backward(loss: Callable[[], Tensor]) -> Callable[[], None]:
    return lambda: loss().sum().backward()


def _registered(setup: Setup) -> tuple[dict[str, Variant], float]:
    logits = torch.randn(1, setup.pick(300), 784, requires_grad=True)
    x = torch.rand_like(logits)
    times = setup.pick(40)
    taken = repeat(_backward(lambda: kernels.bernoulli_log_prob(logits, x)), times)
    registered = torch.ops.genclust.bernoulli_log_prob
    return {"taken": taken, "tried": repeat(_backward(lambda: registered(logits, x)), times)}, 0.0


def _vmap(setup: Setup, hidden: int, batch: int, x_dim: int) -> tuple[dict[str, Variant], float]:
    """Variants of eight replicas of a network of one hidden layer, forwards and backwards."""
    R = 8
    x = torch.rand(R, batch, x_dim)
    one = [nn.Sequential(nn.Linear(x_dim, hidden), nn.ReLU(), nn.Linear(hidden, x_dim)) for _ in range(R)]
    parameters, _ = stack_module_state(one)
    weights = {name: p.detach().requires_grad_() for name, p in parameters.items()}

    def mapped() -> Tensor:
        return torch.vmap(lambda p, rows: functional_call(one[0], p, (rows,)))(weights, x)

    def batched() -> Tensor:
        h = torch.baddbmm(weights["0.bias"][:, None], x, weights["0.weight"].mT).relu()
        return torch.baddbmm(weights["2.bias"][:, None], h, weights["2.weight"].mT)

    times = setup.pick(100 if hidden < 100 else 8)
    return {"taken": repeat(_backward(batched), times), "tried": repeat(_backward(mapped), times)}, 0.0


def _philox(setup: Setup) -> tuple[dict[str, Variant], float]:
    generator, counter = Noise([0], "benchmark"), CounterNoise([0], "benchmark", "cpu")
    shape, times = (setup.pick(300), 150), setup.pick(40)
    return {
        "taken": repeat(lambda: generator.normal(*shape), times),
        "tried": repeat(lambda: counter.normal(*shape), times),
    }, 0.0


def _adam(setup: Setup, fused: bool, foreach: bool) -> tuple[dict[str, Variant], float]:
    variants = {}
    for name, options in (("taken", {"fused": True}), ("tried", {"fused": fused, "foreach": foreach})):
        parameters = list(VAE(1, hidden=setup.pick(1024)).parameters())
        for parameter in parameters:
            parameter.data.normal_()
            parameter.grad = torch.randn_like(parameter)
        variants[name] = repeat(torch.optim.Adam(parameters, **options).step, setup.pick(20))  # type: ignore[arg-type]
    return variants, 0.0


def _compiled_loss(setup: Setup) -> tuple[dict[str, Variant], float]:
    model = VAE(1)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.02)
    x, noise = torch.rand(1, 100, 784), Noise([0], "benchmark")

    def loss(eps: Tensor) -> Tensor:
        mean, log_var = model.encode(x)
        z = mean + (0.5 * log_var).exp() * eps
        return kernels.gaussian_kl(mean, log_var) - kernels.bernoulli_log_prob(model.decoder(z), x)

    return _compiled(lambda f: _backward(lambda: f(noise.normal(100, 16))), loss, setup.pick(20))


def _compiled_class_bias(setup: Setup) -> tuple[dict[str, Variant], float]:
    h = torch.randn(100, 1, setup.pick(1024), requires_grad=True)
    bias = torch.randn(1, 10, setup.pick(1024), requires_grad=True)
    return _compiled(lambda f: _backward(lambda: f(h, bias)), lambda h, bias: (h + bias).relu(), setup.pick(20))


def _compiled(
    call: Callable[[Callable[..., Tensor]], Callable[[], None]], function: Callable[..., Tensor], times: int
) -> tuple[dict[str, Variant], float]:
    compiled = torch.compile(function)
    began = time.perf_counter()
    call(compiled)()
    seconds = time.perf_counter() - began
    return {"taken": repeat(call(function), times), "tried": repeat(call(compiled), times)}, seconds
