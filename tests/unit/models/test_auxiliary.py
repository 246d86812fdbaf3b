"""Auxiliary models: bounds and label terms by hand, likelihoods against prior draws that know of no auxiliary."""

import math

import pytest
import torch
from by_hand import Fixed, mlp
from torch.distributions import Bernoulli, Categorical, Independent, Normal

from genclust.evaluation.likelihood import log_likelihood
from genclust.models.auxiliary import ADGM, AVAE, ADGMSettings, AVAESettings
from genclust.models.base import Labelled
from genclust.streams import Noise

COMMON = {"a_dim": 3, "hidden": 6, "batch_norm": False, "init": "pytorch"}
WARM = {"warm_up": 1.0}


def initialised(built):
    built.initialise(Noise(range(built.replicas), "test").generators)
    with torch.no_grad():
        for parameter in built.p_x.parameters():  # as initialised nearly constant
            parameter.mul_(2)
        for name, network in built.named_children():  # importance weights of finite variance need a q wider than p
            if name.startswith("q") and name != "q_y":
                network.heads["raw_variance"].bias.add_(0.7)
    return built


def avae(replicas=1, x_dim=4, **settings) -> AVAE:
    return initialised(AVAE(replicas, x_dim, AVAESettings(**(COMMON | {"z1_dim": 2, "z2_dim": 2} | settings))))


def adgm(replicas=1, x_dim=4, **settings) -> ADGM:
    return initialised(ADGM(replicas, x_dim, ADGMSettings(**(COMMON | {"n_clusters": 3, "z_dim": 2} | settings))))


def bits(*shape: int) -> torch.Tensor:
    return torch.randint(2, shape).float()


def gaussian(network, y: int | None = None, **inputs: torch.Tensor) -> Independent:
    heads = mlp(network, y, **inputs)
    variance = torch.nn.functional.softplus(heads["raw_variance"]) + 1e-5
    return Independent(Normal(heads["mean"], variance.sqrt()), 1)


def bernoulli(network, y: int | None = None, **inputs: torch.Tensor) -> Independent:
    return Independent(Bernoulli(logits=mlp(network, y, **inputs)["logits"]), 1)


def standard(z: torch.Tensor) -> torch.Tensor:
    return Normal(0.0, 1.0).log_prob(z).sum(-1)


# ---- the bounds


@torch.no_grad()
@pytest.mark.parametrize("warm_up", [1.0, 0.3])
def test_the_bound_of_avae(warm_up):
    """Every term in float64 with torch's distributions and networks written out, from the same noise."""
    torch.manual_seed(0)
    found_by, x, u = avae(), bits(1, 5, 4), torch.rand(1, 5, 4)
    noises = [torch.randn(1, 5, dim) for dim in (3, 2, 2)]
    found = found_by.loss(x, {"warm_up": warm_up}, Fixed(u, *(e[:, None] for e in noises)))
    m, x, (e, e1, e2) = found_by.double(), x[0].double(), (noise[0].double() for noise in noises)
    q_a = gaussian(m.q_a, x=x)
    a = q_a.mean + q_a.stddev * e
    q_z1 = gaussian(m.q_z1, x=x, a=a)
    z1 = q_z1.mean + q_z1.stddev * e1
    q_z2 = gaussian(m.q_z2, x=x, a=a, z1=z1)
    z2 = q_z2.mean + q_z2.stddev * e2
    expected = {
        "reconstruction": -bernoulli(m.p_x, z1=z1).log_prob(x),
        "kl_a": q_a.log_prob(a) - gaussian(m.p_a, x=x, z1=z1, z2=z2).log_prob(a),
        "kl_z1": q_z1.log_prob(z1) - gaussian(m.p_z1, z2=z2).log_prob(z1),
        "kl_z2": q_z2.log_prob(z2) - standard(z2),
    }
    assert list(found.terms) == list(expected)
    for name, term in expected.items():
        torch.testing.assert_close(found.terms[name][0].double(), term, rtol=2e-5, atol=2e-5)
    objective = expected["reconstruction"] + warm_up * (expected["kl_a"] + expected["kl_z1"] + expected["kl_z2"])
    torch.testing.assert_close(found.objective[0].double(), objective.mean(), rtol=2e-5, atol=2e-5)


def log_ratio(m: ADGM, x: torch.Tensor, a: torch.Tensor, e: torch.Tensor, y: int, warm_up: float) -> torch.Tensor:
    """log p(x|y, z), plus warm_up times the logarithm of p(y) p(z) p(a|x, y, z) / q(z|a, y, x)."""
    q_z = gaussian(m.q_z, y, x=x, a=a)
    z = q_z.mean + q_z.stddev * e
    log_p = -math.log(3) + standard(z) + gaussian(m.p_a, y, x=x, z=z).log_prob(a)
    return bernoulli(m.p_x, y, z=z).log_prob(x) + warm_up * (log_p - q_z.log_prob(z))


