"""The cluster-aware model: bounds and labels by brute force, enumerated against sampled y, weighted statistics."""

import copy
import math

import pytest
import torch
from by_hand import Fixed
from torch.distributions import Bernoulli, Categorical, Independent, Normal

from genclust.evaluation.likelihood import log_likelihood
from genclust.models.base import Labelled
from genclust.models.cagem import CaGeM, CaGeMSettings
from genclust.models.layers import BatchNorm, WeightedBatchNorm
from genclust.streams import Noise

SMALL = {"n_clusters": 3, "z1_dim": 2, "z2_dim": 2, "hidden": 6, "batch_norm": False, "init": "pytorch"}
WARM = {"warm_up": 1.0}


def model(replicas=1, x_dim=4, **settings) -> CaGeM:
    built = CaGeM(replicas, x_dim, CaGeMSettings(**(SMALL | settings)))
    built.initialise(Noise(range(replicas), "test").generators)
    with torch.no_grad():  # networks as initialised are nearly constant; make what y says matter
        for network in (built.p_y, built.p_x):
            for parameter in network.parameters():
                parameter.mul_(2)
    return built


def bits(*shape: int) -> torch.Tensor:
    return (torch.rand(*shape) < 0.5).float()


def gaussian(heads: dict[str, torch.Tensor]) -> Independent:
    variance = torch.nn.functional.softplus(heads["raw_variance"]) + 1e-5
    return Independent(Normal(heads["mean"], variance.sqrt()), 1)


@torch.no_grad()
def test_the_bound_is_the_sum_over_y_of_the_poster():
    """Every term in float64 with torch's distributions, one y at a time, from the same noise."""
    cagem, x = model(), bits(1, 5, 4)
    u, e1, e2 = torch.rand(1, 5, 4), torch.randn(1, 5, 2), torch.randn(1, 5, 3, 2)
    found = cagem.loss(x, WARM, Fixed(u, e1, e2))
    cagem, x = cagem.double(), x.double()
    q_z1 = gaussian(cagem.q_z1(cagem.q_z1.project(x=x)))
    z1 = q_z1.mean + q_z1.stddev * e1
    q_y = Categorical(logits=cagem.q_y(cagem.q_y.project(x=x, z1=z1))["logits"])
    bound = 0
    for k in range(3):
        y = torch.full((1, 5), k)
        q_z2 = gaussian(cagem.q_z2(cagem.q_z2.project(x=x, z1=z1), y))
        z2 = q_z2.mean + q_z2.stddev * e2[:, :, k]
        p_y = Categorical(logits=cagem.p_y(cagem.p_y.project(z2=z2))["logits"])
        p_z1 = gaussian(cagem.p_z1(cagem.p_z1.project(z2=z2), y))
        p_x = Independent(Bernoulli(logits=cagem.p_x(cagem.p_x.project(z1=z1), y)["logits"]), 1)
        p_z2 = Independent(Normal(torch.zeros_like(z2), 1), 1)
        log_p = p_x.log_prob(x) + p_z1.log_prob(z1) + p_y.log_prob(y) + p_z2.log_prob(z2)
        log_q = q_z1.log_prob(z1) + q_y.log_prob(y) + q_z2.log_prob(z2)
        bound = bound + q_y.probs[..., k] * (log_p - log_q)
    torch.testing.assert_close(found.objective.double(), -bound.mean(-1), rtol=2e-5, atol=1e-5)
    total = sum(found.terms.values())
    torch.testing.assert_close(total.double(), -bound, rtol=2e-5, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("enumerate_y", [True, False])
def test_the_likelihood_is_that_of_draws_from_the_prior(enumerate_y):
    """log p(x) of two images within 0.01 nat, against 400,000 draws of z2 and z1 for each y."""
    torch.manual_seed(0)
    cagem, x = model(), torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 1]])
    n, parts = 100_000, []
    for _ in range(4):
        z2 = torch.randn(1, n, 2)
        p_y = cagem.p_y(cagem.p_y.project(z2=z2))["logits"].log_softmax(-1)
        for k in range(3):
            y = torch.full((1, n), k)
            p_z1 = gaussian(cagem.p_z1(cagem.p_z1.project(z2=z2), y))
            z1 = p_z1.mean + p_z1.stddev * torch.randn(1, n, 2)
            p_x = Independent(Bernoulli(logits=cagem.p_x(cagem.p_x.project(z1=z1), y)["logits"][0]), 1)
            parts.append(torch.stack([p_x.log_prob(image) for image in x]) + p_y[0, :, k])
    truth = torch.cat(parts, 1).double().logsumexp(1) - math.log(4 * n)

    class Estimated:
        replicas, infer = 1, cagem.infer

        @staticmethod
        def log_weights(x, inferred, n, noise):
            return cagem.log_weights(x, inferred, n, noise, enumerate_y=enumerate_y)

    found = log_likelihood(Estimated(), x, [0], 400_000, samples_at_once=20_000)
    torch.testing.assert_close(found.log_prob[0].double(), truth, rtol=0, atol=0.01)
    assert (found.elbo[0] < truth - 0.05).all()


