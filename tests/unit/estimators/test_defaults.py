"""Defaults of the estimators are what the declared experiments say that the papers did."""

from dataclasses import asdict

import numpy as np
import pytest

from genclust import GMVAE, IWAE, LVAE, VAE, VLAC, CaGeM, GumbelClustering
from genclust.experiments.declaration import load, parse_profile
from genclust.settings import read
from genclust.training.schedules import Schedule

#: The declared row of every estimator, images of its data, and the settings that differ on purpose.
PAPERS = {
    GumbelClustering: ("simple-table1", "proposed-mnist", (28, 28), {"latent_dim": 50}),
    GMVAE: ("gmvae-table1", "gmvae-k10-m1", (28, 28), {"network": "dense"}),
    CaGeM: ("cagem-table1", "cagem-0-k10", (28, 28), {}),
    LVAE: ("cagem-table1", "lvae-iw1", (28, 28), {}),
    VAE: ("cagem-iwae", "vae-l1-k1", (28, 28), {}),
    IWAE: ("cagem-iwae", "iwae-l1-k50", (28, 28), {}),
    VLAC: ("vlac-table1", "vlac-one", (32, 32, 3), {}),
}
#: What an experiment records, or chooses for a machine, and has no part in what is learned.
ASIDE = {"snapshots", "precision"}


@pytest.mark.parametrize("cls", PAPERS, ids=lambda cls: cls.__name__)
def test_defaults_are_the_papers(cls):
    experiment, row, shape, on_purpose = PAPERS[cls]
    declared = load(experiment).row(row).config(parse_profile("paper"))
    X = np.random.default_rng(0).random((60, *shape))
    estimator = cls()
    rows, image = estimator._validated(X, reset=True)
    settings, training, _ = estimator._prepared(rows, image)

    model = dict(declared.model)
    name, _ = model.pop("name"), model.pop("revision")
    assert estimator.model_name == name
    assert settings == read(type(settings), model | on_purpose, "model")
    assert all(model[key] != value for key, value in on_purpose.items())

    ours, theirs = asdict(training), dict(declared.training)
    schedules = {key: Schedule.of(theirs.pop(key)) for key in training.schedules}
    ours.pop("schedules")
    assert {k: v for k, v in ours.items() if k in theirs.keys() - ASIDE} == {
        k: v for k, v in theirs.items() if k not in ASIDE
    }
    unstated = {k: v for k, v in ours.items() if k not in theirs.keys() | ASIDE}
    assert unstated.items() <= {"clip_norm": 0.0, "adam_epsilon": 1e-8}.items()
    for key, schedule in schedules.items():
        for share in (0, 0.01, 0.1, 1 / 3, 0.5, 0.9, 1):
            epoch = share * training.epochs
            assert training.schedules[key](epoch) == pytest.approx(schedule(epoch), rel=1e-9)
