"""Saved estimators: the same as before, replaced whole or not at all, and refused where anything is wrong with them."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import adjusted_rand_score

import genclust
from estimators.tiny import CLUSTERERS, DENSITIES, GENERATIVE, NAMES, images, rows, tiny
from genclust.estimators import cautions, saving
from genclust.estimators.saving import CARD, DESCRIPTION, WEIGHTS, ModelError, load


@pytest.fixture(scope="module")
def fitted():
    """Of every kind, some of images, some of a table with names, some scaled."""
    data = {
        "GumbelClustering": images(40) * 9 - 2,
        "GMVAE": pd.DataFrame(rows(40), columns=[f"pixel {i}" for i in range(64)]),
        "CaGeM": np.round(images(40) * 255).astype(np.uint8),
        "VLAC": images(40) * 9,
        "SplitMerge": images(40) * 9,
        "VAE": rows(40) * 3,
        "IWAE": rows(40),
        "LVAE": rows(40),
    }
    more = {"GMVAE": {"learning_rate": (0.01, 0.001)}, "VLAC": {"temperature": (1.0, 0.5), "n_clusters": (2, 3)}}
    return {name: (tiny(name, n_init=2, **more.get(name, {})).fit(X), X) for name, X in data.items()}


def same(a, b):
    """Equal, whatever it is that is compared."""
    if isinstance(a, torch.nn.Module):
        states = a.state_dict(), b.state_dict()
        return type(a) is type(b) and a.settings == b.settings and list(states[0]) == list(states[1]) and all(
            torch.equal(t, states[1][name]) and t.dtype == states[1][name].dtype for name, t in states[0].items()
        )  # fmt: skip
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if type(a).__name__ == "Scaling":
        return a.kind == b.kind and same(a.shift, b.shift) and same(a.scale, b.scale)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("name", NAMES)
def test_what_is_loaded_is_what_was_saved(fitted, name, tmp_path):
    estimator, X = fitted[name]
    path = tmp_path / "a folder" / "Modèle 模型 1"
    estimator.save(str(path))
    loaded = load(path)
    assert type(loaded) is type(estimator)
    before, after = vars(estimator), vars(loaded)
    assert before.keys() == after.keys()
    assert [key for key in before if not same(before[key], after[key])] == []
    for method in ("transform", "reconstruct", "predict", "predict_proba", "score_samples", "score"):
        if hasattr(estimator, method):
            np.testing.assert_array_equal(getattr(loaded, method)(X), getattr(estimator, method)(X))
    if name in GENERATIVE:
        np.testing.assert_array_equal(loaded.sample(5, random_state=1), estimator.sample(5, random_state=1))
    if name in CLUSTERERS and name in GENERATIVE:
        drawn = [e.sample(5, random_state=1, cluster=1) for e in (loaded, estimator)]
        np.testing.assert_array_equal(*drawn)
    assert not loaded.model_.training
    np.testing.assert_array_equal(loaded.fit(X).transform(X), estimator.transform(X))  # and learns as it did
    assert same(type(estimator).load(path).model_, genclust.load(str(path)).model_)


@pytest.mark.parametrize("name", ["GumbelClustering", "VLAC", "LVAE"])
def test_a_score_outlives_parameters_that_are_set_and_folders_of_before(fitted, name, tmp_path):
    """An earlier version did not keep what schedules had come to, and went by the parameters."""
    estimator, X = pickle.loads(pickle.dumps(fitted[name][0])), fitted[name][1]
    estimator.save(tmp_path / "before")
    rewritten(tmp_path / "before", scheduled=KeyError)
    changed = {"warm_up": 1.0} if name == "LVAE" else {"temperature": 5.0}
    estimator.set_params(epochs=1000, **changed).save(tmp_path / "after")
    for loaded in (load(tmp_path / "before").set_params(**changed), load(tmp_path / "after")):
        assert loaded.scheduled_ == fitted[name][0].scheduled_ != {}
        assert loaded.score(X) == fitted[name][0].score(X)


@pytest.mark.parametrize("scheduled", [3, [], {}, {"temperature": "hot"}, {"temperature": None}], ids=str)
def test_what_no_schedule_has_come_to(fitted, tmp_path, scheduled):
    fitted["GumbelClustering"][0].save(tmp_path / "model")
    rewritten(tmp_path / "model", scheduled=scheduled)
    refused(tmp_path / "model", "is damaged: ")


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_is_close_and_says_so(fitted, name, tmp_path):
    estimator, X = fitted[name]
    estimator.save(tmp_path / "full")
    estimator.save(tmp_path / "half", half=True)
    full, half = (load(tmp_path / size) for size in ("full", "half"))
    assert json.loads((tmp_path / "half" / DESCRIPTION).read_text())["half_precision"] is True
    assert json.loads((tmp_path / "full" / DESCRIPTION).read_text())["half_precision"] is False
    weights = load_file(tmp_path / "half" / WEIGHTS)
    numbers = [t for key, t in weights.items() if key.startswith("model.") and t.is_floating_point()]
    assert {t.dtype for t in numbers} == {torch.float16}
    for key, tensor in half.model_.state_dict().items():
        assert tensor.dtype == full.model_.state_dict()[key].dtype
        torch.testing.assert_close(tensor, full.model_.state_dict()[key], rtol=2**-11, atol=2**-24)
    np.testing.assert_allclose(half.transform(X), full.transform(X), atol=0.02, rtol=0.01)
    assert same(half.scaling_, full.scaling_)
    if name in CLUSTERERS:
        np.testing.assert_array_equal(half.labels_, full.labels_)


def test_a_variance_too_large_for_half_precision_is_kept(fitted, tmp_path):
    estimator = pickle.loads(pickle.dumps(fitted["GMVAE"][0]))
    norm = next(m for m in estimator.model_.modules() if hasattr(m, "running_var"))
    norm.running_var.fill_(1e6)
    estimator.save(tmp_path / "a", half=True)
    X = fitted["GMVAE"][1]
    np.testing.assert_allclose(load(tmp_path / "a").predict_proba(X), estimator.predict_proba(X), atol=0.01)


def test_the_folder_holds_three_files_and_nothing_that_could_be_executed(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr(pickle, "loads", None), monkeypatch.setattr(pickle, "load", None)
    monkeypatch.setattr(torch, "load", None), monkeypatch.setattr(torch, "save", None)
    for name in NAMES:
        fitted[name][0].save(tmp_path / name)
        assert sorted(p.name for p in (tmp_path / name).iterdir()) == sorted([WEIGHTS, DESCRIPTION, CARD])
        description = json.loads((tmp_path / name / DESCRIPTION).read_text(encoding="utf8"))
        assert description["estimator"] == name and description["format"] == 1
        card = (tmp_path / name / CARD).read_text(encoding="utf8")
        assert card.startswith(f"# {name}\n") and f"{fitted[name][0].bound_:.2f} nats" in card and "2 seeds" in card
        assert type(load(tmp_path / name)).__name__ == name


def test_parameters_that_are_no_plain_numbers(tmp_path):
    state = np.random.RandomState(0)
    estimator = tiny("GMVAE", n_clusters=np.int64(3), alpha=np.float32(0.5), random_state=state, epochs=np.int32(2))
    estimator.fit(rows(40)).save(tmp_path / "a")
    loaded = load(tmp_path / "a")
    assert loaded.random_state is None and loaded.n_clusters == 3 and loaded.alpha == 0.5
    np.testing.assert_array_equal(loaded.predict_proba(rows(40)), estimator.predict_proba(rows(40)))
    seeded = tiny("VAE", random_state=np.int64(7)).fit(rows(40))
    seeded.save(tmp_path / "b")
    assert load(tmp_path / "b").random_state == 7 and type(load(tmp_path / "b").random_state) is int


def test_seeds_that_failed_are_saved_too(fitted, tmp_path):
    estimator = pickle.loads(pickle.dumps(fitted["VAE"][0]))
    other = 1 - estimator.best_
    estimator.bounds_[other], estimator.histories_[other][-1]["bound"] = -np.inf, float("nan")
    estimator.save(tmp_path / "a")
    loaded = load(tmp_path / "a")
    np.testing.assert_array_equal(loaded.bounds_, estimator.bounds_)
    assert np.isnan(loaded.histories_[other][-1]["bound"])


def test_a_home_folder_is_found(fitted, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    fitted["VAE"][0].save("~/model")
    assert (tmp_path / "model" / WEIGHTS).is_file() and type(load("~/model")).__name__ == "VAE"
    assert not (tmp_path / "~").exists()


# ---- replacing


@pytest.fixture
def saved(fitted, tmp_path):
    fitted["VAE"][0].save(tmp_path / "model")
    return tmp_path / "model"


def leftovers(path):
    return sorted(p.name for p in path.parent.iterdir() if p != path)


def test_a_saved_model_is_replaced(fitted, saved):
    fitted["GMVAE"][0].save(saved, overwrite=True)
    assert type(load(saved)).__name__ == "GMVAE" and leftovers(saved) == []
    saved.with_name("empty").mkdir()
    fitted["GMVAE"][0].save(saved.with_name("empty"))
    assert type(load(saved.with_name("empty"))).__name__ == "GMVAE"


def test_a_saved_model_is_not_replaced_unless_that_is_asked_for(fitted, saved):
    before = (saved / WEIGHTS).read_bytes()
    with pytest.raises(ModelError, match=r"holds a saved model already; give another folder, or overwrite=True to"):
        fitted["GMVAE"][0].save(saved)
    assert (saved / WEIGHTS).read_bytes() == before and leftovers(saved) == []


def test_the_folder_of_a_link_is_replaced(fitted, saved):
    link = saved.with_name("link")
    link.symlink_to(saved)
    fitted["GMVAE"][0].save(link, overwrite=True)
    assert link.is_symlink() and type(load(saved)).__name__ == type(load(link)).__name__ == "GMVAE"


def test_what_is_no_saved_model_is_not_replaced(fitted, tmp_path):
    estimator, file, folder = fitted["VAE"][0], tmp_path / "file", tmp_path / "folder"
    file.write_text("mine")
    folder.mkdir()
    (folder / "thesis.tex").write_text("mine")
    for path in (file, folder):
        with pytest.raises(
            ModelError, match=r"exists and holds no saved model; give a folder that does not exist yet\.$"
        ):
            estimator.save(path, overwrite=True)
    assert file.read_text() == (folder / "thesis.tex").read_text() == "mine"


def test_a_saved_model_beside_other_files_is_not_replaced(fitted, saved):
    """Its folder would go as a whole."""
    (saved / "thesis.tex").write_text("mine")
    with pytest.raises(ModelError, match=r"holds 'thesis\.tex' beside a saved model"):
        fitted["GMVAE"][0].save(saved, overwrite=True)
    assert (saved / "thesis.tex").read_text() == "mine" and type(load(saved)).__name__ == "VAE"


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("failing", [0, 1])
def test_a_replacement_that_is_interrupted_leaves_the_old_model(fitted, saved, monkeypatch, error, failing):
    before, rename, calls = (saved / WEIGHTS).read_bytes(), os.rename, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) - 1 == failing:
            raise error("stopped")
        rename(*args)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(error):
        fitted["GMVAE"][0].save(saved, overwrite=True)
    assert (saved / WEIGHTS).read_bytes() == before and type(load(saved)).__name__ == "VAE" and leftovers(saved) == []


def test_even_where_nothing_can_be_renamed_any_more_the_old_model_is_not_deleted(fitted, saved, monkeypatch):
    before, rename, calls = (saved / WEIGHTS).read_bytes(), os.rename, []

    def once(*args):
        calls.append(args)
        if len(calls) > 1:
            raise OSError("broken")
        rename(*args)

    monkeypatch.setattr(os, "rename", once)
    with pytest.raises(OSError, match="broken"):
        fitted["GMVAE"][0].save(saved, overwrite=True)
    assert [p.read_bytes() for p in saved.parent.rglob(WEIGHTS)] == [before]


@pytest.mark.parametrize("file", [WEIGHTS, DESCRIPTION, CARD])
def test_a_disk_that_is_full_leaves_the_old_model(fitted, saved, monkeypatch, file):
    write = Path.write_bytes, Path.write_text

    def full(which):
        def function(self, *args, **kwargs):
            if self.name == file:
                write[which](self, *[part[:10] for part in args], **kwargs)
                raise OSError(28, "No space left on device")
            return write[which](self, *args, **kwargs)

        return function

    monkeypatch.setattr(Path, "write_bytes", full(0))
    monkeypatch.setattr(Path, "write_text", full(1))
    for path in (saved, saved.with_name("new")):
        with pytest.raises(OSError, match="No space left"):
            fitted["GMVAE"][0].save(path, overwrite=True)
    assert type(load(saved)).__name__ == "VAE" and leftovers(saved) == []


# ---- what is said of clusters


def test_description_and_card_say_what_is_known_of_the_clusters(fitted, tmp_path):
    for name in CLUSTERERS:
        estimator = fitted[name][0]
        estimator.save(tmp_path / name)
        known = json.loads((tmp_path / name / DESCRIPTION).read_text())["clusters"]
        labels = estimator.all_labels_
        pair = adjusted_rand_score(labels[0], labels[1])
        assert known["agreement"] == pytest.approx(pair, abs=1e-4)
        assert known["agreement_of_seeds"] == pytest.approx([pair, pair], abs=1e-4)
        means = [np.nan if mean is None else mean for mean in known["mean_probabilities"]]
        np.testing.assert_allclose(means, estimator.mean_probabilities_, atol=1e-4)
        assert known["rows"] == estimator.cluster_sizes_.tolist()
        card = (tmp_path / name / CARD).read_text(encoding="utf8")
        assert f"Agreement between seeds: {pair:.2f}" in card and "Mean probability per cluster: " in card
    fitted["VAE"][0].save(tmp_path / "VAE")
    assert "clusters" not in json.loads((tmp_path / "VAE" / DESCRIPTION).read_text())


def test_one_seed_agrees_with_none(tmp_path):
    tiny("GMVAE").fit(rows(40)).save(tmp_path / "a")
    assert json.loads((tmp_path / "a" / DESCRIPTION).read_text())["clusters"]["agreement"] is None
    card = (tmp_path / "a" / CARD).read_text(encoding="utf8")
    assert "with 1 seed;" in card and "Agreement" not in card


# ---- what is wrong with a folder


def refused(path, match, cls=None):
    with pytest.raises(ModelError) as raised:
        load(path) if cls is None else cls.load(path)
    message = str(raised.value)
    assert match in message and "\n" not in message and message.endswith((".", "?")) and ".." not in message, message


def rewritten(path, **changes):
    description = json.loads((path / DESCRIPTION).read_text())
    for key, value in changes.items():
        if value is KeyError:
            del description[key]
        else:
            description[key] = value
    (path / DESCRIPTION).write_text(json.dumps(description))
    return description


@pytest.mark.parametrize("at", [0, 9, 200, -1])
def test_every_changed_byte_of_the_weights_is_noticed(saved, at):
    content = bytearray((saved / WEIGHTS).read_bytes())
    content[at] ^= 1
    (saved / WEIGHTS).write_bytes(content)
    refused(saved, "is damaged or altered: its SHA-256 is not that of estimator.json")


@pytest.mark.parametrize("length", [0, 5, 300, -1])
def test_truncated_weights(saved, length):
    content = (saved / WEIGHTS).read_bytes()[:length]
    (saved / WEIGHTS).write_bytes(content)
    refused(saved, "is damaged or altered")
    rewritten(saved, sha256=__import__("hashlib").sha256(content).hexdigest())  # by somebody who knows how
    refused(saved, "is damaged: ")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '"a"', "{}", '{"format": 1}', "\x00", '{"name": "other"}', "[" * 100_000]
)
def test_a_description_of_something_else(saved, text):
    (saved / DESCRIPTION).write_text(text)
    refused(saved, "is damaged, or no description of a saved model")


def test_a_description_that_is_no_text(saved):
    (saved / DESCRIPTION).write_bytes(b"\xff\xfe\x00")
    refused(saved, "is damaged, or no description of a saved model")


def test_a_description_that_was_cut(saved):
    text = (saved / DESCRIPTION).read_text()
    (saved / DESCRIPTION).write_text(text[: len(text) // 2])
    refused(saved, "is damaged, or no description of a saved model")


def test_formats_and_kinds_that_are_not_known(saved):
    rewritten(saved, format=3)
    refused(saved, "is in format 3, and this version of genclust reads the formats 1 and 2")
    rewritten(saved, format=1, estimator="Foreign")
    refused(saved, "holds a model of the unknown kind 'Foreign'; known are")
    rewritten(saved, estimator=["VAE"])
    refused(saved, "is damaged, or no description")


def test_another_class(saved):
    refused(saved, "holds a VAE and no GMVAE; take VAE.load", genclust.GMVAE)
    refused(saved, "holds a VAE and no IWAE; take VAE.load", genclust.IWAE)
    assert type(genclust.VAE.load(saved)) is genclust.VAE


def test_a_model_of_another_revision(saved):
    model = rewritten(saved)["model"]
    rewritten(saved, model=model | {"revision": model["revision"] + 1})
    refused(saved, f"it is of revision {model['revision'] + 1} of its model")


@pytest.mark.parametrize(
    "changes",
    [
        {"model": KeyError},
        {"model": []},
        {"model": 3},
        {"model": {"name": "iwae"}},
        {"parameters": KeyError},
        {"parameters": ["hidden"]},
        {"parameters": {"colour": 3}},
        {"fitted": KeyError},
        {"fitted": []},
        {"fitted": {}},
        {"fitted": {"n_features_in_": 64}},
        {"fitted": {"n_features_in_": "many"}},
        {"feature_names": 3},
        {"image_shape": 3},
        {"scaling": KeyError},
    ],
    ids=str,
)
def test_descriptions_that_do_not_fit_their_weights(saved, changes):
    rewritten(saved, **changes)
    refused(saved, "is damaged: ")


def test_a_description_sets_nothing_but_what_was_fitted(saved):
    held = rewritten(saved)["fitted"]
    rewritten(saved, fitted=held | {"predict": 1, "__class__": 2, "model_": 3})
    assert not isinstance(load(saved).model_, int) and "predict" not in vars(load(saved))


def test_folders_that_hold_no_model(saved, tmp_path):
    refused(tmp_path / "nowhere", "There is no folder")
    refused(tmp_path / "modl", "modl; did you mean 'model'?")
    refused("simple-table1/proposed-usp", "did you mean 'simple-table1/proposed-usps'?")
    refused("entirely-different", "and no published model is called so; genclust card lists those.")
    refused(saved / WEIGHTS, "is a file; a saved model is a folder with")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "holds no saved model: it has no estimator.json")
    (saved / WEIGHTS).unlink()
    refused(saved, "cannot be read: No such file or directory")


def test_a_folder_may_be_moved(fitted, saved, tmp_path):
    shutil.move(saved, tmp_path / "moved")
    X = fitted["VAE"][1]
    np.testing.assert_array_equal(load(tmp_path / "moved").transform(X), fitted["VAE"][0].transform(X))


def test_all_estimators_can_be_saved():
    assert sorted(saving.ESTIMATORS) == sorted(NAMES) and set(DENSITIES) <= set(NAMES)


def test_estimators_are_imported_and_read_without_what_draws() -> None:
    """Matplotlib takes most of a second to import."""
    code = "import sys, genclust; genclust.VAE, genclust.load; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("path", ["~nobody-of-this-name/model", "a" * 300])
def test_a_path_that_cannot_be_is_refused_in_a_sentence(path):
    with pytest.raises(ModelError, match=r"^There is no folder .*\.$"):
        load(path)


def test_seeds_that_diverged_are_told_apart_from_collapsed_ones(tmp_path):
    """Two of four put all rows into one cluster, since they diverged; the others agree."""
    estimator = tiny("GumbelClustering", n_init=4).fit(rows(40))
    estimator.best_, estimator.bounds_ = 0, np.array([-3.0, -np.inf, -4.0, -np.inf])
    estimator.all_labels_[:] = estimator.labels_ = np.arange(40) % 3
    estimator.all_labels_[[1, 3]] = 0
    estimator.histories_[1] = [{"epoch": 1, "bound": -np.inf, "kl_z": np.nan}]
    np.testing.assert_array_equal(cautions.seeds_agree(estimator), [1, np.nan, 1, np.nan])
    assert cautions.mean_agreement(estimator) == 1 and cautions.seeds_of_one_cluster(estimator) == 0
    found = " ".join(cautions.cautions(estimator))
    assert "The training of 2 of 4 seeds diverged" in found and "one cluster" not in found
    assert cautions.seeds_in_words(estimator) == "the seeds mostly agree"
    estimator.save(tmp_path / "model")
    text = (tmp_path / "model" / DESCRIPTION).read_text()

    def never(constant):
        raise AssertionError(f"{constant} is no JSON.")

    assert json.loads(text, parse_constant=never)["clusters"]["agreement_of_seeds"] == [1, None, 1, None]
    loaded = load(tmp_path / "model")
    np.testing.assert_array_equal(loaded.bounds_, estimator.bounds_)
    assert np.isnan(loaded.histories_[1][0]["bound"]) and loaded.histories_[0] == estimator.histories_[0]
    estimator.bounds_ = np.array([-3.0, -np.inf, -np.inf, -np.inf])
    assert np.isnan(cautions.mean_agreement(estimator)) and cautions.seeds_in_words(estimator) == "one seed cannot tell"


def test_sub_clusters_are_not_merged_anew_where_a_model_is_loaded(tmp_path: Path) -> None:
    """From weights in half precision others could be merged."""
    X = np.random.default_rng(0).random((60, 4)).astype(np.float32)
    model = genclust.SplitMerge(n_clusters=3, epochs=1, n_init=1, random_state=0, verbose=False).fit(X)
    groups = model.model_.groups
    groups.copy_(groups.flip(-1))
    model.save(tmp_path / "m")
    assert torch.equal(load(tmp_path / "m").model_.groups, groups)