@torch.no_grad()
@pytest.mark.parametrize("warm_up", [1.0, 0.3])
def test_the_bound_of_adgm_is_a_sum_over_y(warm_up):
    """One y at a time, in float64 from the same noise."""
    torch.manual_seed(0)
    found_by, x = adgm(), bits(1, 5, 4)
    u, e, e_z = torch.rand(1, 5, 4), torch.randn(1, 5, 3), torch.randn(1, 5, 3, 2)
    found = found_by.loss(x, {"warm_up": warm_up}, Fixed(u, e, e_z))
    m, x = found_by.double(), x[0].double()
    q_a = gaussian(m.q_a, x=x)
    a = q_a.mean + q_a.stddev * e[0]
    q_y = Categorical(logits=mlp(m.q_y, x=x, a=a)["logits"])
    bound = -warm_up * q_a.log_prob(a)
    for y in range(3):
        ratio = log_ratio(m, x, a, e_z[0, :, y].double(), y, warm_up)
        bound = bound + q_y.probs[:, y] * (ratio - warm_up * q_y.logits[:, y])
    torch.testing.assert_close(found.objective[0].double(), -bound.mean(), rtol=2e-5, atol=2e-5)
    terms = dict(found.terms)
    negative = terms.pop("reconstruction") + warm_up * sum(terms.values())
    torch.testing.assert_close(negative[0].double(), -bound, rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(terms["kl_y"][0].double(), math.log(3) - q_y.entropy(), rtol=2e-5, atol=2e-5)


@torch.no_grad()
@pytest.mark.parametrize("warm_up", [1.0, 0.3])
def test_what_labels_add(warm_up):
    """-L(x, y) and the weighted cross-entropy at the given y, in float64 from the same noise."""
    torch.manual_seed(0)
    found_by, x, y = adgm(alpha=0.7), bits(1, 5, 4), torch.tensor([[0, 2]])
    labelled = Labelled(bits(1, 2, 4), y, stands_for=30.0)
    draws = [torch.rand(1, 5, 4), torch.randn(1, 5, 3), torch.randn(1, 5, 3, 2)]
    more = [torch.rand(1, 2, 4), torch.randn(1, 2, 3), torch.randn(1, 2, 2)]
    schedules = {"warm_up": warm_up}
    without = found_by.loss(x, schedules, Fixed(*draws))
    with_labels = found_by.loss(x, schedules, Fixed(*draws, *more), labelled)
    added = []
    m = found_by.double()
    for i in range(2):
        x_i, y_i = labelled.x[0, i : i + 1].double(), int(y[0, i])
        q_a = gaussian(m.q_a, x=x_i)
        a = q_a.mean + q_a.stddev * more[1][0, i]
        bound = log_ratio(m, x_i, a, more[2][0, i].double(), y_i, warm_up) - warm_up * q_a.log_prob(a)
        log_q_y = Categorical(logits=mlp(m.q_y, x=x_i, a=a)["logits"]).log_prob(torch.tensor([y_i]))
        added.append(-bound - 0.7 * 30 * log_q_y)
    found = with_labels.objective - without.objective
    torch.testing.assert_close(found.double(), torch.stack(added).mean(0), rtol=2e-5, atol=2e-5)
    for name, term in without.terms.items():
        assert torch.equal(term, with_labels.terms[name])


# ---- the likelihoods


def estimated(model, x: torch.Tensor, **options):
    class Estimated:
        replicas, infer = 1, model.infer

        @staticmethod
        def log_weights(x, inferred, n, noise):
            return model.log_weights(x, inferred, n, noise, **options)

    return log_likelihood(Estimated(), x, [0], 400_000, samples_at_once=20_000)


@torch.no_grad()
def test_the_likelihood_of_avae_is_that_of_draws_from_the_prior():
    """log p(x) of two images within 0.01 nat, against a million draws of z2 and z1."""
    torch.manual_seed(0)
    model, x, parts = avae(), torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 1]]), []
    for _ in range(5):
        p_x = bernoulli(model.p_x, z1=gaussian(model.p_z1, z2=torch.randn(200_000, 2)).sample())
        parts.append(torch.stack([p_x.log_prob(image) for image in x]))
    truth = torch.cat(parts, 1).double().logsumexp(1) - math.log(1_000_000)
    found = estimated(model, x)
    torch.testing.assert_close(found.log_prob[0].double(), truth, rtol=0, atol=0.01)
    assert (found.elbo[0] < truth - 0.05).all()


@torch.no_grad()
@pytest.mark.parametrize("enumerate_y", [True, False])
def test_the_likelihood_of_adgm_is_that_of_draws_from_the_prior(enumerate_y):
    """log p(x) of two images within 0.01 nat, against 400,000 draws of z for each y."""
    torch.manual_seed(0)
    model, x, parts = adgm(), torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 1]]), []
    for _ in range(2):
        for y in range(3):
            p_x = bernoulli(model.p_x, y, z=torch.randn(200_000, 2))
            parts.append(torch.stack([p_x.log_prob(image) for image in x]))
    truth = torch.cat(parts, 1).double().logsumexp(1) - math.log(1_200_000)
    found = estimated(model, x, enumerate_y=enumerate_y)
    torch.testing.assert_close(found.log_prob[0].double(), truth, rtol=0, atol=0.01)
    assert (found.elbo[0] < truth - 0.05).all()


