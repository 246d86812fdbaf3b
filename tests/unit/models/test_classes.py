"""The sum over classes by its most probable ones and one drawn: every draw is enumerated and weighed by its chance."""

import copy
from itertools import product

import pytest
import torch
from by_hand import Fixed

from genclust.models import MODELS, Model
from genclust.models.base import Labelled
from genclust.models.classes import class_sum
from genclust.models.layers import BatchNorm
from genclust.models.networks import ClassConditionalMLP
from genclust.settings import SettingError, configured, read
from genclust.streams import Noise
from genclust.training.batch_norm import recalibrate_batch_norm

K, B, D = 4, 5, 6
WARM = {"warm_up": 0.7}
SETTINGS = {
    "cagem": {"n_clusters": K, "z1_dim": 3, "z2_dim": 2, "hidden": 7, "batch_norm": False, "init": "pytorch"},
    "adgm": {"n_clusters": K, "a_dim": 3, "z_dim": 2, "hidden": 7, "init": "pytorch"},
}
every_model = pytest.mark.parametrize("name", SETTINGS)


def built(name: str, replicas: int = 1, **settings) -> Model:
    """In float64 and in training mode, with a q(y|·) neither even nor sure, and networks that heed y."""
    kind, of = MODELS[name]
    model = kind(replicas, D, of(**(SETTINGS[name] | settings))).double()
    model.initialise(Noise([3] * replicas, "test").generators)
    with torch.no_grad():
        model.q_y.heads["logits"].weight.mul_(6)
        for network in model.children():
            assert isinstance(network, ClassConditionalMLP)
            if network.of_y is not None:
                network.of_y.weight.mul_(4)
    return model.train()


def given(n: int = B) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Images, and the draws for pixels, for z1 or a, and for the upper layer under every class."""
    torch.manual_seed(1)
    x = torch.rand(1, n, D, dtype=torch.float64)
    return x, [torch.rand_like(x), *(torch.randn(1, n, *shape, dtype=torch.float64) for shape in ((3,), (K, 2)))]


def selecting(y: torch.Tensor) -> torch.Tensor:
    """The uniform numbers that draw the class y of every row, however improbable."""
    return torch.full((*y.shape, K), 1e-20, dtype=torch.float64).scatter(-1, y[..., None], 1 - 1e-15)


def visiting(y: torch.Tensor, draws: list[torch.Tensor]) -> Fixed:
    """Noise by which the last class of y is drawn; those visited get the draws that they have in the full sum."""
    pixels, lower, upper = draws
    return Fixed(pixels, lower, selecting(y[..., -1]), upper.gather(2, y[..., None].expand(-1, -1, -1, 2)))


@torch.no_grad()
def log_q_y(model: Model, x: torch.Tensor, draws: list[torch.Tensor]) -> torch.Tensor:
    """log q(y|·) in a step, from the same draws."""
    seen, step = [], copy.deepcopy(model)
    step.q_y.register_forward_hook(lambda network, inputs, heads: seen.append(heads["logits"].log_softmax(-1)))
    step.loss(x, WARM, Fixed(*draws))
    return seen[0]


def every_class_drawn(log_q: torch.Tensor, m: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What one row may visit, ``[K - m, R, B, m + 1]``, and the chance of each, ``[K - m, R, B]``."""
    ranked = log_q.argsort(-1, descending=True)
    visited = torch.stack([torch.cat([ranked[..., :m], ranked[..., k, None]], -1) for k in range(m, K)])
    chance = log_q.exp().expand(K - m, *log_q.shape).gather(-1, visited[..., -1:]).squeeze(-1)
    return visited, chance / chance.sum(0)


def total(terms: dict[str, torch.Tensor]) -> torch.Tensor:
    """Each example's part of the objective."""
    return sum(term if name == "reconstruction" else WARM["warm_up"] * term for name, term in terms.items())


def gradients(model: Model, objective: torch.Tensor) -> dict[str, torch.Tensor]:
    names, parameters = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(objective, parameters), strict=True))


# ---- without bias


