"""Every registered model has a tiny example, and keeps the contract that training and evaluation rely on."""

import inspect

import pytest
import torch
from examples import EXAMPLES, Example

from genclust.evaluation import capabilities
from genclust.evaluation.capabilities import Generates, HasClusters
from genclust.models import MODELS, Model
from genclust.models.inference import as_float
from genclust.streams import Noise

every_example = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


def shown(example: Example, model: Model) -> torch.Tensor:
    return as_float(example.batch(7)).expand(model.replicas, 7, example.x_dim)


def test_every_model_of_the_library_has_a_tiny_example():
    library = {name for name, (model, _) in MODELS.items() if model.__module__.startswith("genclust.")}
    assert {example.name for example in EXAMPLES.values()} == library


CAPABILITIES = [
    kind for kind in vars(capabilities).values() if inspect.isclass(kind) and kind.__module__ == capabilities.__name__
]


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_models_take_what_their_capabilities_state(capability):
    """Beside the data, which are x in some papers and y in others."""

    def beside_data(kind: type, method: str) -> list[str]:
        return list(inspect.signature(getattr(kind, method)).parameters)[2:]

    methods = [name for name in vars(capability) if not name.startswith("_")]
    models = [model for model, _ in MODELS.values() if issubclass(model, capability)]
    assert methods and models
    for method in methods:
        stated = beside_data(capability, method)
        for model in models:
            assert beside_data(model, method)[: len(stated)] == stated, (model, method)


def test_the_sum_over_y_that_a_bound_is_measured_with_is_part_of_its_capability():
    assert "enumerate_y" in inspect.signature(capabilities.SumsOverClasses.log_weights).parameters


@every_example
def test_the_objective_and_its_terms_have_their_shapes_and_reach_every_parameter(example):
    model = example.initialised([5, 6]).train()
    terms = model.loss(shown(example, model), dict.fromkeys(model.schedules, 0.7), Noise([5, 6], "test"))
    assert terms.objective.shape == (2,) and terms.objective.isfinite().all()
    assert terms.terms
    assert all(term.shape == (2, 7) and term.isfinite().all() for term in terms.terms.values())
    terms.objective.sum().backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


@pytest.mark.parametrize("name", ["gumbel", "gmvae", "cagem", "vlac"])
@torch.no_grad()
def test_each_replica_draws_from_a_cluster_of_its_own(name):
    """What it draws alone, and for another cluster something else; that it is p(x|y) is tested with the estimators."""
    example = next(example for example in EXAMPLES.values() if example.name == name)
    both, alone = example.initialised([5, 6]).eval(), example.initialised([6]).eval()
    drawn = both.sample_cluster(9, Noise([5, 6], "a cluster"), 1)
    assert drawn.shape == (2, 9, example.x_dim)
    torch.testing.assert_close(alone.sample_cluster(9, Noise([6], "a cluster"), 1)[0], drawn[1])
    assert not torch.allclose(alone.sample_cluster(9, Noise([6], "a cluster"), 0)[0], drawn[1])


@every_example
@torch.no_grad()
def test_replicas_see_the_same_data_and_answer_for_themselves(example):
    """In evaluation a replica's answers are those that it gives alone, and another's are others."""
    both, alone = example.initialised([5, 6]).eval(), example.initialised([6]).eval()

    def answers(model: Model) -> dict[str, torch.Tensor]:
        found = model.embed(shown(example, model))
        if isinstance(model, HasClusters):
            found["log q(y|x)"] = model.cluster_posterior(shown(example, model))
            totals = found["log q(y|x)"].exp().sum(-1)
            torch.testing.assert_close(totals, torch.ones_like(totals))
        return found

    of_both, of_one = answers(both), answers(alone)
    assert of_both
    for name, value in of_one.items():
        assert of_both[name].shape[:2] == (2, 7) and value.shape[:2] == (1, 7)
        torch.testing.assert_close(of_both[name][1], value[0], rtol=1e-4, atol=1e-5)
        assert not torch.equal(of_both[name][0], of_both[name][1]), name


@every_example
@torch.no_grad()
def test_a_model_in_double_precision_answers_alike(example):
    single, double = example.initialised([5]).eval(), example.initialised([5]).double().eval()

    def answers(model: Model, x: torch.Tensor) -> dict[str, torch.Tensor]:
        found = model.embed(x)
        if isinstance(model, HasClusters):
            found["log q(y|x)"] = model.cluster_posterior(x)
        if isinstance(model, Generates):
            found["reconstruction"] = model.reconstruct(x)
        return found

    x = shown(example, single)
    of_single, of_double = answers(single, x), answers(double, x.double())
    for name, value in of_double.items():
        assert value.dtype == torch.float64, name
        torch.testing.assert_close(of_single[name].double(), value, rtol=1e-3, atol=1e-4)
