"""Ladders with clusters: bounds by brute force, relaxation against enumeration, networks, figures, refusals."""

import copy
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from by_hand import Fixed, moments
from torch.distributions import Categorical, Independent, Laplace, Normal, kl_divergence

from genclust.evaluation.capabilities import HasClusters
from genclust.models.layers import BatchNorm, Convolution, WeightedBatchNorm
from genclust.models.vlac import GMDGM, VLAC, VLAE, GMDGMSettings, VLACSettings, VLAESettings
from genclust.models.vlac_layers import Block, SameConvolution, Upsample, normalise
from genclust.settings import SettingError, read
from genclust.streams import Noise

IMAGE = {"height": 4, "width": 4, "colours": 1}
TINY = IMAGE | {"channels": (3, 4), "dense": 6, "z_dims": (2, 3), "n_clusters": (2, 3)}
#: Three layers, of which the second has no clusters, and may have no z either; the top one is dense.
DENSE = TINY | {"z_dims": (2, 2, 3), "n_clusters": (2, 1, 3)}
NO_Z = DENSE | {"z_dims": (2, 0, 3)}
WARM = {"temperature": 0.5, "warm_up": 1.0}


def prepared(built: VLAC) -> VLAC:
    """In float64 and evaluation mode, with networks that depend on their input and statistics that are not 0 and 1."""
    built.initialise(Noise(range(built.replicas), "test").generators)
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for name, parameter in built.named_parameters():
            if "norm" not in name and "p_z" not in name:
                parameter.mul_(2)
        for components in built.p_z.values():
            if components.n_clusters > 1:
                components.log_var.normal_(generator=generator)
        for layer in built.modules():
            if isinstance(layer, BatchNorm):
                layer.running_mean.normal_(0, 0.5, generator=generator)
                layer.running_var.uniform_(0.5, 2, generator=generator)
    return built.double().eval()


def model(replicas: int = 1, **settings) -> VLAC:
    s = VLACSettings(**(TINY | settings))
    return prepared(VLAC(replicas, s.height * s.width * s.colours, s))


def gmdgm(**settings) -> GMDGM:
    s = IMAGE | {"channels": (3, 4), "n_clusters": 3, "z_dim": 2} | settings
    return prepared(GMDGM(1, 16, GMDGMSettings(**s)))


def normal_of(mean: torch.Tensor, log_var: torch.Tensor) -> Independent:
    return Independent(Normal(mean, (0.5 * log_var).exp()), 1)


def one_hot(vlac: VLAC, combination: tuple[int, ...], rows: int) -> list[torch.Tensor | None]:
    """One y of every layer for all rows."""
    K = vlac.settings.n_clusters
    return [
        F.one_hot(torch.full((1, rows), y), n).double() if n > 1 else None for y, n in zip(combination, K, strict=True)
    ]


