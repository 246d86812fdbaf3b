"""The noise of gradients: against known variances, and against NumPy's on the gradients of a tiny model."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from genclust.evaluation import measures
from genclust.evaluation.gradients import gradient_noise
from genclust.models import MODELS
from genclust.models.inference import as_float
from genclust.streams import Noise

SETTINGS = {
    "cagem": {"n_clusters": 5, "z1_dim": 3, "z2_dim": 2, "hidden": 7},
    "adgm": {"n_clusters": 5, "a_dim": 3, "z_dim": 2, "hidden": 7},
}


def test_estimates_are_without_bias_for_variances_that_are_known():
    """4,000 replicas, each with four batches of three draws; two parameters of other means and variances."""
    R, G, n = 4000, 4, 3
    mean, of_batch, of_draw = torch.tensor([0.3, -0.1]), torch.tensor([0.5, 1.0]), torch.tensor([2.0, 0.7])
    generator = torch.Generator().manual_seed(0)
    batches = of_batch * torch.randn(G, R, 2, generator=generator)
    found = gradient_noise(
        lambda batch, draw: mean + batches[batch] + of_draw * torch.randn(R, 2, generator=generator), G, n
    )
    truth = {"squared_norm": mean, "of_draws": of_draw, "of_batches": of_batch}
    for name, values in truth.items():
        each, expected = getattr(found, name), float(values.double().square().sum())
        error = float(each.std()) / R**0.5
        assert abs(float(each.mean()) - expected) < 4.5 * error < 0.3 * expected + 0.1, name


@pytest.mark.parametrize("name", SETTINGS)
def test_an_evaluation_gives_the_noise_of_training_steps_and_leaves_the_model_as_it_was(name, monkeypatch):
    monkeypatch.setattr(measures, "GRADIENT_BATCHES", 3)
    monkeypatch.setattr(measures, "GRADIENT_DRAWS", 4)
    torch.manual_seed(0)
    seeds, x = [3, 8], torch.randint(0, 256, (40, 6), dtype=torch.uint8)
    kind, settings = MODELS[name]
    model = kind(2, 6, settings(**SETTINGS[name]))
    model.initialise(Noise(seeds, "test").generators)
    model.eval()
    before = copy.deepcopy(model.state_dict())
    found = measures.gradients(model, x, seeds, torch.device("cpu"))
    assert not model.training and model.settings.classes == 0
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())

    order = Noise(seeds, "batches for gradients").permutation(40)
    for place, classes in enumerate(found[0].arrays["gradient_classes"]):
        step = copy.deepcopy(model).train()
        step.settings = replace(step.settings, classes=int(classes))
        each = np.empty((2, 3, 4, sum(p[0].numel() for p in step.parameters())))
        for batch, draw in np.ndindex(3, 4):
            noise = Noise(seeds, f"gradients, {classes} classes").at(measures.GRADIENT_DRAWS * batch + draw)
            rows = torch.stack([as_float(x[order[r, 13 * batch : 13 * (batch + 1)]]) for r in range(2)])
            step.zero_grad()
            step.loss(rows, {"warm_up": 1.0}, noise).objective.sum().backward()
            for r in range(2):
                each[r, batch, draw] = np.concatenate([p.grad[r].numpy().ravel() for p in step.parameters()])
        for r in range(2):
            of_draws = each[r].var(1, ddof=1).mean(0).sum()
            of_batches = each[r].mean(1).var(0, ddof=1).sum() - of_draws / 4
            squared_norm = (each[r].mean((0, 1)) ** 2).sum() - of_batches / 3 - of_draws / 12
            kept = {key: float(values[place]) for key, values in found[r].arrays.items()}
            assert kept["gradient_of_draws"] == pytest.approx(of_draws, rel=1e-4)
            assert kept["gradient_of_batches"] == pytest.approx(of_batches, rel=1e-3, abs=1e-4 * of_draws)
            assert kept["gradient_squared_norm"] == pytest.approx(squared_norm, rel=1e-3, abs=1e-4 * of_draws)
