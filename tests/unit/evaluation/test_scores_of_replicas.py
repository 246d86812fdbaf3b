"""Every seed has the scores of its own replica, and a failed one those of a single cluster."""

import math

import numpy as np
import pytest
import torch

from genclust.data import DataSet, Split
from genclust.evaluation import measures, pictures, registry
from genclust.evaluation.clustering import hungarian_accuracy
from genclust.evaluation.likelihood import log_weights
from genclust.evaluation.neighbours import NEIGHBOURS
from genclust.evaluation.trained import Trained
from genclust.models.gmvae import GMVAE, GMVAESettings
from genclust.models.gumbel import GumbelClustering, GumbelSettings
from genclust.streams import Noise

from .test_likelihood import LinearGaussian, X

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], [20, 10, 10])
DATA = DataSet("points", {name: Split(RNG.normal(size=(40, 6)).astype(np.float32), Y) for name in ("train", "test")})


def test_a_likelihood_is_that_of_the_replica():
    """From the same weights, with the logarithm of their mean and the mean of their logarithms taken by NumPy."""
    found = measures.likelihood(LinearGaussian(2.0), X, [4, 9], 50, "float32")
    log_w = log_weights(LinearGaussian(2.0), X, [4, 9], 50).double().numpy()
    for r in range(2):
        each = np.log(np.exp(log_w[:, r]).mean(0))
        metrics, arrays = found[r].metrics, found[r].arrays
        assert metrics["test.log_likelihood"] == pytest.approx(each.mean(), abs=1e-4)
        assert metrics["test.elbo"] == pytest.approx(log_w[:, r].mean(), abs=1e-4)
        assert metrics["test.log_likelihood_se"] == pytest.approx(each.std(ddof=1) / math.sqrt(30), rel=1e-4)
        np.testing.assert_allclose(arrays["log_likelihood_test"], each, rtol=2**-11, atol=1e-4)  # in half precision
        np.testing.assert_allclose(arrays["elbo_test"], log_w[:, r].mean(0), rtol=2**-11, atol=1e-4)
    first, second = (of_replica.metrics for of_replica in found)
    assert abs(first["test.log_likelihood"] - second["test.log_likelihood"]) > 1e-3
    assert abs(first["test.elbo"] - second["test.elbo"]) > 1e-3


@torch.no_grad()
def test_clusters_are_those_of_the_replica_and_one_where_it_failed():
    model = GumbelClustering(3, 6, GumbelSettings(3, 2, 4, (5,)))
    model.initialise(Noise([0, 1, 2], "test").generators)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()  # clusters that differ from point to point
        parameter[2] = math.nan
    results = registry.evaluate(model, DATA, [0, 1, 2], [{}, {}, {}], ("clustering",), CPU)
    scores = [result.metrics["test.acc_hungarian"] for result in results]
    x = torch.from_numpy(DATA.splits["test"].x).expand(3, -1, -1)
    q = model.cluster_posterior(x).exp().numpy()
    clusters = q.argmax(-1)
    assert scores[:2] == [pytest.approx(hungarian_accuracy(Y, clusters[r])) for r in range(2)]
    assert scores[0] != scores[1]
    assert scores[2] == 50 and results[2].metrics["test.clusters_used"] == 1
    for r in range(2):
        arrays = results[r].arrays
        assert np.array_equal(arrays["clusters_test"], clusters[r])
        np.testing.assert_allclose(arrays["confidence_test"], q[r].max(-1), rtol=2**-10)  # in half precision
    assert not results[2].arrays["clusters_test"].any()
    np.testing.assert_allclose(results[2].arrays["confidence_test"], np.full(40, 1 / 3), rtol=2**-10)


@torch.no_grad()
def test_a_replica_that_failed_has_no_neighbours():
    """Its features are no numbers, and the error of constants in their place would be that of the largest class."""
    model = GumbelClustering(2, 6, GumbelSettings(3, 2, 4, (5,)))
    model.initialise(Noise([0, 1], "test").generators)
    for parameter in model.parameters():
        parameter[1] = math.nan
    sound, failed = registry.evaluate(model, DATA, [0, 1], [{}, {}], ("neighbours",), CPU)
    features = model.embed(torch.from_numpy(DATA.splits["test"].x).expand(2, -1, -1))
    assert sound.metrics.keys() == {f"test.knn_error_{name}_{k}" for name in features for k in NEIGHBOURS}
    assert failed.metrics == {} and failed.arrays == {}


@torch.no_grad()
def test_components_of_the_latent_map_have_means_and_standard_deviations():
    """At w = 0 the prior network is the bias of its first layer, tanh, and one affine map."""
    model = GMVAE(2, 6, GMVAESettings(3, 2, 2, 5, likelihood="gaussian"))
    model.initialise(Noise([0, 1], "test").generators)
    found = [of.arrays for of in pictures.latent_map(Trained(model.eval(), DATA, [0, 1], [{}, {}], CPU, "float32"))]
    for r, arrays in enumerate(found):
        h = np.tanh(model.prior[0].bias[r].double().numpy())
        for name, layer in (("component_means", model.prior_means), ("component_sds", model.prior_log_vars)):
            expected = (h @ layer.weight[r].double().numpy() + layer.bias[r].double().numpy()).reshape(3, 2)
            if name == "component_sds":
                expected = np.sqrt(np.exp(expected))
            np.testing.assert_allclose(arrays[name], expected, rtol=1e-5, atol=1e-6)
