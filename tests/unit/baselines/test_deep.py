"""ClustPy's methods against ClustPy called directly, and the autoencoder that is kept for all of them.

N2D, which needs UMAP as well, is in ``test_manifold.py``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits

from genclust.baselines import BASELINES, autoencoder, clustpy
from genclust.baselines.autoencoder import AutoencoderSettings, pretrained
from genclust.baselines.deep import DCNSettings, DECSettings, IDECSettings, VaDESettings
from genclust.experiments import baselines, declaration
from genclust.experiments.execution import prepare
from genclust.settings import read

pytest.importorskip("clustpy", reason="ClustPy is not installed; `make baselines` installs it")
LIMIT = sys.getrecursionlimit()
deep = clustpy.deep()
X = (load_digits().data / 16).astype(np.float32)[:500]
REST = (load_digits().data / 16).astype(np.float32)[500:600]
SHORT = {"pretrain_epochs": 2, "clustering_epochs": 2}


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of kept autoencoders, empty at first."""
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path))
    return tmp_path / "autoencoders"


def network() -> Any:
    return deepcopy(pretrained(X, 3, 2).network)


def squares(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return ((a[:, None].astype(np.float64) - b) ** 2).sum(-1)


def test_importing_it_leaves_the_recursion_limit_alone() -> None:
    assert sys.getrecursionlimit() == LIMIT < 1_000_000


def test_the_autoencoder_is_clustpys_own() -> None:
    torch.manual_seed(3)
    peer = deep.neural_networks.FeedforwardAutoencoder([64, 500, 500, 2000, 10], random_state=3)
    peer.fit(n_epochs=2, batch_size=256, data=X)
    np.testing.assert_allclose(pretrained(X, 3, 2).encode(REST), peer.transform(REST), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "settings, peer, weight",
    [(DECSettings, "DEC", {}), (IDECSettings, "IDEC", {}), (IDECSettings, "IDEC", {"clustering_loss_weight": 50.0})],
)
def test_dec_and_idec_are_clustpys_own(settings: Any, peer: str, weight: dict[str, float]) -> None:
    fitted = settings(10, **SHORT, **weight).fit(X, 3)
    theirs = getattr(deep, peer)(10, neural_network=network(), clustering_epochs=2, random_state=3, **weight).fit(X)
    assert (fitted.cluster_posterior(X).argmax(1) == theirs.dec_labels_).all()
    soft = 1 / (1 + squares(theirs.transform(REST), theirs.dec_cluster_centers_))  # equation 1 of DEC
    np.testing.assert_allclose(
        np.exp(fitted.cluster_posterior(REST)), soft / soft.sum(1, keepdims=True), rtol=1e-4, atol=1e-6
    )


def test_dcn_is_clustpys_own() -> None:
    fitted = DCNSettings(10, **SHORT).fit(X, 3)
    theirs = deep.DCN(10, neural_network=network(), clustering_epochs=2, random_state=3).fit(X)
    assert (fitted.cluster_posterior(X).argmax(1) == theirs.dcn_labels_).all()
    expected = softmax(-squares(theirs.transform(REST), theirs.dcn_cluster_centers_) / 2, axis=1)
    np.testing.assert_allclose(np.exp(fitted.cluster_posterior(REST)), expected, rtol=1e-3, atol=1e-6)


def test_vade_is_clustpys_own() -> None:
    fitted = VaDESettings(10, **SHORT).fit(X, 3)
    theirs = deep.VaDE(10, pretrain_epochs=2, clustering_epochs=2, random_state=3).fit(X)
    assert (fitted.cluster_posterior(X).argmax(1) == theirs.labels_).all()
    assert (fitted.cluster_posterior(REST).argmax(1) == theirs.predict(REST)).all()


def test_vade_takes_values_of_any_size_with_the_square_error() -> None:
    with pytest.raises(AssertionError, match="range"):
        VaDESettings(10, **SHORT).fit(5 * X, 3)
    log_q = VaDESettings(10, "gaussian", **SHORT).fit(5 * X, 3).cluster_posterior(5 * REST)
    np.testing.assert_allclose(np.exp(log_q).sum(1), 1)


def test_the_code_is_clustered_by_the_library() -> None:
    fitted = AutoencoderSettings(10, "kmeans", pretrain_epochs=2).fit(X, 3)
    code = pretrained(X, 3, 2).encode
    peer = KMeans(10, n_init=10, random_state=3).fit(code(X))
    assert (fitted.cluster_posterior(REST).argmax(1) == peer.predict(code(REST))).all()


# ---- what is kept


def test_one_autoencoder_serves_all_methods_of_its_seed_and_rows(kept: Path) -> None:
    for settings in (DECSettings(10, **SHORT), DCNSettings(10, **SHORT), AutoencoderSettings(10, pretrain_epochs=2)):
        settings.fit(X, 3)
    assert len(list(kept.iterdir())) == 1
    for x, seed, epochs in [(X, 4, 2), (X[:-1], 3, 2), (X, 3, 1)]:
        assert not pretrained(x, seed, epochs).was_kept
    assert len(list(kept.iterdir())) == 4
    assert pretrained(X, 3, 2).was_kept


def test_what_was_kept_gives_the_same_and_its_time_is_remembered(kept: Path) -> None:
    first, second = (DECSettings(10, **SHORT).fit(X, 3) for _ in range(2))
    assert np.array_equal(first.cluster_posterior(REST), second.cluster_posterior(REST))
    trained, loaded = pretrained(X, 5, 2), pretrained(X, 5, 2)
    assert first.saved_seconds == trained.saved_seconds == 0
    assert loaded.saved_seconds == trained.seconds > 0 and second.saved_seconds > 0


def test_a_record_has_the_seconds_of_an_autoencoder_that_was_there(monkeypatch: pytest.MonkeyPatch) -> None:
    row = declaration.load("baselines").row("ae-kmeans-usps")
    config = row.config("demo", {"model": {"pretrain_epochs": 1}})
    data, _ = prepare(config)
    list(baselines.fit_seeds(config, [0], data, None, progress=False))
    load = autoencoder._load
    monkeypatch.setattr(autoencoder, "_load", lambda network, path: load(network, path) + 1000)
    ((_, _, seconds),) = baselines.fit_seeds(config, [0], data, None, progress=False)
    assert 1000 < seconds < 1100


def test_a_damaged_file_is_made_anew_and_said(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = pretrained(X, 3, 2).encode(REST)
    (path,) = kept.iterdir()
    whole = path.read_bytes()
    other = pretrained(np.pad(X, ((0, 0), (0, 1))), 3, 2) and next(p for p in kept.iterdir() if p != path).read_bytes()
    capsys.readouterr()
    for damaged in (b"", b"nothing", whole[:-100], other):
        path.write_bytes(damaged)
        again = pretrained(X, 3, 2)
        assert not again.was_kept and np.array_equal(again.encode(REST), code)
        said = capsys.readouterr()
        assert f"The autoencoder {path} cannot be read" in said.out + said.err and "trained anew" in said.out + said.err
        assert path.read_bytes() == whole or pretrained(X, 3, 2).was_kept


def test_seeds_decide_everything_in_any_process(tmp_path: Path) -> None:
    """Whatever was drawn in the process before, and from an autoencoder of the process's own."""
    tried = {name: {"n_clusters": 10, **SHORT} for name in ("dec", "dcn", "vade")}
    code = f"""
import sys, numpy as np, torch
from sklearn.datasets import load_digits
from genclust.baselines import BASELINES
from genclust.settings import read
torch.manual_seed(99); torch.rand(7); np.random.rand(5)
X = (load_digits().data / 16).astype(np.float32)[:500]
tried = {tried!r}
np.savez(sys.argv[1], **{{n: read(BASELINES[n], s, "model").fit(X, 6).cluster_posterior(X) for n, s in tried.items()}})
"""
    environment = os.environ | {"GENCLUST_CACHE": str(tmp_path / "other"), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment |= {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there.npz")], check=True, env=environment)
    there = np.load(tmp_path / "there.npz")
    for name, short in tried.items():
        settings: Any = read(BASELINES[name], short, "model")
        assert np.array_equal(settings.fit(X, 6).cluster_posterior(X), there[name]), name
