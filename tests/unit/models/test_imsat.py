"""IMSAT: its entropies by scikit-learn, its adversarial direction by central differences, its radius by search."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from genclust import data
from genclust.models import MODELS
from genclust.models.imsat import IMSAT, IMSATSettings
from genclust.models.neighbours import squared_distances
from genclust.settings import SettingError
from genclust.streams import Noise


def tiny_model(seed: int = 0, x_dim: int = 6, **changes) -> IMSAT:
    model = IMSAT(1, x_dim, IMSATSettings(3, hidden=(16, 12), **changes))
    model.initialise(Noise([seed], "test").generators)
    with torch.no_grad():
        model.category.weight.mul_(2e4)  # as after some training: at first all clusters are equally probable
    return model


def rows(n: int, x_dim: int = 6) -> torch.Tensor:
    return torch.randn(n, x_dim, generator=torch.Generator().manual_seed(1))


def test_entropies_of_confident_answers_give_the_mutual_information_of_scikit_learn():
    model, x = tiny_model().train(), rows(400)
    model.initialise_from_data(x)
    with torch.no_grad():
        model.category.weight.mul_(1e3)  # every answer is certain
        terms = model.loss(x[None], {}, Noise([0], "test")).terms
        clusters = model.q_y(x[None])[0].argmax(-1).numpy()
    counts = np.bincount(clusters, minlength=3) / 400
    assert (counts > 0).sum() > 1
    entropy = -(counts[counts > 0] * np.log(counts[counts > 0])).sum()
    assert terms["conditional_entropy"].mean().item() == pytest.approx(0, abs=0.02)
    assert -terms["marginal"].mean().item() == pytest.approx(entropy, abs=0.02)


def test_the_objective_weighs_its_terms():
    model, x = tiny_model(information_weight=0.3, mu=2.5).train(), rows(50)
    model.initialise_from_data(x)
    loss = model.loss(x[None], {}, Noise([0], "test"))
    mean = {name: term.mean() for name, term in loss.terms.items()}
    expected = mean["divergence"] + 0.3 * (2.5 * mean["marginal"] + mean["conditional_entropy"])
    torch.testing.assert_close(loss.objective[0], expected)


def test_the_direction_is_the_gradient_of_the_divergence_by_central_differences():
    model, x = tiny_model(), rows(40)
    model.initialise_from_data(rows(400))
    found = model.eval().adversarial_divergence(x[None], model.q_y(x[None]), Noise([3], "d"))[0]

    radius = model.distance_to_neighbour(x[None])[0].double()
    model, x = model.double(), x.double()
    log_q = model.q_y(x[None])[0].detach().double()

    @torch.no_grad()
    def divergence(r: torch.Tensor) -> torch.Tensor:
        return (log_q.exp() * (log_q - model.q_y((x + r)[None])[0].double())).sum(-1)

    start = Noise([3], "d").normal(40, 6)[0].double()
    r = radius * start / start.norm(dim=-1, keepdim=True)
    h = 1e-3
    slopes = [(divergence(r + h * e) - divergence(r - h * e)) / (2 * h) for e in torch.eye(6, dtype=torch.float64)]
    gradient = torch.stack(slopes, -1)
    expected = divergence(0.25 * radius * gradient / gradient.norm(dim=-1, keepdim=True))
    torch.testing.assert_close(found.double(), expected, rtol=1e-2, atol=1e-5)


def test_no_gradient_flows_through_the_answer_that_is_kept():
    model, x = tiny_model().eval(), rows(8)
    model.initialise_from_data(rows(80))
    log_q = model.q_y(x[None])
    log_q.retain_grad()
    model.adversarial_divergence(x[None], log_q, Noise([0], "d")).sum().backward()
    assert log_q.grad is None
    assert model.category.weight.grad.abs().sum() > 0


def test_running_statistics_are_those_of_the_data_and_not_of_the_perturbed_points():
    model, x = tiny_model().train(), rows(100)
    model.initialise_from_data(x)
    model.loss(x[None], {}, Noise([0], "test"))
    hidden = x @ model.encoder[0].weight[0].detach() + model.encoder[0].bias[0].detach()
    torch.testing.assert_close(model.encoder[1].running_mean[0], 0.1 * hidden.mean(0), rtol=1e-4, atol=1e-6)


def test_the_radius_is_near_the_distance_to_the_tenth_neighbour():
    model, x = tiny_model(x_dim=2), rows(3000, 2)
    model.initialise_from_data(x)
    estimated = model.distance_to_neighbour(x[None])[0, :, 0].numpy()
    exact = NearestNeighbors(n_neighbors=11).fit(x.numpy()).kneighbors(x.numpy())[0][:, 10]
    # The number of rows within it, which grows with its square here, is ten on average.
    assert np.mean((estimated / exact) ** 2) == pytest.approx(1, abs=0.1)


@pytest.mark.data
def test_on_mnist_the_radius_is_that_of_the_paper_within_five_per_cent():
    try:
        images = data.load("mnist").splits["train"].x[:20_000].astype(np.float32) / 255
    except data.DataError as error:
        pytest.skip(str(error))
    x, rows = torch.from_numpy(images[:1000]), torch.from_numpy(images)
    model = tiny_model(x_dim=784)
    model.initialise_from_data(rows)
    exact = torch.cdist(x, rows).topk(11, largest=False).values[:, -1]  # the first is the row itself
    assert (model.distance_to_neighbour(x[None]).mean() / exact.mean()).item() == pytest.approx(1, abs=0.05)


def test_far_from_the_origin_distances_are_as_good():
    x, rows = (torch.randn(n, 5, generator=torch.Generator().manual_seed(n)) for n in (30, 300))
    near = squared_distances(x, rows)
    torch.testing.assert_close(squared_distances(x + 1000, rows + 1000), near, rtol=0.01, atol=0.01)
    torch.testing.assert_close(near, torch.cdist(x.double(), rows.double()).square().float(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["gumbel", "imsat", "splitmerge"])
def test_a_model_without_a_hidden_layer_is_refused(name):
    module, settings = MODELS[name]
    with pytest.raises(SettingError, match=r"^model\.hidden must give the width of one layer or more"):
        module(1, 16, settings(n_clusters=2, hidden=(), **({"latent_dim": 2} if name == "gumbel" else {})))
