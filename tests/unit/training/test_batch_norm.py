"""Batch statistics after training: explicit averages over one pass."""

import numpy as np
import pytest
import torch
from examples import EXAMPLES, Example

from genclust.models.base import BernoulliModel, Model, Terms
from genclust.models.layers import BatchNorm
from genclust.streams import Noise
from genclust.training.batch_norm import recalibrate_batch_norm

X = torch.randint(0, 256, (46, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def norms(model: Model) -> dict[str, BatchNorm]:
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, BatchNorm)}


#: The models whose statistics are collected: those of bits, drawn anew in every pass, that normalise.
MODELS = {
    name: example
    for name, example in EXAMPLES.items()
    if isinstance(model := example.model(), BernoulliModel) and norms(model)
}


class Plain(Model):
    """Normalises grey values, of replica r shifted by r, and remembers what it was given."""

    schedules = ("warm_up",)

    def __init__(self, replicas: int) -> None:
        super().__init__()
        self.replicas, self.norm = replicas, BatchNorm(replicas, 5, 0.3)
        self.sizes: list[int] = []

    def loss(self, x, scheduled, noise):
        assert scheduled == {"warm_up": 1.0}
        self.sizes.append(x.shape[1])
        shifted = x * torch.arange(1, self.replicas + 1).view(-1, 1, 1)
        return Terms(self.norm(shifted).sum((1, 2)), {})

    initialise = embed = None


def test_an_interruption_leaves_momenta_and_evaluation_mode():
    model = Plain(1)

    def interrupted(*arguments):
        raise KeyboardInterrupt

    model.loss = interrupted
    with pytest.raises(KeyboardInterrupt):
        recalibrate_batch_norm(model, X, [0], 10)
    assert model.norm.momentum == 0.3 and not model.training


@pytest.mark.parametrize(("batch_size", "sizes"), [(10, [10] * 4), (23, [23, 23]), (100, [46])])
def test_statistics_are_averages_over_the_batches_of_the_pass(batch_size, sizes):
    """Means and unbiased variances of successive batches of grey values over 255, a smaller last batch left out."""
    model = Plain(2)
    with torch.no_grad():  # what training left behind has no part in it
        model.norm.running_mean.fill_(1e3), model.norm.running_var.fill_(1e3)
    recalibrate_batch_norm(model, X, [0, 1], batch_size)
    assert model.sizes == sizes
    grey = X.numpy() / 255.0
    batches = [grey[i * batch_size : i * batch_size + size] for i, size in enumerate(sizes)]
    mean, variance = np.mean([b.mean(0) for b in batches], 0), np.mean([b.var(0, ddof=1) for b in batches], 0)
    for r, factor in enumerate((1, 2)):
        np.testing.assert_allclose(model.norm.running_mean[r].numpy(), factor * mean, rtol=1e-5)
        np.testing.assert_allclose(model.norm.running_var[r].numpy(), factor**2 * variance, rtol=1e-5)


@pytest.mark.parametrize("example", MODELS.values(), ids=MODELS)
def test_every_layer_of_a_model_gets_the_statistics_of_its_own_activations(example: Example):
    """What each layer is given, caught on its way: weighted by q(y|·) where y is enumerated; once a batch."""
    model = example.initialised([0])
    given: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {layer: [] for layer in norms(model)}

    def watch(layer, _, inputs):
        x = inputs[0][0].flatten(0, -2).double().numpy()
        weights = inputs[1] if len(inputs) > 1 else None
        w = np.ones(len(x)) if weights is None else weights[0].double().numpy().flatten()
        given[layer].append((x, w))

    for layer, norm in norms(model).items():
        norm.register_forward_pre_hook(lambda module, inputs, layer=layer: watch(layer, module, inputs))
    recalibrate_batch_norm(model, example.batch(46), [3], 10)
    for layer, norm in norms(model).items():
        assert len(given[layer]) == 4, layer
        means, variances = [], []
        for x, w in given[layer]:
            assert w.sum() == pytest.approx(10)
            means.append((w[:, None] * x).sum(0) / 10)
            variances.append((w[:, None] * (x - means[-1]) ** 2).sum(0) / 9)
        np.testing.assert_allclose(norm.running_mean[0].numpy(), np.mean(means, 0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(norm.running_var[0].numpy(), np.mean(variances, 0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("example", MODELS.values(), ids=MODELS)
def test_only_the_statistics_change(example: Example):
    """The model is ready to be evaluated, its parameters and momenta are what they were; the same seeds, the same."""
    model = example.initialised([0])
    parameters = {key: value.clone() for key, value in model.named_parameters()}
    collected = []
    for batch_size, seed in ((10, 3), (10, 3), (10, 4), (15, 3)):
        recalibrate_batch_norm(model, example.batch(46), [seed], batch_size)
        collected.append({key: value.clone() for key, value in model.named_buffers()})
    assert not any(module.training for module in model.modules())
    assert {norm.momentum for norm in norms(model).values()} == {0.1}
    assert all(value.grad is None for value in model.parameters())
    for key, value in model.named_parameters():
        assert torch.equal(value, parameters[key]), key
    for key, value in collected[0].items():
        assert torch.equal(value, collected[1][key]), key  # whatever the statistics were before
        assert not torch.equal(value, collected[2][key]), key
        assert not torch.equal(value, collected[3][key]), key


@pytest.mark.parametrize("example", MODELS.values(), ids=MODELS)
def test_a_replica_gets_what_it_gets_alone(example: Example):
    together, alone = example.initialised([0, 1]), example.initialised([1])
    recalibrate_batch_norm(together, example.batch(46), [3, 8], 10)
    recalibrate_batch_norm(alone, example.batch(46), [8], 10)
    for key, value in alone.named_buffers():
        torch.testing.assert_close(together.get_buffer(key)[1], value[0], rtol=1e-4, atol=1e-5, msg=key)
        assert not torch.equal(together.get_buffer(key)[0], value[0]), key


def test_every_batch_of_the_pass_draws_numbers_of_its_own():
    """From a stream that is not that of training, of every replica's own seed."""
    model, seen = Plain(2), []
    loss = model.loss
    model.loss = lambda x, scheduled, noise: seen.append(noise.uniform(3)) or loss(x, scheduled, noise)
    recalibrate_batch_norm(model, X, [4, 9], 10)
    assert len(seen) == 4
    for i, drawn in enumerate(seen):
        assert torch.equal(drawn, Noise([4, 9], "batch statistics").at(i).uniform(3))
    assert len(torch.cat(seen).unique()) == 24