# ---- replicas, images, classifiers


@torch.no_grad()
@pytest.mark.parametrize("build", [avae, adgm])
def test_a_replica_gives_what_it_gives_alone(build):
    together = build(replicas=2, batch_norm=True)
    x, y = torch.rand(2, 7, 4), torch.randint(3, (2, 3))
    alone = build(replicas=1, batch_norm=True)
    for name, tensor in alone.state_dict().items():
        tensor.copy_(together.state_dict()[name][1:])
    more = [(), ()]
    if together.learns_from_labels:
        more = [(Labelled(x[:, :3], y, 4.0),), (Labelled(x[1:, :3], y[1:], 4.0),)]
    a = together.loss(x, WARM, Noise([3, 8], "draws"), *more[0])
    b = alone.loss(x[1:], WARM, Noise([8], "draws"), *more[1])
    torch.testing.assert_close(a.objective[1], b.objective[0], rtol=1e-4, atol=1e-4)
    for name in a.terms:
        torch.testing.assert_close(a.terms[name][1], b.terms[name][0], rtol=1e-4, atol=1e-4)
    together.eval(), alone.eval()
    x = (x > 0.5).float()
    a = together.log_weights(x, together.infer(x), 3, Noise([3, 8], "draws"))
    b = alone.log_weights(x[1:], alone.infer(x[1:]), 3, Noise([8], "draws"))
    torch.testing.assert_close(a[:, 1], b[:, 0], rtol=1e-4, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize(
    ("build", "shapes"), [(avae, {"a_mean": 3, "z1_mean": 2, "z2_mean": 2}), (adgm, {"a_mean": 3, "z_mean": 2})]
)
def test_images_and_embeddings(build, shapes):
    model, x = build(replicas=2, batch_norm=True).eval(), bits(2, 6, 4)
    assert {name: mean.shape for name, mean in model.embed(x).items()} == {n: (2, 6, d) for n, d in shapes.items()}
    for images, shape in (
        (model.reconstruct(x), (2, 6, 4)),
        (model.sample(9, Noise([3, 8], "images")), (2, 9, 4)),
    ):
        assert images.shape == shape
        assert ((images > 0) & (images < 1)).all()


@torch.no_grad()
@pytest.mark.parametrize("build", [avae, adgm])
def test_samples_have_the_means_of_the_prior(build):
    """The mean image over many samples, against p(x) of every image by importance weights."""
    model, corners = build(x_dim=2), torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    p = log_likelihood(model, corners, [0], 200_000, samples_at_once=20_000).log_prob[0].exp()
    assert float(p.sum()) == pytest.approx(1, abs=0.01)
    mean = model.sample(100_000, Noise([5], "images"))[0].mean(0)
    torch.testing.assert_close(mean, p @ corners, rtol=0, atol=0.01)


@torch.no_grad()
def test_adgm_at_its_means():
    """Cluster posterior, embedding and reconstruction, one y at a time."""
    torch.manual_seed(0)
    m, x = adgm(), bits(1, 5, 4)
    a = gaussian(m.q_a, x=x[0]).mean
    q_y = mlp(m.q_y, x=x[0], a=a)["logits"].softmax(-1)
    torch.testing.assert_close(m.cluster_posterior(x)[0], q_y.log())
    z = [gaussian(m.q_z, y, x=x[0], a=a).mean for y in range(3)]
    rebuilt = [bernoulli(m.p_x, y, z=z[y]).mean for y in range(3)]
    torch.testing.assert_close(m.embed(x)["a_mean"][0], a)
    torch.testing.assert_close(m.embed(x)["z_mean"][0], sum(q_y[:, y, None] * z[y] for y in range(3)))
    torch.testing.assert_close(m.reconstruct(x)[0], sum(q_y[:, y, None] * rebuilt[y] for y in range(3)))


@torch.no_grad()
def test_the_classifier_averages_probabilities_over_a():
    torch.manual_seed(0)
    m, x, e = adgm(), bits(1, 5, 4), torch.randn(1, 4, 5, 3)
    q_a = gaussian(m.q_a, x=x[0])
    each = [mlp(m.q_y, x=x[0], a=q_a.mean + q_a.stddev * e_s)["logits"].softmax(-1) for e_s in e[0]]
    found = m.classifiers(x, 4, Fixed(e))
    assert list(found) == ["q"]
    torch.testing.assert_close(found["q"][0].exp(), torch.stack(each).mean(0))


@torch.no_grad()
def test_a_class_that_q_rules_out_leaves_batch_normalised_terms_alone():
    """The statistics over all y are weighted by q(y|a, x): what a network makes of an impossible class is nothing."""
    m, x = adgm(batch_norm=True), torch.rand(1, 7, 4)
    m.q_y.heads["logits"].bias[..., 2] -= 1e4
    usual = m.loss(x, WARM, Noise([3], "draws"))
    for network in (m.q_z, m.p_x, m.p_a):
        network.of_y.weight[:, 2] += 100
    found = m.loss(x, WARM, Noise([3], "draws"))
    for name, term in usual.terms.items():
        torch.testing.assert_close(found.terms[name], term)