def given_y(
    vlac: VLAC, x: torch.Tensor, combination: tuple[int, ...], noises: dict[int, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """-log p(x|z) and KL(q(z_l|x, y)||p(z_l|y)) at one y, by torch.distributions."""
    q = vlac.infer_z(x, one_hot(vlac, combination, x.shape[1]), [None] * len(combination))
    found, z = {}, {}
    for layer, (mean, log_var) in {layer: moments(each) for layer, each in q.items()}.items():
        q_z = normal_of(mean, log_var)
        z[layer] = q_z.mean + q_z.base_dist.stddev * noises[layer]
        p_z = Independent(Normal(torch.zeros_like(mean), 1), 1)
        if vlac.settings.n_clusters[layer - 1] > 1:
            components = vlac.p_z[str(layer)]
            y = combination[layer - 1]
            p_z = normal_of(*(t[:, y, None].expand_as(mean) for t in (components.mean, components.log_var)))
        found[f"kl_z{layer}"] = kl_divergence(q_z, p_z)
    mean = vlac.decode(z)
    s = vlac.settings
    p_x = Normal(mean, s.sigma) if s.likelihood == "gaussian" else Laplace(mean, 1 / 8)
    found["reconstruction"] = -p_x.log_prob(x).sum(-1)
    return found


def divergence_of_y(logits: torch.Tensor) -> torch.Tensor:
    return kl_divergence(Categorical(logits=logits), Categorical(logits=torch.zeros_like(logits)))


# ---- bounds


@torch.no_grad()
@pytest.mark.parametrize(
    "settings", [TINY, DENSE, NO_Z, TINY | {"likelihood": "l1"}, TINY | {"n_clusters": (1, 3), "sigma": 0.7}]
)
def test_the_exact_bound_is_the_sum_over_all_y(settings):
    """Every term of equation 9, one combination of y at a time, from the same noise."""
    torch.manual_seed(0)
    vlac, x, B = model(**settings, marginalise=True), torch.rand(1, 5, 16).double(), 5
    K, sizes = vlac.settings.n_clusters, list(itertools.accumulate(vlac.settings.n_clusters, lambda a, b: a * b))
    draws = {
        layer: torch.randn(1, B, P, Z).double()
        for layer, (P, Z) in enumerate(zip(sizes, vlac.settings.z_dims, strict=True), start=1)
        if Z
    }
    found = vlac.loss(x, WARM, Fixed(*draws.values()))
    logits = vlac.y_logits(x)
    expected: dict[str, torch.Tensor] = {f"kl_y{layer}": divergence_of_y(each) for layer, each in logits.items()}
    for combination in itertools.product(*map(range, K)):
        place, q_y = 0, torch.ones(1, B).double()
        noises = {}
        for layer, (y, n) in enumerate(zip(combination, K, strict=True), start=1):
            place = place * n + y  # among the combinations up to this layer
            if layer in draws:
                noises[layer] = draws[layer][:, :, place]
            if n > 1:
                q_y = q_y * logits[layer].softmax(-1)[..., y]
        for name, term in given_y(vlac, x, combination, noises).items():
            expected[name] = expected.get(name, 0) + q_y * term
    assert found.terms.keys() == expected.keys()
    for name, term in expected.items():
        torch.testing.assert_close(found.terms[name], term, msg=name)
    torch.testing.assert_close(found.objective, sum(expected.values()).mean(-1))


@torch.no_grad()
@pytest.mark.parametrize("settings", [TINY, DENSE])
def test_the_relaxed_bound_tends_to_the_one_at_the_sampled_y(settings):
    """Each image has the y that is largest in logits + Gumbel noise; at a high temperature the terms are others."""
    torch.manual_seed(0)
    vlac, x, B = model(**settings), torch.rand(1, 40, 16).double(), 40
    s, logits = vlac.settings, vlac.y_logits(x)
    uniforms = {layer: torch.rand(1, B, each.shape[-1]).double() for layer, each in logits.items()}
    draws = {layer: torch.randn(1, B, Z).double() for layer, Z in enumerate(s.z_dims, start=1)}
    replayed = [*uniforms.values(), *(d[:, :, None] for d in draws.values())]
    sampled = torch.zeros(B, len(s.n_clusters), dtype=torch.int64)
    for layer, each in logits.items():
        sampled[:, layer - 1] = (each - uniforms[layer].log().neg().log()).argmax(-1)[0]
    assert len(sampled.unique(dim=0)) > 3
    expected: dict[str, torch.Tensor] = {}
    for combination in itertools.product(*map(range, s.n_clusters)):
        at = (sampled == torch.tensor(combination)).all(-1)
        for name, term in given_y(vlac, x, combination, draws).items():
            expected[name] = torch.where(at, term, expected.get(name, torch.zeros_like(term)))
    errors = []
    for temperature in (1.0, 0.1, 1e-2, 1e-5):
        found = vlac.loss(x, {"temperature": temperature, "warm_up": 1.0}, Fixed(*replayed)).terms
        errors.append(max(float((found[name] - term).abs().max()) for name, term in expected.items()))
        for layer, each in logits.items():  # the divergence of y is that of q(y|x), whatever was drawn
            torch.testing.assert_close(found[f"kl_y{layer}"], divergence_of_y(each))
    assert errors[0] > 0.1 and errors[-1] < 1e-8
    assert errors == sorted(errors, reverse=True)


@torch.no_grad()
def test_a_relaxed_y_mixes_means_log_variances_and_biases():
    """The terms at a temperature of 1, with the mixed Gaussian for a prior; ``warm_up`` weighs all divergences."""
    torch.manual_seed(0)
    vlac, x = model(), torch.rand(1, 5, 16).double()
    uniforms = torch.rand(1, 5, 2).double(), torch.rand(1, 5, 3).double()
    draws = torch.randn(1, 5, 2).double(), torch.randn(1, 5, 3).double()
    found = vlac.loss(x, {"temperature": 1.0, "warm_up": 0.3}, Fixed(*uniforms, *(d[:, :, None] for d in draws)))
    logits = vlac.y_logits(x)
    y = [(logits[i + 1] - u.log().neg().log()).softmax(-1) for i, u in enumerate(uniforms)]
    h, z, expected = vlac.images(x), {}, {}
    first = vlac.g_z["1"].first(h)
    second = vlac.g_z["1"].second
    bias = (y[0] @ second.of_y.weight)[..., None, None]
    features = {1: F.leaky_relu(normalise(second.norm, second.affine(first) + bias, None), 0.1)}
    features[2] = vlac.g_z["2"](vlac.g[0](h), *y)
    for layer in (1, 2):
        q_z = normal_of(*moments(vlac.q_z[str(layer)](features[layer])))
        components = vlac.p_z[str(layer)]
        p_z = normal_of(y[layer - 1] @ components.mean, y[layer - 1] @ components.log_var)
        expected[f"kl_z{layer}"] = kl_divergence(q_z, p_z)
        expected[f"kl_y{layer}"] = divergence_of_y(logits[layer])
        z[layer] = q_z.mean + q_z.base_dist.stddev * draws[layer - 1]
    reconstruction = -Independent(Normal(vlac.decode(z), 0.3), 1).log_prob(x)
    torch.testing.assert_close(found.terms["reconstruction"], reconstruction)
    for name, term in expected.items():
        torch.testing.assert_close(found.terms[name], term, msg=name)
    torch.testing.assert_close(found.objective, (reconstruction + 0.3 * sum(expected.values())).mean(-1))


@torch.no_grad()
@pytest.mark.parametrize("likelihood", ["gaussian", "l1"])
def test_without_clusters_it_is_the_vlae(likelihood):
    """Its bound by hand, with N(0, I) for all priors; under both names, with no parameter of a mixture."""
    torch.manual_seed(0)
    settings = DENSE | {"likelihood": likelihood}
    vlac, x = model(**(settings | {"n_clusters": (1, 1, 1)})), torch.rand(1, 5, 16).double()
    del settings["n_clusters"]
    vlae = prepared(VLAE(1, 16, VLAESettings(**settings)))
    assert vlac.state_dict().keys() == vlae.state_dict().keys()
    assert not any(part in name for name in vlae.state_dict() for part in ("p_z", "q_y", "g_y", "of_y"))
    draws = {1: torch.randn(1, 5, 2).double(), 2: torch.randn(1, 5, 2).double(), 3: torch.randn(1, 5, 3).double()}
    z, expected = {}, {}
    h = vlae.images(x)
    for layer in (1, 2, 3):
        mean, log_var = moments(vlae.q_z[str(layer)](vlae.g_z[str(layer)](h)))
        z[layer] = mean + (0.5 * log_var).exp() * draws[layer]
        expected[f"kl_z{layer}"] = 0.5 * (mean**2 + log_var.exp() - 1 - log_var).sum(-1)
        h = vlae.g[layer - 1](h) if layer < 3 else h
    error = x - vlae.decode(z)
    if likelihood == "l1":
        expected["reconstruction"] = (8 * error.abs() + math.log(1 / 4)).sum(-1)
    else:
        expected["reconstruction"] = (error**2 / (2 * 0.09) + math.log(0.3 * math.sqrt(2 * math.pi))).sum(-1)
    for built, scheduled in ((vlac, {"warm_up": 0.3}), (vlae, {"warm_up": 0.3})):
        found = built.loss(x, scheduled, Fixed(*(d[:, :, None] for d in draws.values())))
        assert found.terms.keys() == expected.keys()
        for name, term in expected.items():
            torch.testing.assert_close(found.terms[name], term, msg=name)
        kl = expected["kl_z1"] + expected["kl_z2"] + expected["kl_z3"]
        torch.testing.assert_close(found.objective, (expected["reconstruction"] + 0.3 * kl).mean(-1))
    assert (issubclass(VLAE, HasClusters), VLAE.schedules) == (False, ("warm_up",))
    assert torch.equal(vlac.cluster_posterior(x), torch.zeros(1, 5, 1))


@torch.no_grad()
def test_the_bound_of_the_gm_dgm():
    """log p(x|z) + log p(z|y) + log p(y) - log q(z|x, y) - log q(y|x), in expectation, by hand; exact."""
    torch.manual_seed(0)
    dgm, x, eps = gmdgm(marginalise=True), torch.rand(1, 5, 16).double(), torch.randn(1, 5, 3, 2).double()
    found = dgm.loss(x, WARM, Fixed(eps))
    assert list(found.terms) == ["reconstruction", "kl_z2", "kl_y2"]
    q_y, h = Categorical(logits=dgm.y_logits(x)[2]), dgm.g[0](dgm.images(x))
    p_z, bound = dgm.p_z["2"], 0
    for y in range(3):
        given = F.one_hot(torch.full((1, 5), y), 3).double()
        q_z = normal_of(*moments(dgm.q_z["2"](dgm.g_z["2"](h, None, given))))
        z = q_z.mean + q_z.base_dist.stddev * eps[:, :, y]
        log_p_x = Independent(Normal(dgm.decode({2: z}), 0.3), 1).log_prob(x)
        prior = normal_of(*(t[:, y, None].expand(-1, 5, -1) for t in (p_z.mean, p_z.log_var)))
        latent = kl_divergence(q_z, prior) + q_y.logits[..., y] + math.log(3)
        bound = bound + q_y.probs[..., y] * (log_p_x - latent)
    torch.testing.assert_close(found.objective, -bound.mean(-1))


def test_the_gm_dgm_has_the_networks_of_the_third_layer():
    """Those of VLAC with 50 clusters there, less what only other layers need; the same shapes and names."""
    images = {"height": 8, "width": 8, "channels": (3, 4, 5)}
    vlac = VLAC(1, 192, VLACSettings(n_clusters=(1, 1, 50, 1), dense=6, **images)).state_dict()
    dgm = GMDGM(1, 192, GMDGMSettings(**images)).state_dict()
    shared = {
        name: tensor.shape for name, tensor in vlac.items() if name.split(".")[0] in ("g", "g_z", "q_z", "g_y", "q_y")
    }
    own = {
        name: tensor.shape for name, tensor in dgm.items() if name.split(".")[0] in ("g", "g_z", "q_z", "g_y", "q_y")
    }
    others = [f"{part}.{layer}." for part in ("g_z", "q_z") for layer in (1, 2, 4)]
    assert own == {n: s for n, s in shared.items() if not n.startswith(("g.2.", *others))}
    assert dgm["p_z.3.mean"].shape == vlac["p_z.3.mean"].shape == (1, 50, 5)
    # decoding: only the third level takes z; below it the convolutions have half the planes to read
    entries = [name for name in dgm if "entry.affine.weight" in name]
    assert entries == ["f.2.entry.affine.weight"] and dgm[entries[0]].shape == (1, 5, 5)
    assert dgm["f.0.deconvolve.affine.weight"].shape[1:3] == (3, 3)
    assert vlac["f.0.deconvolve.affine.weight"].shape[1:3] == (6, 3)


@pytest.mark.parametrize("likelihood", ["gaussian", "l1"])
def test_the_likelihood_is_normalised(likelihood):
    x = torch.linspace(-9, 9, 200_001).double()
    built = VLAC(1, 1, VLACSettings(**(TINY | {"height": 1, "width": 1, "likelihood": likelihood})))
    log_p = built.log_prob(x[None, :, None], torch.tensor([[[0.4]]]).double())
    assert float(torch.trapezoid(log_p.exp(), x)) == pytest.approx(1, abs=1e-6)


# ---- what depends on what


@torch.no_grad()
@pytest.mark.parametrize("settings", [TINY, DENSE])
def test_each_layer_depends_on_y_up_to_it_alone(settings):
    """q(z_l|x, y): changing a y of the layer or below changes it, one above does not."""
    torch.manual_seed(0)
    vlac, x = model(**settings), torch.rand(1, 4, 16).double()
    K = vlac.settings.n_clusters
    base = (0,) * len(K)
    for changed in [layer for layer, n in enumerate(K, start=1) if n > 1]:
        other = tuple(int(layer == changed) for layer in range(1, len(K) + 1))
        a, b = (vlac.infer_z(x, one_hot(vlac, c, 4), [None] * len(K)) for c in (base, other))
        for layer in a:
            # h_l knows only the y just below it; what is further down reaches it through h
            of_a, of_b = moments(a[layer]), moments(b[layer])
            differs = tuple(not torch.allclose(one, two) for one, two in zip(of_a, of_b, strict=True))
            assert differs == (changed <= layer,) * 2, (changed, layer)


def test_q_of_y_depends_on_x_alone():
    """Not on the draws, and the parameters it rests on serve nothing else."""
    vlac, x = model(), torch.rand(1, 6, 16).double()
    kls = [vlac.loss(x, WARM, Noise([seed], "draws")).terms for seed in (0, 1)]
    assert torch.equal(kls[0]["kl_y2"], kls[1]["kl_y2"])
    assert not torch.allclose(kls[0]["kl_z2"], kls[1]["kl_z2"])
    own = {name for name, _ in vlac.named_parameters() if name.startswith(("g_y", "q_y"))}
    sum(each.log_softmax(-1)[..., 0].sum() for each in vlac.y_logits(x).values()).backward()
    assert {name for name, p in vlac.named_parameters() if p.grad is not None} == own
    vlac.zero_grad(set_to_none=True)
    q = vlac.infer_z(x, one_hot(vlac, (1, 2), 6), [None, None])
    vlac.decode({layer: each.mean for layer, each in q.items()}).sum().backward()
    assert not own & {name for name, p in vlac.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("marginalise", [False, True])
@pytest.mark.parametrize("settings", [TINY, DENSE, NO_Z, None])
def test_gradients_reach_every_parameter(settings, marginalise):
    """But the biases that batch normalisation takes away again; ``None`` is the GM-DGM."""
    torch.manual_seed(0)
    built = gmdgm(marginalise=marginalise) if settings is None else model(**settings, marginalise=marginalise)
    built.train().loss(torch.rand(1, 16, 16).double(), WARM, Noise([0], "draws")).objective.sum().backward()
    taken_away = {
        f"{name}.{inner}"
        for name, hidden in built.named_modules()
        if isinstance(hidden, Block)
        for inner, _ in hidden.named_parameters()
        if inner.startswith("affine.") and inner.endswith("bias")
    }
    assert taken_away
    for name, parameter in built.named_parameters():
        size = float(parameter.grad.abs().max())
        assert (size < 1e-9) if name in taken_away else (size > 1e-7), (name, size)


# ---- batch statistics


@torch.no_grad()
@pytest.mark.parametrize("settings", [TINY, DENSE])
def test_impossible_classes_leave_training_as_it_is(settings):
    """With q(y|x) on one combination the exact bound in training mode, statistics and all, is the one at that y."""
    torch.manual_seed(0)
    exact = model(**settings, marginalise=True)
    K, B = exact.settings.n_clusters, 7
    certain = {layer: n - 1 for layer, n in enumerate(K, start=1) if n > 1}
    for layer, y in certain.items():
        exact.q_y[str(layer)].bias[..., y] = 2000
    exact.train()
    relaxed = model(**settings).train()
    relaxed.load_state_dict(exact.state_dict())
    x, sizes = torch.rand(1, B, 16).double(), itertools.accumulate(K, lambda a, b: a * b)
    every = [torch.randn(1, B, P, Z).double() for P, Z in zip(sizes, exact.settings.z_dims, strict=True)]
    last = [draws[:, :, -1:] for draws in every]
    uniforms = [torch.rand(1, B, K[layer - 1]).double() for layer in certain]
    a = exact.loss(x, WARM, Fixed(*every))
    b = relaxed.loss(x, WARM, Fixed(*uniforms, *last))
    for name in b.terms:
        torch.testing.assert_close(a.terms[name], b.terms[name], msg=name)
    for name, buffer in relaxed.named_buffers():
        if "running_mean" in name:
            torch.testing.assert_close(exact.get_buffer(name), buffer, msg=name)


def test_weighted_statistics_of_images_are_those_of_copies():
    """Weights of quarters: as if each image stood there one to three times."""
    torch.manual_seed(0)
    weighted, plain = WeightedBatchNorm(2, 5, 0.1).double(), BatchNorm(2, 5, 0.1).double()
    x = torch.randn(2, 6, 5, 3, 2).double()
    counts = torch.tensor([1, 3, 2, 2, 1, 3])
    found = normalise(weighted, x, counts.double().expand(2, 6) / 4)
    expected = plain(x.repeat_interleave(counts, 1))
    torch.testing.assert_close(found.repeat_interleave(counts, 1), expected)
    torch.testing.assert_close(weighted.running_mean, plain.running_mean)
    weighted.eval(), plain.eval()
    weighted.load_state_dict(plain.state_dict())
    torch.testing.assert_close(normalise(weighted, x, counts.double().expand(2, 6)), plain(x))


@torch.no_grad()
@pytest.mark.parametrize("marginalise", [False, True])
def test_a_replica_has_the_terms_it_has_alone(marginalise):
    together = model(replicas=3, marginalise=marginalise).train()
    x = torch.rand(3, 7, 16).double()
    alone = model(marginalise=marginalise).train()
    for name, tensor in alone.state_dict().items():
        tensor.copy_(together.state_dict()[name][1:2])
    a = together.loss(x, WARM, Noise([0, 7, 1], "draws").at(3))
    b = alone.loss(x[1:2], WARM, Noise([7], "draws").at(3))
    for name in a.terms:
        torch.testing.assert_close(a.terms[name][1], b.terms[name][0])
    torch.testing.assert_close(a.objective[1], b.objective[0])
    for each in (together, alone):
        each.eval()
    torch.testing.assert_close(together.cluster_posterior(x)[1], alone.cluster_posterior(x[1:2])[0])
    samples = together.sample(4, Noise([0, 7, 1], "s")), alone.sample(4, Noise([7], "s"))
    torch.testing.assert_close(samples[0][1], samples[1][0])


def test_each_replica_begins_from_its_own_seed():
    pair, one = (VLAC(n, 16, VLACSettings(**TINY)) for n in (2, 1))
    pair.initialise(Noise([4, 5], "parameters").generators)
    one.initialise(Noise([5], "parameters").generators)
    for name, parameter in one.named_parameters():
        assert torch.equal(pair.get_parameter(name)[1:], parameter), name
    big = VLAC(1, 16, VLACSettings(**(TINY | {"n_clusters": (1, 500), "z_dims": (2, 40)})))
    big.initialise(Noise([0], "parameters").generators)
    means, log_vars = big.p_z["2"].mean.detach(), big.p_z["2"].log_var
    assert abs(float(means.mean())) < 0.03 and float(means.std()) == pytest.approx(1, abs=0.02)
    assert not log_vars.any()


# ---- images and networks


@torch.no_grad()
@pytest.mark.parametrize("image", [(32, 32, 3), (28, 28, 1), (8, 8, 3), (7, 5, 2), (1, 1, 1)])
@pytest.mark.parametrize("K, levels", [((3,), 1), ((2, 3), 1), ((2, 1), 2), ((1, 60, 2), 3), ((1, 5, 50, 1), 3)])
def test_images_of_any_size_and_any_number_of_layers(image, K, levels):
    height, width, colours = image
    D, L = height * width * colours, len(K)
    settings = {"n_clusters": K, "z_dims": (2,) * (L - 1) + (3,), "channels": (2, 3, 4)[:levels], "dense": 5}
    declared = settings | {"height": height, "width": width, "colours": colours}
    vlac = VLAC(2, D, read(VLACSettings, declared, "model"))
    vlac.initialise(Noise([0, 1], "test").generators)
    x = torch.rand(2, 6, D)
    terms = vlac.loss(x, WARM, Noise([0, 1], "draws")).terms
    clustered = [layer for layer, n in enumerate(K, start=1) if n > 1]
    names = [f"kl_z{layer}" for layer in range(1, L + 1)] + [f"kl_y{layer}" for layer in clustered]
    assert list(terms) == ["reconstruction", *names]
    assert all(term.shape == (2, 6) and term.isfinite().all() for term in terms.values())
    vlac.eval()
    assert vlac.sample(3, Noise([0, 1], "s")).shape == (2, 3, D)
    assert vlac.reconstruct(x).shape == x.shape
    assert {name: tuple(e.shape) for name, e in vlac.embed(x).items()} == {
        f"z{layer}_mean": (2, 6, 3 if layer == L else 2) for layer in range(1, L + 1)
    }
    for layer in range(1, L + 1):
        assert vlac.resample_layer(x, layer, 4, Noise([0, 1], "s")).shape == (2, 6, 4, D)
        images = vlac.sample_layer_clusters(layer, 4, Noise([0, 1], "s"))
        assert images.shape == (2, K[layer - 1], 4, D)
        assert images.min() >= 0 and images.max() <= 1
    for name, log_q in vlac.layer_posteriors(x).items():
        assert log_q.shape == (2, 6, K[int(name[1:]) - 1])
        torch.testing.assert_close(log_q.exp().sum(-1), torch.ones(2, 6))


@torch.no_grad()
@pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 2)])
def test_convolutions_pad_as_tensorflow_does(size):
    """Output pixel (i, j) written out: the kernel's second row and column lie on input pixel (stride i, stride j)."""
    torch.manual_seed(0)
    H, W = size
    for stride in (1, 2):
        layer, x = SameConvolution(1, 2, 3, stride), torch.randn(1, 1, 2, H, W)
        layer.initialise(Noise([0], "test").generators, "glorot")
        found = layer(x)[0, 0]
        assert found.shape == (3, -(-H // stride), -(-W // stride))
        framed = F.pad(x[0, 0], (1, 3, 1, 3))
        for i, j in itertools.product(range(found.shape[1]), range(found.shape[2])):
            window = framed[:, stride * i : stride * i + 4, stride * j : stride * j + 4]
            expected = (layer.weight[0] * window).sum((1, 2, 3)) + layer.bias[0]
            torch.testing.assert_close(found[:, i, j], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [(8, 6), (7, 5)])
def test_doubling_is_the_transpose_of_halving(size):
    """<halve(x), y> = <x, double(y)> for the same kernel, odd sizes included."""
    H, W = size
    halve, double = SameConvolution(1, 2, 3, 2).double(), Upsample(1, 3, 2, H, W).double()
    halve.initialise(Noise([0], "test").generators, "glorot")
    with torch.no_grad():
        double.weight.copy_(halve.weight)
        double.bias.zero_()
    x = torch.randn(1, 1, 2, H, W).double()
    y = torch.randn_like(halve(x))
    torch.testing.assert_close((halve(x) * y).sum(), (x * double(y)).sum())


@pytest.mark.parametrize("size", [(4, 4), (5, 3)])
def test_a_mirrored_convolution_is_the_transpose_of_one_with_stride_1(size):
    """<convolve(x), y> = <x, mirrored(y)> for the kernel turned round: what TensorFlow's transposed one computes."""
    convolve, mirrored = SameConvolution(1, 2, 3, 1).double(), SameConvolution(1, 3, 2, 1, mirrored=True).double()
    convolve.initialise(Noise([0], "test").generators, "glorot")
    with torch.no_grad():
        mirrored.weight.copy_(convolve.weight.transpose(1, 2).flip(-1, -2))
        mirrored.bias.zero_()
    x = torch.randn(1, 1, 2, *size).double()
    y = torch.randn_like(convolve(x))
    torch.testing.assert_close((convolve(x) * y).sum(), (x * mirrored(y)).sum())


def test_the_defaults_are_the_vlae_of_the_authors():
    """As many parameters as their network for SVHN has, 18.5 million; its rectifiers; standard deviations in
    (0.001, 1.001)."""
    vlae = VLAE(1, 3072, VLAESettings())
    assert sum(p.numel() for p in vlae.parameters()) == pytest.approx(18.5e6, rel=0.01)
    for part, dense_slope in ((vlae.g_z, 0.1), (vlae.f, 0.0), (vlae.f_dense, 0.0)):
        slopes = {(isinstance(m.affine, Convolution), m.slope) for m in part.modules() if isinstance(m, Block)}
        assert slopes - {(True, 0.1)} == {(False, dense_slope)}
    small = prepared(VLAE(1, 16, VLAESettings(**(IMAGE | {"channels": (3,), "z_dims": (2,)}))))
    with torch.no_grad():
        for bias, sd in ((-1e3, 1e-3), (1e3, 1.001), (0.0, 0.501)):
            small.q_z["1"].raw_sd.weight.zero_()
            small.q_z["1"].raw_sd.bias.fill_(bias)
            _, log_var = moments(small.infer_z(torch.rand(1, 2, 16).double(), [None], [None])[1])
            torch.testing.assert_close((0.5 * log_var).exp(), torch.full_like(log_var, sd))


def test_half_precision_leaves_terms_in_float32():
    vlac = VLAC(1, 16, VLACSettings(**TINY))
    vlac.initialise(Noise([0], "test").generators)
    x = torch.rand(1, 50, 16)
    full = copy.deepcopy(vlac).loss(x, WARM, Noise([0], "draws"))
    with torch.autocast("cpu", torch.bfloat16):
        half = vlac.loss(x, WARM, Noise([0], "draws"))
    for name, term in half.terms.items():
        assert term.dtype == torch.float32
        torch.testing.assert_close(term.mean(), full.terms[name].mean(), rtol=0.05, atol=0.05)
    half.objective.sum().backward()
    y, p_z = torch.rand(1, 50, 3).softmax(-1), vlac.p_z["2"]
    with torch.autocast("cpu", torch.bfloat16):
        mean, log_var = moments(p_z(y))
    assert torch.equal(mean, y @ p_z.mean) and log_var.dtype == torch.float32
    assert all(p.grad.isfinite().all() for p in vlac.parameters())


# ---- figures


@torch.no_grad()
def test_resampling_a_layer_keeps_the_others():
    """Figure 2: by hand, the one layer from its mixture and the others at the means of q at the most probable y."""
    vlac, x = model(), torch.rand(1, 5, 16).double()
    logits = vlac.y_logits(x)
    y = [F.one_hot(each.argmax(-1), each.shape[-1]).double() for each in logits.values()]
    means = {layer: each.mean for layer, each in vlac.infer_z(x, y, [None, None]).items()}
    for name, mean in vlac.embed(x).items():
        torch.testing.assert_close(mean, means[int(name[1])])
    eps, u = torch.randn(1, 10, 3).double(), torch.rand(1, 10, 3).double()
    found = vlac.resample_layer(x, 2, 2, Fixed(eps, u))
    p_z, drawn = vlac.p_z["2"], (-u.log().neg().log()).argmax(-1)[0]
    z2 = p_z.mean[:, drawn] + (0.5 * p_z.log_var[:, drawn]).exp() * eps
    torch.testing.assert_close(found[:, 3, 1], vlac.decode({1: means[1][:, 3:4], 2: z2[:, 7:8]})[:, 0])


@torch.no_grad()
def test_components_share_one_draw_of_the_other_layers():
    """Figure 3: with no variance within components, the images of one component are the same and of two differ."""
    vlac = model()
    vlac.p_z["2"].log_var.fill_(-100)
    images = vlac.sample_layer_clusters(2, 4, Noise([0], "s"))
    torch.testing.assert_close(images, images[:, :, :1].expand_as(images))
    assert (images[:, 0, 0] - images[:, 1, 0]).abs().max() > 1e-3
    # another draw of the other layer
    assert (
        images - vlac.sample_layer_clusters(2, 4, Noise([1], "s"))
    ).abs().max() > 1e-3  # another draw of the other layer


@torch.no_grad()
def test_draws_from_the_mixture_have_its_moments():
    vlac = model(**DENSE)
    p_z = vlac.p_z["3"].float()
    z = p_z.sample(400_000, Noise([0], "s"))
    mean = p_z.mean.mean(1)
    variance = (p_z.log_var.exp() + p_z.mean**2).mean(1) - mean**2
    torch.testing.assert_close(z.mean(1), mean, rtol=0, atol=0.02)
    torch.testing.assert_close(z.var(1), variance, rtol=0.02, atol=0)
    each = p_z.sample_each(200_000, Noise([0], "s"))
    torch.testing.assert_close(each.mean(2), p_z.mean, rtol=0, atol=0.03)
    torch.testing.assert_close(each.var(2), p_z.log_var.exp(), rtol=0.02, atol=0)
    standard = vlac.p_z["2"].sample(100_000, Noise([0], "s"))
    torch.testing.assert_close(standard.std(1), torch.ones(1, 2), rtol=0.02, atol=0)


def test_the_scored_layer_is_the_one_with_most_clusters_unless_named():
    x = torch.rand(1, 5, 16).double()
    for settings, layer in (
        ({"n_clusters": (2, 3)}, 2),
        ({"n_clusters": (3, 2)}, 1),
        ({"n_clusters": (2, 2)}, 2),
        ({"n_clusters": (2, 3), "scored_layer": 1}, 1),
    ):
        vlac = model(**settings)
        torch.testing.assert_close(vlac.cluster_posterior(x), vlac.layer_posteriors(x)[f"y{layer}"])


# ---- refusals


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"colours": 3}, "have 48 values, not 16; set model.height"),
        ({"z_dims": (2, 3, 4)}, "one number for each layer, not 2 and 3"),
        ({"z_dims": (), "n_clusters": ()}, "not 0 and 0"),
        ({"channels": (3, 4, 5)}, "model.channels gives one number for each of 2 layers"),
        ({"channels": ()}, "not 0 numbers"),
        ({"n_clusters": (2,), "z_dims": (2,), "channels": ()}, "not 0 numbers"),
        ({"n_clusters": (2, 1), "z_dims": (2, 0)}, "The top layer and every layer with clusters need a z"),
        ({"z_dims": (0, 3)}, "The top layer and every layer with clusters need a z"),
        ({"scored_layer": 3}, "model.scored_layer must be a layer with clusters"),
        ({"n_clusters": (1, 3), "scored_layer": 1}, "model.scored_layer must be a layer with clusters"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(SettingError, match=message) as refusal:
        VLAC(1, 16, VLACSettings(**(TINY | changes)))
    assert str(refusal.value).count(". ") == 0  # one sentence


def test_a_layer_without_z_is_refused_by_name():
    vlac = model(**NO_Z)
    for layer in (0, 2, 4):
        with pytest.raises(SettingError, match=f"no z in layer {layer}, only in 1, 3"):
            vlac.sample_layer_clusters(layer, 1, Noise([0], "s"))
