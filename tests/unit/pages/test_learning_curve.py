"""The learning curve: the model's terms on the validation split, at the schedules of the epoch."""

import math

import numpy as np
import pytest
import torch

from genclust.evaluation.clustering import hungarian_accuracy
from genclust.experiments import declaration, execution, workers
from genclust.experiments.configuration import training_settings
from genclust.experiments.training_run import LearningCurve, TrainingRun, bound
from genclust.streams import Noise

ROW = declaration.load("simple-table1").row("proposed-mnist")
CHANGES = {
    "model": {"hidden": [8, 6], "feature_dim": 6, "latent_dim": 2, "n_clusters": 3},
    "training": {
        "epochs": 3,
        "batch_size": 20,
        "temperature": {"shape": "exponential", "start": 5.0, "end": 0.2, "epochs": 4},
        "snapshots": [2, 3],
    },
}


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Configuration, data, the trained model and the two replicas' states."""
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "own.npz", x_train=rng.random((100, 6)).astype(np.float32), y_train=np.arange(100) % 3)
    config = ROW.config("demo", CHANGES | {"data": {"name": str(tmp_path / "own.npz")}})
    data, _ = execution.prepare(config)
    with workers.in_process(progress=False) as watch:
        run = TrainingRun(config, [4, 7], data, watch)
        model, states = run.train(), run.states()
    return data, model, states


@torch.no_grad()
def test_the_last_point_is_what_the_trained_model_gives_on_the_validation_split(trained):
    """Temperature by hand, 5 to 0.2 on a logarithmic scale over four epochs, after three; noise of that epoch."""
    data, model, states = trained
    validation = data.splits["validation"]
    assert [[point["epoch"] for point in state["curve"]] for state in states] == [[1, 2, 3]] * 2
    x = torch.from_numpy(validation.x).expand(2, -1, -1)
    temperature = 5 * math.exp(3 / 4 * math.log(0.2 / 5))
    terms = model.loss(x, {"temperature": temperature}, Noise([4, 7], "validation noise").at(3)).terms
    log_q = model.cluster_posterior(x)
    clusters = log_q.argmax(-1).numpy()
    for r, state in enumerate(states):
        last = state["curve"][-1]
        for name, term in terms.items():
            assert last[name] == pytest.approx(float(term[r].mean()), rel=1e-5), name
        assert last["acc_hungarian"] == pytest.approx(hungarian_accuracy(validation.y, clusters[r]))
        assert last["confidence"] == pytest.approx(np.exp(log_q[r].numpy()).max(-1).mean())


@torch.no_grad()
def test_snapshots_are_the_features_of_the_test_points_at_their_epoch(trained):
    """As few as here are all followed; the last one is what the trained model gives, in half precision."""
    data, model, states = trained
    test = torch.from_numpy(data.splits["test"].x).expand(2, -1, -1)
    features = model.embed(test)["x_hat"]
    for r, state in enumerate(states):
        assert list(state["snapshots"]) == ["x_hat_2", "x_hat_3"]
        torch.testing.assert_close(state["snapshots"]["x_hat_3"].float(), features[r], rtol=2e-3, atol=1e-5)
        assert not torch.equal(state["snapshots"]["x_hat_2"], state["snapshots"]["x_hat_3"])


@torch.no_grad()
def test_a_term_that_is_not_finite_takes_the_others_with_it(trained, monkeypatch):
    """Of the replica that it is of alone: else the terms that are left would add up to a better bound."""
    data, model, states = trained
    config = states and ROW.config("demo", CHANGES)
    curve = LearningCurve(model, data, [4, 7], training_settings("gumbel", config.training), "cpu")
    whole = curve.point(3)
    loss = model.loss

    def with_nan(*arguments):
        found = loss(*arguments)
        next(iter(found.terms.values()))[0, 5] = torch.nan
        return found

    monkeypatch.setattr(model, "loss", with_nan)
    first, second = curve.point(3)
    assert first.keys() == {"acc_hungarian", "confidence"} and second == whole[1]
    assert math.isfinite(bound(model, whole[0])) and math.isnan(bound(model, first))
