"""Importance-weighted likelihoods of models whose likelihood is known."""

import math

import pytest
import torch

from genclust.evaluation.likelihood import log_likelihood, log_weights, share_kept

torch.manual_seed(0)
W, B, SD = torch.randn(5, 2), torch.randn(5), 0.7


class LinearGaussian:
    """z ~ N(0, I), x|z ~ N(Wz + b, s²I); q(z|x) is the true posterior, widened by a factor."""

    replicas = 2

    def __init__(self, widening: float) -> None:
        precision = torch.eye(2) + W.T @ W / SD**2
        self.covariance = torch.linalg.inv(precision)
        self.scale = math.sqrt(widening) * torch.linalg.cholesky(self.covariance)
        self.encoded = 0

    def infer(self, x):
        self.encoded += x.shape[1]
        return (x - B) @ W @ self.covariance / SD**2

    def log_weights(self, x, inferred, n, noise):
        eps = noise.normal(n, x.shape[1], 2).transpose(0, 1)
        z = inferred + eps @ self.scale.T
        log_q = torch.distributions.MultivariateNormal(inferred, scale_tril=self.scale).log_prob(z)
        log_p = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
        return log_p + torch.distributions.Normal(z @ W.T + B, SD).log_prob(x).sum(-1) - log_q

    @staticmethod
    def log_prob(x):
        return torch.distributions.MultivariateNormal(B, W @ W.T + SD**2 * torch.eye(5)).log_prob(x)


class TwoClasses:
    """y ~ Bernoulli(1/2), x|y independent bits; q(y|x) is uniform, so the weights are p(x|y)."""

    replicas = 1
    logits = torch.tensor([[2.0, -1.0, 0.5], [-2.0, 1.0, 1.5]])

    def infer(self, x):
        return None

    def log_weights(self, x, inferred, n, noise):
        y = (noise.uniform(n, x.shape[1]).transpose(0, 1) < 0.5).long()
        return torch.distributions.Bernoulli(logits=self.logits[y]).log_prob(x).sum(-1)

    def log_prob(self, x):
        each = torch.stack([torch.distributions.Bernoulli(logits=row).log_prob(x).sum(-1) for row in self.logits])
        return each.logsumexp(0) - math.log(2)


X = torch.randn(30, 5) @ torch.randn(5, 5)


def test_the_true_posterior_gives_the_likelihood_with_one_sample():
    found = log_likelihood(LinearGaussian(1.0), X, [0, 1], 1)
    for r in range(2):
        torch.testing.assert_close(found.log_prob[r], LinearGaussian.log_prob(X), rtol=1e-5, atol=1e-4)
    assert torch.equal(found.log_prob, found.elbo)


def test_five_thousand_samples_come_within_a_hundredth_of_a_nat():
    truth = LinearGaussian.log_prob(X).mean()
    found = log_likelihood(LinearGaussian(2.0), X, [0, 1], 5000)
    assert (found.mean() - truth).abs().max() < 0.01
    assert found.elbo.mean() < truth - 0.1  # KL(q‖p) of the widened posterior: 1 - log 2 = 0.31 nats
    assert (found.elbo.mean(1) - (truth - (1 - math.log(2)))).abs().max() < 0.02


def test_a_discrete_latent():
    x = torch.tensor([[0.0, 1, 0], [1, 1, 1], [1, 0, 0]])
    found = log_likelihood(TwoClasses(), x, [3], 5000)
    torch.testing.assert_close(found.log_prob[0], TwoClasses().log_prob(x), rtol=0, atol=0.05)


def test_few_samples_stay_below_the_truth_on_average():
    truth = LinearGaussian.log_prob(X).mean()
    bounds = [log_likelihood(LinearGaussian(4.0), X, [0, 1], s).log_prob.mean() for s in (1, 10, 100)]
    assert bounds[0] < bounds[1] < bounds[2] < truth + 0.01


def test_each_image_is_encoded_once_and_replicas_do_not_mind_each_other():
    model = LinearGaussian(2.0)
    both = log_likelihood(model, X, [4, 9], 700, samples_at_once=100, images_at_once=7)
    assert model.encoded == len(X)
    swapped = log_likelihood(LinearGaussian(2.0), X, [9, 4], 700, samples_at_once=100, images_at_once=7)
    torch.testing.assert_close(both.log_prob.flip(0), swapped.log_prob, rtol=0, atol=0)
    assert not torch.equal(both.log_prob[0], both.log_prob[1])


def test_the_standard_error_is_that_of_the_mean_over_images():
    found = log_likelihood(LinearGaussian(2.0), X, [0, 1], 10)
    expected = found.log_prob[0].double().numpy().std(ddof=1) / len(X) ** 0.5
    assert float(found.standard_error()[0]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((X[:0], [0, 1], 5), "at least one image"),
        ((X, [0, 1], 0), "one sample"),
        ((X, [0], 5), "2 replicas"),
        ((X / 0 * 0, [0, 1], 5), "not finite"),
        ((X[0], [0, 1], 5), r"rows of a matrix \[N, D\]"),
    ],
)
def test_unfit_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        log_likelihood(LinearGaussian(1.0), *arguments)