@pytest.mark.parametrize("m", [1, 2])
def test_the_gradient_is_that_of_the_score_function_with_a_baseline(m):
    """Every draw of one row, against the equation that the module writes out, and their mean against the sum itself."""
    torch.manual_seed(0)
    logits, heights = (torch.randn(1, 1, K, dtype=torch.float64, requires_grad=True) for _ in range(2))
    log_q, f = logits.log_softmax(-1), heights.sin() * logits.cos()
    q, at = log_q.exp().detach(), [logits, heights]

    def gradient(of: torch.Tensor) -> torch.Tensor:
        found = torch.autograd.grad(of.sum(), at, retain_graph=True, allow_unused=True)
        return torch.cat([torch.zeros(K) if g is None else g.flatten() for g in found])

    visited, chance = every_class_drawn(log_q.detach(), m)
    mean, mean_gradient = 0, 0
    for y, p in zip(visited, chance, strict=True):
        over_y = class_sum(log_q, m, Fixed(selecting(y[..., -1])), learning=True)
        assert over_y.visited == m + 1 and torch.equal(over_y.y, y)
        found = over_y.mean(f.gather(-1, y), log_q)
        top, c = y[0, 0, :-1].tolist(), int(y[0, 0, -1])
        rest = 1 - sum(q[..., k] for k in top)
        b = sum(q[..., k] * f[..., k] for k in top).detach() / (1 - rest)
        expected = rest * gradient(f[..., c]) + rest * (f[..., c] - b).detach() * gradient(log_q[..., c])
        for k in top:
            expected = (
                expected + q[..., k] * gradient(f[..., k]) + (f[..., k] - b).detach() * gradient(log_q[..., k].exp())
            )
        expected = expected + gradient((log_q.exp() * log_q).sum(-1))
        torch.testing.assert_close(gradient(found), expected.flatten(), rtol=0, atol=1e-12)
        torch.testing.assert_close(over_y.weights[..., -1].detach(), rest)
        mean, mean_gradient = mean + p * found, mean_gradient + p.flatten() * gradient(found)
    full = class_sum(log_q, 0, Fixed(), learning=True).mean(f, log_q)
    torch.testing.assert_close(mean, full, rtol=0, atol=1e-12)
    torch.testing.assert_close(mean_gradient, gradient(full), rtol=0, atol=1e-12)


@every_model
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("m", [1, 2])
def test_terms_and_gradients_averaged_over_all_draws_are_the_full_sums(name, batch_norm, m):
    """Copies of each example, one for every class that it may draw; with batch normalisation, given its statistics."""
    model, full = (built(name, batch_norm=batch_norm, classes=classes) for classes in (m, 0))
    x, draws = given()
    full.loss(x, WARM, Fixed(*draws))  # for statistics that are not those of the beginning
    model.load_state_dict(full.state_dict())
    for layer in (*model.modules(), *full.modules()):
        if isinstance(layer, BatchNorm):
            layer.eval()
    visited, chance = every_class_drawn(log_q_y(full, x, draws), m)
    copies = [t.repeat(1, K - m, *[1] * (t.ndim - 2)) for t in (x, *draws)]
    noise = visiting(visited.transpose(0, 1).flatten(1, 2), copies[1:])
    found = model.loss(copies[0], WARM, noise)
    assert noise.draws == []
    torch.testing.assert_close(found.objective, total(found.terms).mean(-1))
    expected = full.loss(x, WARM, Fixed(*draws)).terms
    averaged = {term: (chance[:, 0] * each.view(K - m, B)).sum(0)[None] for term, each in found.terms.items()}
    for term, value in expected.items():
        torch.testing.assert_close(averaged[term], value, rtol=0, atol=1e-10)
    spread = total(found.terms).view(K - m, B).std(0)
    assert (spread > 1e-3).all()  # or there would be nothing to average
    of_draws, of_sum = gradients(model, total(averaged).sum()), gradients(full, total(expected).sum())
    for parameter, value in of_sum.items():
        torch.testing.assert_close(of_draws[parameter], value, rtol=0, atol=1e-10)


@every_model
def test_the_streams_of_a_step_draw_without_bias(name):
    """Mean objective and gradients over 1,000 replicas with the same parameters, against the full sum of each.

    The two see the same pixels and the same z1 or a, and draw classes and the upper layer each for itself.
    """
    R, x = 1000, given(2)[0]
    found = []
    for classes in (0, 1):
        model = built(name, replicas=R, classes=classes)
        objective = model.loss(x.expand(R, 2, D), WARM, Noise(range(R), "test")).objective
        every = [objective.detach()[:, None], *(g.flatten(1) for g in gradients(model, objective.sum()).values())]
        found.append(torch.cat(every, 1))
    difference = found[1] - found[0]
    error = difference.std(0) / R**0.5
    assert error[0] > 0
    assert (difference.mean(0).abs() <= 4.5 * error + 1e-12).all()


# ---- what is exact


@every_model
@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("classes", [K - 1, K, 50])
def test_one_class_left_or_none_is_the_full_sum(name, batch_norm, classes):
    x, draws = given()
    found, full = [], []
    for results, settings in ((found, {"classes": classes}), (full, {})):
        model = built(name, batch_norm=batch_norm, **settings)
        terms = model.loss(x, WARM, Fixed(*draws))
        results += [terms.objective, *terms.terms.values(), *gradients(model, terms.objective.sum()).values()]
        results += model.buffers()
    for one, other in zip(found, full, strict=True):
        assert torch.equal(one, other)


@every_model
def test_evaluation_and_statistics_collected_anew_sum_over_all_classes(name):
    x, draws = given()
    x, draws = x.float(), [draw.float() for draw in draws]
    model, full = (built(name, batch_norm=True, classes=classes).float() for classes in (1, 0))
    for one in (model, full):
        recalibrate_batch_norm(one, x[0], [3], 2)
    for one, other in zip(model.buffers(), full.buffers(), strict=True):
        assert torch.equal(one, other)
    found, expected = (one.loss(x, WARM, Fixed(*draws)).terms for one in (model, full))
    for term, value in expected.items():
        assert torch.equal(found[term], value)
    labelled = Labelled(x[:, :2], torch.tensor([[2, 0]]), 9.0)
    added = [one.train().label_loss(labelled, 0.7, Noise([5], "labels")) for one in (model, full)]
    assert torch.equal(*added)


