"""The Gaussian mixture: kernels against float64, integrals, torch.distributions, hard inputs."""

import importlib
import math

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal, kl_divergence

from genclust import kernels
from genclust.kernels.mixture import mixture

from .checks import DEVICE, largest_error, needs_triton, values_and_gradients

# Leading axes of z, log-weights, means and q; K, D.
SHAPES = {
    "per sample": ((2, 3), (2, 1), (2, 3), (2, 3), 5, 7),
    "samples of w": ((2, 3, 4), (), (2, 3, 4), (2, 1, 4), 4, 5),
    "without q": ((2, 3, 4), (2, 3, 4), (2, 3, 4), None, 3, 6),
    "shared": ((2, 5), (2, 1), (2, 1), (2, 5), 3, 4),
    "shared, samples": ((2, 3, 4), (2, 1, 1), (2, 1, 1), (2, 1, 4), 3, 4),
    "fewer axes than z": ((2, 3, 4), (4,), (3, 1), (4,), 3, 2),
    "repeated between": ((2, 3, 4), (2, 1, 4), (2, 1, 4), (2, 3, 1), 3, 4),
    "repeated apart": ((2, 3, 4), (1, 3, 1), (1, 3, 1), (1, 3, 1), 3, 4),
    "one point": ((), (), (), (), 3, 4),
    "one component, one dimension": ((3,), (3,), (3,), (3,), 1, 1),
    "many components, wider than a tile": ((2,), (), (2,), (2,), 64, 40),
}

# Log-densities here reach -60: the last bit of such a number, 4e-6, is the relative error of a responsibility.
ROUNDING = 3e-6


def given(z_axes, weight_axes, mean_axes, q_axes, K, D) -> list[torch.Tensor]:
    """Random arguments, all of which ask for a gradient: points among the components, so that none is certain."""
    normal = lambda *shape: torch.randn(*shape, dtype=torch.float64)  # noqa: E731
    inputs = [
        0.5 * normal(*z_axes, D),
        normal(*weight_axes, K).log_softmax(-1),
        0.5 * normal(*mean_axes, K, D),
        0.5 * normal(*mean_axes, K, D),
    ]
    if q_axes is not None:
        inputs += [normal(*q_axes, D), normal(*q_axes, D), normal(*q_axes, K).softmax(-1)]
    return [x.requires_grad_() for x in inputs]


@pytest.fixture(params=["triton", "auto", "gradient by hand"])
def name(request, monkeypatch):
    """The kernels, what a CPU chooses, and the registered operation without kernels."""
    if request.param == "triton" and not kernels.HAS_TRITON:
        pytest.skip("Triton is not installed")
    if request.param == "gradient by hand":
        monkeypatch.setattr(importlib.import_module("genclust.kernels.mixture"), "SMALL", 0)
        return "reference"
    return request.param


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_agrees_with_float64(shapes, name):
    assert largest_error(mixture, given(*shapes), name) < ROUNDING


@pytest.mark.parametrize("shapes", SHAPES.values(), ids=SHAPES)
def test_agrees_with_torch_distributions(shapes):
    """Every output by another road, in float64."""
    z_axes, _, _, q_axes, K, _ = shapes
    z, log_weights, means, log_vars, *q = given(*shapes)
    log_weights = log_weights.expand(*z_axes, K)
    components = Independent(Normal(means, (0.5 * log_vars).exp()), 1)
    components = components.expand((*z_axes, K))
    truth = MixtureSameFamily(Categorical(logits=log_weights), components)
    found = mixture(z, log_weights, means, log_vars, *q)
    torch.testing.assert_close(found.log_prob, truth.log_prob(z))
    posterior = Categorical(logits=components.log_prob(z.unsqueeze(-2)) + log_weights)
    torch.testing.assert_close(found.log_responsibilities, posterior.logits)
    torch.testing.assert_close(found.entropy, posterior.entropy())
    if not q:
        assert found.kl is None
        return
    q_mean, q_log_var, q_z = q
    encoder = Independent(Normal(q_mean.unsqueeze(-2), (0.5 * q_log_var).exp().unsqueeze(-2)), 1)
    divergence = kl_divergence(encoder.expand(torch.broadcast_shapes((*q_axes, K), (*z_axes, K))), components)
    torch.testing.assert_close(found.kl, (q_z * divergence).sum(-1))