@pytest.mark.parametrize(
    "wrong", [lambda w: w[:1], lambda w: w[:, :1], lambda w: w.transpose(0, 1), lambda w: w.half()]
)
def test_log_weights_of_another_shape_are_refused(wrong):
    """Each of them would broadcast, or nearly, and give a number."""
    model = LinearGaussian(2.0)
    right = model.log_weights
    model.log_weights = lambda *arguments: wrong(right(*arguments))
    with pytest.raises(ValueError, match=r"samples, replicas and images are \[3, 2, 30\]"):
        log_likelihood(model, X, [0, 1], 3)


def test_one_image_has_no_standard_error():
    assert log_likelihood(LinearGaussian(2.0), X[:1], [0, 1], 10).standard_error().isnan().all()


def test_no_sample_and_no_group_of_images_repeats_the_random_numbers_of_another():
    """The same image over and over, in groups of four and ten samples at once: every weight is another one."""
    log_w = log_weights(LinearGaussian(2.0), X[:1].expand(12, -1), [0, 1], 30, samples_at_once=10, images_at_once=4)
    assert log_w.shape == (30, 2, 12)
    assert len(log_w.unique()) > 0.99 * log_w.numel()  # of float32 numbers a few are equal by chance


@pytest.mark.parametrize("samples_at_once", [7, 10, 100])
def test_there_are_as_many_samples_as_asked_for(samples_at_once):
    log_w = log_weights(LinearGaussian(2.0), X[:5], [0, 1], 24, samples_at_once=samples_at_once)
    assert log_w.shape == (24, 2, 5)
    found = log_likelihood(LinearGaussian(2.0), X[:5], [0, 1], 24, samples_at_once=samples_at_once, images_at_once=100)
    torch.testing.assert_close(found.elbo.double(), log_w.double().mean(0), rtol=1e-5, atol=1e-5)
    expected = log_w.double().logsumexp(0) - math.log(24)
    torch.testing.assert_close(found.log_prob.double(), expected, rtol=1e-5, atol=1e-5)


class Stopping(LinearGaussian):
    """A model that stops after it has seen a number of groups of images; its weights have a name."""

    def __init__(self, groups: float = math.inf, bias=B) -> None:
        super().__init__(2.0)
        self.groups, self.bias = groups, bias

    def infer(self, x):
        if self.groups == 0:
            raise RuntimeError("stopped")
        self.groups -= 1
        return super().infer(x)

    def state_dict(self):
        return {"bias": self.bias}


ARGUMENTS = {"x": X, "seeds": [3, 4], "n_samples": 12, "samples_at_once": 5, "images_at_once": 7}


def test_an_interrupted_estimate_goes_on_to_the_same_numbers(tmp_path, monkeypatch):
    """Of five groups of images, the two that were done are not estimated again, nor any once all are done."""
    monkeypatch.setattr("genclust.evaluation.likelihood.SECONDS_BETWEEN_SAVES", 0.0)
    whole, kept = log_likelihood(Stopping(), **ARGUMENTS), tmp_path / "kept"
    with pytest.raises(RuntimeError, match="stopped"):
        log_likelihood(Stopping(groups=2), **ARGUMENTS, kept=kept)
    assert share_kept(kept) == pytest.approx(100 * 2 * 7 / 30)
    for left in (30 - 2 * 7, 0):
        model = Stopping()
        found = log_likelihood(model, **ARGUMENTS, kept=kept)
        assert model.encoded == left
        assert torch.equal(found.log_prob, whole.log_prob) and torch.equal(found.elbo, whole.elbo)
    assert share_kept(kept) == 100


@pytest.mark.parametrize(
    "other",
    [
        {"model": Stopping(bias=B + 1e-6)},
        {"x": torch.cat([X[:29], X[29:] + 1e-5])},
        {"seeds": [3, 5]},
        {"n_samples": 13},
        {"samples_at_once": 6},
        {"images_at_once": 6},
        {"precision": "bf16"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_another_estimate_kept_is_not_used(tmp_path, other):
    kept = tmp_path / "kept"
    log_likelihood(Stopping(), **ARGUMENTS, kept=kept)
    arguments = {"model": Stopping(), **ARGUMENTS, **other}
    arguments["model"].encoded = 0
    found = log_likelihood(**arguments, kept=kept)
    assert arguments["model"].encoded == 30
    expected = log_likelihood(**arguments)
    assert torch.equal(found.log_prob, expected.log_prob)


@pytest.mark.parametrize("left", [0, 9, 200])
def test_a_damaged_file_of_estimates_is_told_and_not_used(tmp_path, capsys, left):
    kept = tmp_path / "kept"
    whole = log_likelihood(Stopping(), **ARGUMENTS, kept=kept)
    kept.write_bytes(kept.read_bytes()[:left])
    assert torch.equal(log_likelihood(Stopping(), **ARGUMENTS, kept=kept).log_prob, whole.log_prob)
    said = capsys.readouterr().out
    assert str(kept) in said and "estimated anew" in said
    assert log_likelihood(Stopping(groups=0), **ARGUMENTS, kept=kept).log_prob.shape == (2, 30)