@every_model
def test_divergences_of_q_of_y_alone_are_exact(name):
    """Two ways to draw: only what networks make of the class drawn may differ."""
    model, (x, draws) = built(name, classes=1), given()
    log_q = log_q_y(model.eval(), x, draws)
    visited, _ = every_class_drawn(log_q, 1)
    model.train()
    seen = [model.loss(x, WARM, visiting(y, draws)).terms for y in visited]
    assert (seen[0]["reconstruction"] != seen[1]["reconstruction"]).all()
    if name == "adgm":  # p(y) is even
        assert torch.equal(seen[0]["kl_y"], seen[1]["kl_y"])
    else:  # with p(y|z2) even, too
        with torch.no_grad():
            for parameter in model.p_y.heads["logits"].parameters():
                parameter.zero_()
        entropy = -(log_q.exp() * log_q).sum(-1)
        for y in visited:
            found = model.loss(x, WARM, visiting(y, draws)).terms["kl_y"]
            torch.testing.assert_close(found, torch.tensor(K).double().log() - entropy)


# ---- batch statistics


@every_model
def test_weighted_moments_of_a_first_layer_are_unbiased_and_its_variance_short_by_that_of_the_mean(name):
    """All 3^3 ways in which three examples draw together, each with its chance."""
    n, (x, draws) = 3, given(3)
    model, full = (built(name, batch_norm=True, bn_momentum=1, classes=classes) for classes in (1, 0))
    network = "q_z2" if name == "cagem" else "q_z"

    def moments(of: Model) -> tuple[torch.Tensor, torch.Tensor]:
        first = getattr(of, network).norms["first"]
        return first.running_mean.clone(), first.running_var * (n - 1) / n  # the running one is corrected for n

    full.loss(x, WARM, Fixed(*draws))
    mean, variance = moments(full)
    visited, chance = every_class_drawn(log_q_y(full, x, draws), 1)
    found, chances = [], []
    for ways in product(range(K - 1), repeat=n):
        y = torch.stack([visited[way, :, b] for b, way in enumerate(ways)], 1)
        model.loss(x, WARM, visiting(y, draws))
        found.append(moments(model))
        chances.append(torch.stack([chance[way, 0, b] for b, way in enumerate(ways)]).prod())
    p = torch.stack(chances)[:, None, None]
    means, variances = (torch.stack(each) for each in zip(*found, strict=True))
    torch.testing.assert_close(p.sum(), torch.ones_like(p.sum()), rtol=0, atol=1e-12)
    torch.testing.assert_close((p * means).sum(0), mean, rtol=0, atol=1e-10)
    of_mean = (p * (means - mean).square()).sum(0)
    assert (of_mean > 1e-6).all()
    torch.testing.assert_close((p * variances).sum(0), variance - of_mean, rtol=0, atol=1e-10)


@every_model
def test_classes_that_are_not_visited_leave_batch_normalised_terms_alone(name):
    """And those visited count by weights: a class without probability that is drawn all the same moves nothing."""
    model, (x, draws) = built(name, batch_norm=True, classes=1), given()
    with torch.no_grad():
        model.q_y.heads["logits"].bias[..., 0] += 1e4
    y = torch.tensor([0, 2]).expand(1, B, 2)
    usual = model.loss(x, WARM, visiting(y, draws)).terms
    with torch.no_grad():
        for network in model.children():
            if network.of_y is not None:
                network.of_y.weight[:, 1:] += 100
    terms = model.loss(x, WARM, visiting(y, draws))
    for term, value in usual.items():
        torch.testing.assert_close(terms.terms[term], value)
    assert all(g.isfinite().all() for g in gradients(model, terms.objective.sum()).values())


# ---- replicas and settings


@every_model
def test_a_replica_draws_what_it_draws_alone(name):
    x = given()[0]
    pair, alone = built(name, replicas=2, batch_norm=True, classes=1), built(name, batch_norm=True, classes=1)
    both = pair.loss(x.expand(2, B, D), WARM, Noise([3, 8], "test")).terms
    one = alone.loss(x, WARM, Noise([8], "test")).terms
    for term, value in one.items():
        torch.testing.assert_close(both[term][1], value[0])
        assert not torch.equal(both[term][0], both[term][1])


@every_model
def test_a_configuration_is_as_before_unless_a_class_is_drawn(name):
    settings = MODELS[name][1]
    assert "classes" not in configured(read(settings, {"n_clusters": K}, "model"))
    assert configured(read(settings, {"n_clusters": K, "classes": 2}, "model"))["classes"] == 2
    with pytest.raises(SettingError, match=r"model.classes must lie between 0 and 10000, not -1\."):
        read(settings, {"n_clusters": K, "classes": -1}, "model")