@torch.no_grad()
def test_a_replica_has_the_terms_it_has_alone():
    together = model(replicas=2, batch_norm=True)
    x = torch.rand(2, 7, 4)
    alone = CaGeM(1, 4, together.settings)
    for name, tensor in alone.state_dict().items():
        tensor.copy_(together.state_dict()[name][1:])
    a = together.loss(x, WARM, Noise([3, 8], "draws"))
    b = alone.loss(x[1:], WARM, Noise([8], "draws"))
    for name in a.terms:
        torch.testing.assert_close(a.terms[name][1], b.terms[name][0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(together.cluster_posterior(x).logsumexp(-1), torch.zeros(2, 7), atol=1e-5, rtol=0)


def test_pixels_are_drawn_with_the_declared_divisor():
    for divisor, expected in ((255, 1.0), (256, 255 / 256)):
        x = torch.ones(1, 100_000, 4)
        drawn = model(divisor=divisor).binarise(x, Noise([0], "pixels"))
        assert set(drawn.unique().tolist()) <= {0.0, 1.0}
        assert float(drawn.mean()) == pytest.approx(expected, abs=4e-4)
    grey = torch.full((1, 100_000, 4), 0.3)
    assert float(model().binarise(grey, Noise([0], "pixels")).mean()) == pytest.approx(0.3, abs=0.004)


# ---- weighted batch statistics


@pytest.mark.parametrize("fractions", [[1, 0, 3], [2, 1, 1]])
def test_weighted_statistics_are_those_of_copies(fractions):
    """Weights of quarters: as if each row stood there one to three times; outputs, running statistics, gradients."""
    torch.manual_seed(0)
    weighted, plain = WeightedBatchNorm(2, 5, 0.1), BatchNorm(2, 5, 0.1)
    x = torch.randn(2, 6, 3, 5, dtype=torch.float64, requires_grad=True)
    copies = x.detach().clone().requires_grad_()
    for module in (weighted, plain):
        module.double()
    weights = torch.tensor(fractions, dtype=torch.float64).expand(2, 6, 3) / 4
    repeats = torch.tensor(fractions).repeat(6)
    out = weighted(x, weights)
    rows = copies.flatten(1, 2).repeat_interleave(repeats, 1)
    expected = plain(rows)
    torch.testing.assert_close(out.flatten(1, 2).repeat_interleave(repeats, 1), expected)
    torch.testing.assert_close(weighted.running_mean, plain.running_mean)
    # the unbiased variance divides by one less than the number of examples: 6 here, 24 with four copies of each
    biased = (weighted.running_var - 0.9) * 5 / 6, (plain.running_var - 0.9) * 23 / 24
    torch.testing.assert_close(*biased)
    pull = torch.randn_like(expected)
    (expected * pull).sum().backward()
    rows_pull = torch.zeros(2, 18, 5, dtype=torch.float64)
    rows_pull.index_add_(1, torch.arange(18).repeat_interleave(repeats), pull)
    (out.flatten(1, 2) * rows_pull).sum().backward()
    torch.testing.assert_close(x.grad, copies.grad)


def test_statistics_send_nothing_to_the_weights_and_evaluation_needs_none():
    norm, logits = WeightedBatchNorm(1, 5, 0.1), torch.randn(1, 6, 3, requires_grad=True)
    norm(torch.randn(1, 6, 3, 5, requires_grad=True), logits.softmax(-1)).sum().backward()
    assert logits.grad is None
    norm.eval()
    x = torch.randn(1, 6, 3, 5)
    torch.testing.assert_close(norm(x, logits.softmax(-1)), norm(x))


def test_an_impossible_class_leaves_the_statistics_alone():
    """The reason for the weights: activations of a class that q rules out, of whatever size."""
    norm, x = WeightedBatchNorm(1, 5, 0.1), torch.randn(1, 6, 3, 5)
    q_y = torch.tensor([0.5, 0.5, 0.0]).expand(1, 6, 3)
    usual = norm(x, q_y)[:, :, :2]
    x[:, :, 2] = 1e6
    torch.testing.assert_close(norm(x, q_y)[:, :, :2], usual)


# ---- labels


def labels_by_hand(cagem: CaGeM, labelled: Labelled, draws: list[torch.Tensor], warm_up: float) -> torch.Tensor:
    """What the labels add, ``[L]``: in float64 with torch's distributions, one inferred class at a time."""
    u, e1, *more = (draw.double() for draw in draws)
    s, m, y = cagem.settings, copy.deepcopy(cagem).double(), labelled.y
    x = (u < labelled.x).double()
    q_z1 = gaussian(m.q_z1(m.q_z1.project(x=x)))
    z1 = q_z1.mean + q_z1.stddev * e1
    q_y = Categorical(logits=m.q_y(m.q_y.project(x=x, z1=z1))["logits"])

    def of_class(k: torch.Tensor, e: torch.Tensor) -> tuple[Independent, torch.Tensor, Categorical]:
        q_z2 = gaussian(m.q_z2(m.q_z2.project(x=x, z1=z1), k))
        z2 = q_z2.mean + q_z2.stddev * e
        return q_z2, z2, Categorical(logits=m.p_y(m.p_y.project(z2=z2))["logits"])

    cross_entropy = -q_y.log_prob(y)
    if s.label_objective in ("ce_pq", "elbo_l+ce_pq"):
        e, *more = more
        p_of_y = 0
        for k in range(3):
            _, _, p_y = of_class(torch.full_like(y, k), e[:, :, k])
            p_of_y = p_of_y + q_y.probs[..., k] * p_y.log_prob(y).exp()
        cross_entropy = cross_entropy - p_of_y.log()
    added = s.alpha * labelled.stands_for * cross_entropy
    if s.label_objective in ("elbo_l+ce_q", "elbo_l+ce_pq"):
        e, *more = more
        q_z2, z2, p_y = of_class(y, e)
        p_z1 = gaussian(m.p_z1(m.p_z1.project(z2=z2), y))
        p_x = Independent(Bernoulli(logits=m.p_x(m.p_x.project(z1=z1), y)["logits"]), 1)
        log_p = p_z1.log_prob(z1) + p_y.log_prob(y) + Normal(0.0, 1.0).log_prob(z2).sum(-1)
        added = added - p_x.log_prob(x) - warm_up * (log_p - q_z1.log_prob(z1) - q_z2.log_prob(z2))
    assert not more
    return added[0]


def label_draws(objective: str, L: int) -> list[torch.Tensor]:
    """What the label terms draw, in order."""
    draws = [torch.rand(1, L, 4), torch.randn(1, L, 2)]
    if objective.endswith("pq"):
        draws.append(torch.randn(1, L, 3, 2))
    if objective.startswith("elbo_l"):
        draws.append(torch.randn(1, L, 2))
    return draws


@torch.no_grad()
@pytest.mark.parametrize("warm_up", [1.0, 0.3])
@pytest.mark.parametrize("objective", ["ce_pq", "ce_q", "elbo_l+ce_q", "elbo_l+ce_pq"])
def test_what_each_label_objective_adds(objective, warm_up):
    """Through the loss, whose draws for the unlabelled batch come first; the reported terms stay those of x."""
    torch.manual_seed(0)
    cagem, x = model(label_objective=objective, alpha=0.7), bits(1, 5, 4)
    labelled = Labelled(torch.rand(1, 4, 4), torch.tensor([[0, 2, 1, 2]]), stands_for=30.0)
    draws = [torch.rand(1, 5, 4), torch.randn(1, 5, 2), torch.randn(1, 5, 3, 2)]
    more = label_draws(objective, 4)
    expected = labels_by_hand(cagem, labelled, more, warm_up)
    found = cagem.label_loss(labelled, warm_up, Fixed(*more))
    torch.testing.assert_close(found.double(), expected.mean(-1, keepdim=True), rtol=2e-5, atol=2e-5)
    without = cagem.loss(x, {"warm_up": warm_up}, Fixed(*draws))
    with_labels = cagem.loss(x, {"warm_up": warm_up}, Fixed(*draws, *more), labelled)
    torch.testing.assert_close(with_labels.objective - without.objective, found, rtol=2e-5, atol=2e-5)
    for name, term in without.terms.items():
        assert torch.equal(term, with_labels.terms[name])


@torch.no_grad()
def test_the_classifiers_average_probabilities_over_samples():
    """Four samples one by one, the inferred class summed out by hand; both are normalised."""
    torch.manual_seed(0)
    cagem, x = model(), bits(1, 5, 4)
    e1, e2 = torch.randn(1, 4, 5, 2), torch.randn(1, 4, 5, 3, 2)
    found = cagem.classifiers(x, 4, Fixed(e1, e2))
    m, x = copy.deepcopy(cagem).double(), x.double()
    q_z1, q, p = gaussian(m.q_z1(m.q_z1.project(x=x))), [], []
    for i in range(4):
        z1 = q_z1.mean + q_z1.stddev * e1[:, i].double()
        q.append(m.q_y(m.q_y.project(x=x, z1=z1))["logits"].softmax(-1))
        p.append(torch.zeros_like(q[-1]))
        for k in range(3):
            q_z2 = gaussian(m.q_z2(m.q_z2.project(x=x, z1=z1), torch.full((1, 5), k)))
            z2 = q_z2.mean + q_z2.stddev * e2[:, i, :, k].double()
            p[i] += q[i][..., k, None] * m.p_y(m.p_y.project(z2=z2))["logits"].softmax(-1)
    for name, each in (("q", q), ("p", p)):
        torch.testing.assert_close(found[name].exp().sum(-1), torch.ones(1, 5))
        torch.testing.assert_close(found[name].exp().double(), sum(each) / 4, rtol=2e-5, atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_second_classifier_never_sees_the_label(batch_norm, monkeypatch):
    """Another label changes what is added, and not what p(y|x) is computed from or comes to."""
    cagem, x = model(batch_norm=batch_norm), torch.rand(1, 4, 4)
    seen, real = [], cagem.p_classifier

    def watched(*inputs):
        seen.append((*inputs, real(*inputs)))
        return seen[-1][-1]

    monkeypatch.setattr(cagem, "p_classifier", watched)
    added = [
        cagem.label_loss(Labelled(x, torch.tensor([y]), 30.0), 1.0, Noise([3], "draws"))
        for y in ([0, 1, 2, 0], [1, 2, 2, 1])
    ]
    assert (added[0] - added[1]).abs() > 0.01
    assert len(seen) == 2
    for one, other in zip(*seen, strict=True):
        assert torch.equal(one, other)


@torch.no_grad()
@pytest.mark.parametrize("objective", ["ce_pq", "elbo_l+ce_pq"])
def test_labelled_points_leave_the_running_statistics_alone(objective):
    """Buffers move with the batch exactly as without labels, and the momenta are what they were."""
    torch.manual_seed(0)
    without, x = model(batch_norm=True, label_objective=objective), torch.rand(1, 9, 4)
    told, before = copy.deepcopy(without), copy.deepcopy(dict(without.named_buffers()))
    labelled = Labelled(torch.rand(1, 4, 4) / 9, torch.tensor([[0, 2, 1, 2]]), 30.0)
    a = without.loss(x, WARM, Noise([3], "draws"))
    b = told.loss(x, WARM, Noise([3], "draws"), labelled)
    assert not torch.equal(a.objective, b.objective)
    assert len(before) == 36  # mean and variance of two layers in six networks, and of two heads in three
    for name, buffer in without.named_buffers():
        assert not torch.equal(buffer, before[name]), name
        assert torch.equal(buffer, told.get_buffer(name)), name
    assert {layer.momentum for layer in told.modules() if isinstance(layer, BatchNorm)} == {0.1}


# ---- images


@torch.no_grad()
def test_an_image_is_decoded_under_the_class_given():
    """One z1 of p(z1|y, z2), then p(x|y, z1): by hand, for every class."""
    torch.manual_seed(0)
    cagem, z2, e = model(), torch.randn(1, 5, 2), torch.randn(1, 5, 2)
    images = []
    for k in range(3):
        y = torch.full((1, 5), k)
        p_z1 = gaussian(cagem.p_z1(cagem.p_z1.project(z2=z2), y))
        z1 = p_z1.mean + p_z1.stddev * e
        expected = Bernoulli(logits=cagem.p_x(cagem.p_x.project(z1=z1), y)["logits"]).mean
        images.append(cagem.sample_given(z2, y, Fixed(e)))
        torch.testing.assert_close(images[k], expected)
    assert (images[0] - images[1]).abs().max() > 0.01


@torch.no_grad()
def test_classes_are_drawn_as_often_as_p_says():
    """Frequencies over 60,000 draws at each of three z2, within four standard errors."""
    torch.manual_seed(0)
    cagem, n = model(x_dim=3), 60_000
    for layer in (cagem.p_x.inputs["z1"], cagem.p_x.second, cagem.p_x.heads["logits"]):
        layer.weight.zero_(), layer.bias.zero_()
    cagem.p_x.of_y.weight.zero_()
    for k in range(3):  # an image whose pixel y is the brightest
        cagem.p_x.of_y.weight[0, k, k] = cagem.p_x.second.weight[0, k, k] = 2
        cagem.p_x.heads["logits"].weight[0, k, k] = 2
    z2 = 2 * torch.randn(1, 3, 2)
    p = cagem.p_y(cagem.p_y.project(z2=z2))["logits"][0].double().softmax(-1)
    assert (p.std(0) > 0.01).all()
    y = cagem.sample_given(z2.repeat_interleave(n, 1), None, Noise([3], "images"))[0].argmax(-1).view(3, n)
    frequencies = torch.stack([y.eq(k).double().mean(-1) for k in range(3)], -1)
    assert ((frequencies - p).abs() < 4 * (p * (1 - p) / n).sqrt()).all()


@torch.no_grad()
def test_samples_have_the_means_of_the_prior():
    """The mean image over many samples, against draws of z2 and z1 with y summed out; standard errors below 0.001."""
    torch.manual_seed(0)
    cagem, n, expected = model(), 200_000, torch.zeros(4)
    z2 = torch.randn(1, n, 2)
    p_y = cagem.p_y(cagem.p_y.project(z2=z2))["logits"].softmax(-1)
    for k in range(3):
        y = torch.full((1, n), k)
        z1 = gaussian(cagem.p_z1(cagem.p_z1.project(z2=z2), y)).sample()
        image = cagem.p_x(cagem.p_x.project(z1=z1), y)["logits"].sigmoid()
        expected += (p_y[..., k, None] * image)[0].mean(0)
    torch.testing.assert_close(cagem.sample(n, Noise([5], "images"))[0].mean(0), expected, rtol=0, atol=0.003)


@torch.no_grad()
@pytest.mark.parametrize("warm_up", [0.0, 0.3])
def test_warm_up_weighs_the_divergences_of_the_unlabelled_bound_alone(warm_up):
    """E[log p(x|y, z1)] by hand, one y at a time; the rest of the full bound counts ``warm_up`` of what it is."""
    torch.manual_seed(0)
    cagem, x = model(), bits(1, 5, 4)
    draws = torch.rand(1, 5, 4), torch.randn(1, 5, 2), torch.randn(1, 5, 3, 2)
    found = cagem.loss(x, {"warm_up": warm_up}, Fixed(*draws)).objective
    full = cagem.loss(x, WARM, Fixed(*draws)).objective  # compared with the poster's sum above
    m = copy.deepcopy(cagem).double()
    x = (draws[0] < x).double()
    q_z1 = gaussian(m.q_z1(m.q_z1.project(x=x)))
    z1 = q_z1.mean + q_z1.stddev * draws[1].double()
    q_y = m.q_y(m.q_y.project(x=x, z1=z1))["logits"].softmax(-1)
    reconstruction = 0
    for k in range(3):
        p_x = Bernoulli(logits=m.p_x(m.p_x.project(z1=z1), torch.full((1, 5), k))["logits"])
        reconstruction = reconstruction - (q_y[..., k] * p_x.log_prob(x).sum(-1)).mean(-1)
    expected = reconstruction + warm_up * (full.double() - reconstruction)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    assert abs(float(full - found)) > 0.01


@torch.no_grad()
@pytest.mark.parametrize("enumerate_y", [False, True])
def test_log_weights_are_those_of_each_sample(enumerate_y):
    """log p(x, y, z1, z2) - log q(y, z1, z2|x) in float64 at the same draws, y drawn or summed out in each weight."""
    torch.manual_seed(0)
    cagem, x, e1 = model(), bits(1, 5, 4), torch.randn(1, 7, 5, 2)
    draws = [torch.randn(1, 7, 5, 3, 2)] if enumerate_y else [torch.rand(1, 7, 5, 3), torch.randn(1, 7, 5, 2)]
    found = cagem.log_weights(x, cagem.infer(x), 7, Fixed(e1, *draws), enumerate_y=enumerate_y)
    assert found.shape == (7, 1, 5)
    m, x = copy.deepcopy(cagem).double(), x.double()
    q_z1 = gaussian(m.q_z1(m.q_z1.project(x=x)))
    for s in range(7):
        z1 = q_z1.mean + q_z1.stddev * e1[:, s].double()
        q_y = Categorical(logits=m.q_y(m.q_y.project(x=x, z1=z1))["logits"])

        def log_w(y: torch.Tensor, e2: torch.Tensor, z1: torch.Tensor = z1) -> torch.Tensor:
            q_z2 = gaussian(m.q_z2(m.q_z2.project(x=x, z1=z1), y))
            z2 = q_z2.mean + q_z2.stddev * e2.double()
            p_y = Categorical(logits=m.p_y(m.p_y.project(z2=z2))["logits"])
            p_x = Independent(Bernoulli(logits=m.p_x(m.p_x.project(z1=z1), y)["logits"]), 1)
            log_p = p_x.log_prob(x) + gaussian(m.p_z1(m.p_z1.project(z2=z2), y)).log_prob(z1) + p_y.log_prob(y)
            return log_p + Normal(0.0, 1.0).log_prob(z2).sum(-1) - q_z2.log_prob(z2) - q_z1.log_prob(z1)

        if enumerate_y:
            each = [log_w(torch.full((1, 5), k), draws[0][:, s, :, k]) for k in range(3)]
            expected = torch.stack(each).logsumexp(0)
        else:
            y = (q_y.logits - draws[0][:, s].double().log().neg().log()).argmax(-1)
            expected = log_w(y, draws[1][:, s]) - q_y.log_prob(y)
        torch.testing.assert_close(found[s].double(), expected, rtol=2e-5, atol=2e-5)


def test_gradients_of_the_bound_are_those_of_the_sum_over_y():
    """Of everything, through q(y|z1, x) as well, against autograd of the poster's sum in float64."""
    torch.manual_seed(0)
    cagem, warm_up, x = model().double(), 0.6, bits(1, 5, 4).double()
    draws = torch.rand(1, 5, 4), torch.randn(1, 5, 2).double(), torch.randn(1, 5, 3, 2).double()
    found = cagem.loss(x, {"warm_up": warm_up}, Fixed(*draws)).objective
    q_z1 = gaussian(cagem.q_z1(cagem.q_z1.project(x=x)))
    z1 = q_z1.mean + q_z1.stddev * draws[1]
    q_y = Categorical(logits=cagem.q_y(cagem.q_y.project(x=x, z1=z1))["logits"])
    expected = 0
    for k in range(3):
        y = torch.full((1, 5), k)
        q_z2 = gaussian(cagem.q_z2(cagem.q_z2.project(x=x, z1=z1), y))
        z2 = q_z2.mean + q_z2.stddev * draws[2][:, :, k]
        log_p = gaussian(cagem.p_z1(cagem.p_z1.project(z2=z2), y)).log_prob(z1) + Normal(0.0, 1.0).log_prob(z2).sum(-1)
        log_p = log_p + Categorical(logits=cagem.p_y(cagem.p_y.project(z2=z2))["logits"]).log_prob(y)
        p_x = Independent(Bernoulli(logits=cagem.p_x(cagem.p_x.project(z1=z1), y)["logits"]), 1)
        ratio = q_z1.log_prob(z1) + q_y.log_prob(y) + q_z2.log_prob(z2) - log_p
        expected = expected + (q_y.probs[..., k] * (warm_up * ratio - p_x.log_prob(x))).mean(-1)
    torch.testing.assert_close(found, expected)
    names, parameters = zip(*cagem.named_parameters(), strict=True)
    pairs = zip(*(torch.autograd.grad(each.sum(), parameters) for each in (found, expected)), strict=True)
    for name, (a, b) in zip(names, pairs, strict=True):
        torch.testing.assert_close(a, b, msg=lambda text, name=name: f"{name}: {text}")


@torch.no_grad()
def test_embedding_and_reconstruction_average_over_the_classes():
    """At the mean of q(z1|x), one class after the other, weighted by its probability."""
    torch.manual_seed(0)
    cagem, x = model(replicas=1), bits(1, 5, 4)
    z1 = cagem.q_z1(cagem.q_z1.project(x=x))["mean"]
    q_y = cagem.q_y(cagem.q_y.project(x=x, z1=z1))["logits"].softmax(-1)
    z2, image = torch.zeros(1, 5, 2), torch.zeros(1, 5, 4)
    for k in range(3):
        y = torch.full((1, 5), k)
        z2 += q_y[..., k, None] * cagem.q_z2(cagem.q_z2.project(x=x, z1=z1), y)["mean"]
        image += q_y[..., k, None] * cagem.p_x(cagem.p_x.project(z1=z1), y)["logits"].sigmoid()
    found = cagem.embed(x)
    torch.testing.assert_close(found["z1_mean"], z1)
    torch.testing.assert_close(found["z2_mean"], z2)
    torch.testing.assert_close(cagem.reconstruct(x), image)
    torch.testing.assert_close(cagem.cluster_posterior(x).exp(), q_y)