def test_integrals():
    """∫p = 1, ∫p r_k = π_k, and H(k|z) = H(k) + h(z|k) - h(z), on a grid that covers everything."""
    log_weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64).log()
    means = torch.tensor([[-1.0], [0.5], [2.0]], dtype=torch.float64)
    log_vars = torch.tensor([[0.0], [-1.0], [0.7]], dtype=torch.float64)
    z = torch.linspace(-15, 17, 40_001, dtype=torch.float64)
    found = mixture(z[:, None], log_weights, means, log_vars)
    p = found.log_prob.exp()
    integral = lambda f: torch.trapezoid(f, z, dim=0)  # noqa: E731
    assert integral(p) == pytest.approx(1, abs=1e-10)
    pi = integral(p[:, None] * found.log_responsibilities.exp())
    torch.testing.assert_close(pi, log_weights.exp(), rtol=1e-9, atol=0)
    of_z = -integral(p * found.log_prob)
    of_z_given_k = (log_weights.exp() * 0.5 * (math.log(2 * math.pi) + 1 + log_vars[:, 0])).sum()
    of_k = -(log_weights.exp() * log_weights).sum()
    assert integral(p * found.entropy) == pytest.approx(float(of_k + of_z_given_k - of_z), abs=1e-9)


def test_expected_kl_by_monte_carlo():
    """E_q[log q(z) - log N(z; μ_k, σ_k²)], averaged over k, within five standard errors."""
    _, _, means, log_vars, q_mean, q_log_var, q_z = (x.detach() for x in given((1,), (), (), (1,), 4, 3))
    encoder = Independent(Normal(q_mean[0], (0.5 * q_log_var[0]).exp()), 1)
    z = encoder.sample((200_000,))
    log_p = torch.stack(
        [mixture(z, z.new_zeros(1), m[None], v[None]).log_prob for m, v in zip(means, log_vars, strict=True)], -1
    )
    difference = encoder.log_prob(z) - (q_z[0] * log_p).sum(-1)
    kl = mixture(z[:1], z.new_zeros(4) - math.log(4), means, log_vars, q_mean, q_log_var, q_z).kl
    assert abs(float(difference.mean() - kl)) < 5 * float(difference.std()) / len(z) ** 0.5


def test_tiny_and_huge_variances(name):
    """Three ordinary components, a point mass away from z, and one so wide that it is nowhere."""
    *inputs, q_z = (x.detach().float() for x in given((6,), (), (), (6,), 5, 3))
    inputs[3][3], inputs[3][4] = -80, 80
    q_z[:, 3:] = 0

    def weighed(*inputs: torch.Tensor) -> list[torch.Tensor | None]:
        """All but the responsibilities, of which one is e^(-10^34): it, or its gradient, would hide the others."""
        found = mixture(*inputs, q_z.to(inputs[0]))
        return [found.log_prob, found.entropy, found.kl]

    assert largest_error(weighed, [x.requires_grad_() for x in inputs], name) < ROUNDING
    with kernels.implementation(name):
        log_r = mixture(*[x.detach().to(DEVICE) for x in inputs[:4]]).log_responsibilities.cpu()
    truth = mixture(*[x.detach().double() for x in inputs[:4]]).log_responsibilities
    torch.testing.assert_close(log_r.double(), truth, rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:overflow")
def test_variances_of_q_far_from_those_of_components(name):
    """exp(160) is above float32: with no weight there, neither the sum nor its gradients notice."""
    z, log_weights, means, log_vars, q_mean, q_log_var, _ = (
        x.detach().float() for x in given((4,), (), (), (4,), 2, 3)
    )
    log_vars[1], q_log_var[:] = -80, 80
    q_z = torch.tensor([1.0, 0.0]).expand(4, 2).contiguous()

    def kl(*inputs: torch.Tensor) -> torch.Tensor:
        value = mixture(z.to(inputs[0]), log_weights.to(inputs[0]), *inputs, q_z.to(inputs[0])).kl
        assert value is not None
        return value

    inputs = [x.requires_grad_() for x in (means, log_vars, q_mean, q_log_var)]
    # Exponents of 80 are rounded by up to 4e-6, and by as much their exponentials.
    assert largest_error(kl, inputs, name) < 2e-5


def test_empty_component_changes_nothing(name):
    z, log_weights, means, log_vars, *q = given(*SHAPES["shared"])

    def without_responsibilities(*inputs: torch.Tensor) -> tuple:
        log_prob, _, entropy, kl = mixture(*inputs)
        return log_prob, entropy, kl

    empty = torch.cat([log_weights, torch.full_like(log_weights[..., :1], -math.inf)], -1).detach().requires_grad_()
    more = [torch.cat([x, x[..., :1, :] + 1], -2).detach().requires_grad_() for x in (means, log_vars)]
    q_z = torch.cat([q[2], torch.zeros_like(q[2][..., :1])], -1).detach().requires_grad_()
    with kernels.implementation(name):
        found = values_and_gradients(without_responsibilities, [z, empty, *more, *q[:2], q_z], torch.float32)
        log_r = mixture(*[x.float().to(DEVICE) for x in (z, empty, *more)]).log_responsibilities
    truth = values_and_gradients(without_responsibilities, [z, log_weights, means, log_vars, *q], torch.float64)
    assert (log_r[..., 3] == -math.inf).all() and log_r[..., :3].isfinite().all()
    for i, (f, t) in enumerate(zip(found, truth, strict=True)):
        axis = {4: -1, 5: -2, 6: -2, 9: -1}.get(i)  # the gradients with an axis of components
        if axis is not None:
            if i != 9:  # to q_z flows what a first bit of weight would cost
                assert (f.narrow(axis, 3, 1) == 0).all()
            f = f.narrow(axis, 0, 3)
        torch.testing.assert_close(f.cpu().double(), t.cpu(), rtol=1e-4, atol=1e-5)


def test_entropy_of_the_nearly_certain(name):
    """It vanishes, so its relative error does not count; its absolute error stays that of 1 in float32."""
    z, log_weights, means, log_vars = (x.detach().float() for x in given((2, 50), (2, 1), (2, 1), None, 5, 4))
    inputs = [5 * z, log_weights, 5 * means, log_vars]
    truth = mixture(*[x.double() for x in inputs]).entropy
    assert truth.min() < 1e-4
    with kernels.implementation(name):
        entropy = mixture(*[x.to(DEVICE) for x in inputs]).entropy
    assert (entropy >= 0).all() and (entropy.cpu() - truth).abs().max() < 2e-5


def test_one_component_is_certain(name):
    with kernels.implementation(name):
        inputs = [100 * torch.randn(5, 3), torch.zeros(1), torch.randn(5, 1, 3), torch.randn(5, 1, 3)]
        certain = lambda *x: mixture(*x)[1:3]  # noqa: E731
        log_r, entropy, *gradients = values_and_gradients(certain, [x.requires_grad_() for x in inputs], torch.float32)
    assert (log_r == 0).all() and (entropy == 0).all()
    assert all((g == 0).all() for g in gradients)


def test_equally_far_components_share_the_point(name):
    """Log-densities of -1.5e12 swallow log K; the responsibilities must not."""
    z, means = torch.full((4, 3), 1e6), torch.zeros(4, 16, 3)
    with kernels.implementation(name):
        inputs = [z, torch.full((16,), -math.log(16)), means, torch.zeros(4, 16, 3)]
        found = mixture(*[x.to(DEVICE) for x in inputs])
    assert found.log_prob.isfinite().all()
    torch.testing.assert_close(found.log_responsibilities.cpu(), torch.full((4, 16), -math.log(16)))
    torch.testing.assert_close(found.entropy.cpu(), torch.full((4,), math.log(16)))


@pytest.mark.parametrize("shared", [False, True], ids=["per sample", "shared"])
def test_nan_stays_in_its_row(name, shared):
    z, log_weights, means, log_vars, *q = (
        x.detach().float() for x in given(*SHAPES["shared" if shared else "per sample"])
    )
    z[1, 2, 0] = float("nan")
    inputs = [x.requires_grad_() for x in (z, log_weights, means, log_vars, *q)]
    with kernels.implementation(name):
        log_prob, log_r, entropy, kl, by_z, *_ = values_and_gradients(mixture, inputs, torch.float32)
    here = torch.zeros(z.shape[:2], dtype=torch.bool)
    here[1, 2] = True
    for value in (log_prob, log_r.sum(-1), entropy, by_z.sum(-1)):
        assert torch.equal(value.isnan().cpu(), here)
    assert not kl.isnan().any()


def test_empty_batch_and_non_contiguous(name):
    assert largest_error(mixture, given((2, 0), (2, 1), (2, 1), (2, 0), 3, 4), name) == 0
    assert largest_error(mixture, given((2, 0), (2, 1), (2, 0), (2, 0), 3, 4), name) == 0
    z, log_weights, means, log_vars, *q = given((4, 3), (4, 1), (4, 3), (4, 3), 5, 2)
    turned = [
        x.detach().transpose(0, 1).contiguous().transpose(0, 1).requires_grad_() for x in (z, means, log_vars, *q)
    ]
    assert largest_error(mixture, [turned[0], log_weights, *turned[1:]], name) < ROUNDING


@pytest.mark.skipif(DEVICE == "cpu", reason="a program for each of 66,000 points takes the interpreter minutes")
def test_many_points():
    """More programs than a grid's second axis could count."""
    z, *others = given((66_000,), (), (), None, 2, 1)
    total = lambda z, *others: mixture(z + 3, *others).log_prob.sum()  # noqa: E731
    # Off the components, so that the parameters' gradients do not cancel in the sum.
    assert largest_error(total, [z, *others], "triton") < ROUNDING


def test_half_precision_is_read_as_it_is(name):
    values = lambda *inputs: [x.detach() for x in mixture(*inputs) if x is not None]  # noqa: E731
    assert largest_error(values, given(*SHAPES["samples of w"]), name, torch.bfloat16) < ROUNDING
    with kernels.implementation(name):
        found = values_and_gradients(mixture, given(*SHAPES["samples of w"]), torch.bfloat16)
    assert {x.dtype for x in found[:4]} == {torch.float32} and {x.dtype for x in found[4:]} == {torch.bfloat16}


@pytest.mark.parametrize("rows", [3, 600])
def test_responsibilities_send_nothing_to_q(rows):
    """In the plain form, and where on a CPU the gradient written out takes over."""
    axes = (2, rows)
    inputs = [x.float().detach().requires_grad_() for x in given(axes, (2, 1), axes, axes, 8, 32)]
    entropy = mixture(*inputs).entropy.sum()
    assert all(g is None or (g == 0).all() for g in torch.autograd.grad(entropy, inputs[4:], allow_unused=True))


@pytest.mark.parametrize("shapes", ["per sample", "samples of w", "without q"])
def test_registered_operation_passes_opcheck(shapes):
    z, log_weights, means, log_vars, *q = (x.detach().float().requires_grad_() for x in given(*SHAPES[shapes]))
    torch.library.opcheck(torch.ops.genclust.mixture, (z, log_weights, means, log_vars, *(q or [None] * 3)))


Z, W, M = torch.zeros(2, 5, 3), torch.zeros(4), torch.zeros(2, 1, 4, 3)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: mixture(Z, W, M[..., :2], M[..., :2]), "D as in z"),
        (lambda: mixture(Z, W, M, M[0]), "same shape"),
        (lambda: mixture(Z, W, M[..., :0, :], M[..., :0, :]), "at least 1"),
        (lambda: mixture(Z, W[:3], M, M), "4 components need as many log-weights"),
        (lambda: mixture(Z, W.expand(2, 4), M, M), "Log-weights of leading shape"),
        (lambda: mixture(Z, W, M.expand(2, 2, 4, 3), M.expand(2, 2, 4, 3)), "Means of leading shape"),
        (lambda: mixture(Z, W, M, M, Z, Z), "all of them or none"),
        (lambda: mixture(Z, W, M, M, Z, Z, torch.zeros(2, 5, 3)), "the last with 4 components"),
        (lambda: mixture(Z, W, M, M, Z[:, :3], Z[:, :3], torch.zeros(2, 3, 4)), "q of leading shape"),
        (lambda: mixture(Z, W, M, M, Z[..., :2], Z[..., :2], torch.zeros(2, 5, 4)), "2 dimensions, z 3"),
    ],
)
def test_unfit_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@needs_triton
def test_more_components_than_a_tile_holds_go_to_the_plain_form():
    z, means = torch.randn(3, 2), torch.randn(3, 300, 2)
    with kernels.implementation("triton"):
        found = mixture(z, torch.zeros(300), means, torch.zeros_like(means))
    with kernels.implementation("reference"):
        expected = mixture(z, torch.zeros(300), means, torch.zeros_like(means))
    assert torch.equal(found.log_prob, expected.log_prob)
