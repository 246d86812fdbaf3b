"""Running: killed and resumed against uninterrupted, budgets, refusals before anything is computed."""

import math
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_data as tiny
import torch

from genclust import data as datasets
from genclust.data import DataError
from genclust.evaluation import likelihood, registry
from genclust.experiments import declaration, execution, training_run
from genclust.experiments.configuration import RunConfig
from genclust.experiments.execution import Task, run, task_for
from genclust.experiments.store import Store, StoreError
from genclust.experiments.training_run import curve_epochs
from genclust.experiments.verdicts import summarise
from genclust.experiments.workers import Unfinished
from genclust.kernels import LogMeanExp
from genclust.settings import SettingError
from genclust.training.device import checked_device

MNIST = declaration.load("simple-table1").row("proposed-mnist")
SHORT = {"training": {"epochs": 6}}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))


def short_task(seeds, evaluations=("clustering",), **changes) -> Task:
    return replace(task_for(MNIST, "demo", seeds, {**SHORT, **changes}), evaluations=evaluations)


def test_a_record_holds_what_the_design_asks_for(cache, tmp_path):
    (record,) = run(short_task([0], MNIST.evaluated), Store(tmp_path / "records"), progress=False)
    assert record.config["training"]["epochs"] == 6
    assert record.data["name"] == "digits"
    assert len(record.data["digest"]) == 64
    assert record.data["sizes"] == {"train": 1150, "validation": 288, "test": 359}
    assert {"test.acc_hungarian", "all.nmi_arithmetic", "test.knn_error_x_hat_3"} <= set(record.metrics)
    assert [point["epoch"] for point in record.curve] == [1, 2, 3, 4, 5, 6]
    assert {"device", "processor", "instructions", "threads", "versions", "source", "date"} <= set(record.provenance)
    assert record.evaluations == dict.fromkeys(MNIST.evaluated, 1)
    (leg,) = record.provenance["training"]
    assert leg["from_step"] == 0 and leg["beside"] == [0]
    assert leg["instructions"] == torch.backends.cpu.get_cpu_capability()
    assert record.seconds > 0
    arrays = record.arrays()
    assert arrays["tsne_x_hat_5"].shape == (len(arrays["tsne_labels"]), 2)
    assert arrays["style_transfers"].shape == (10, 10, 64)
    assert arrays["cluster_samples"].shape[0] == 10


def test_what_is_recorded_is_not_run_again(cache, tmp_path):
    records = Store(tmp_path / "records")
    first = run(short_task([0, 1]), records, progress=False)
    written = {r.path: r.path.stat().st_mtime_ns for r in first}
    again = run(short_task([0, 1, 2]), records, progress=False)
    assert [r.seed for r in again] == [0, 1, 2]
    assert {r.path: r.path.stat().st_mtime_ns for r in again[:2]} == written


SCRIPT = """
import sys
from pathlib import Path
from genclust.experiments import declaration, execution, training_run
from genclust.experiments.store import Store, StoreError
import torch
torch.set_num_threads(1)
training_run.SECONDS_BETWEEN_CHECKPOINTS = 0.1
row = declaration.load("simple-table1").row("proposed-mnist")
task = execution.task_for(row, "demo", [0, 1], {"training": {"epochs": int(sys.argv[2])}})
execution.run(task, Store(Path(sys.argv[1])), progress=False)
"""


def start(records: Path, epochs: int, first_checkpoint: Path) -> subprocess.Popen:
    """A run in a process of its own, once it has written its first checkpoint."""
    command = [sys.executable, "-c", SCRIPT, str(records), str(epochs)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not first_checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert first_checkpoint.exists(), process.stderr.read()
    return process


@pytest.fixture
def one_thread():
    """On a busy machine the number of threads that a product really gets, and so its rounding, varies."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


#: Kills a run three times, each time further on.  Children of one process share what that one has imported.
KILLED = """
import os, signal, sys
from pathlib import Path
import torch, torch._dynamo
from genclust.experiments import declaration, execution, training_run
from genclust.experiments.store import Store
from genclust.training import checkpoints
torch.set_num_threads(1)
row = declaration.load("simple-table1").row("proposed-mnist")
task = execution.task_for(row, "demo", [0, 1], {"training": {"epochs": 20}})
stop, write, finish = training_run.TrainingRun._stop, checkpoints._write, checkpoints._finish
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)

def die(moment, last):
    now = lambda when: when == moment and training.step == last

    def at_each_step(run):
        global training
        training = run.training
        training_run.SECONDS_BETWEEN_CHECKPOINTS = float("inf") if training.step % 10 else -1
        if now("between checkpoints"):
            kill()
        return stop(run)

    def at_each_file(path, content):
        if now("between files") and path.name.startswith("seed-0001"):
            kill()
        write(path, content)

    def at_each_list(commit):
        if now("before renaming"):
            kill()
        finish(commit)

    training_run.TrainingRun._stop, checkpoints._write, checkpoints._finish = at_each_step, at_each_file, at_each_list
    execution.run(task, Store(Path(sys.argv[1])), progress=False)

for moment, last in ("between checkpoints", 45), ("between files", 110), ("before renaming", 150):
    child = os.fork()
    if not child:
        die(moment, last)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (moment, status)
    paths = [training_run.checkpoint_path(task.config, seed) for seed in task.seeds]
    checkpoints.recover(*paths)
    print(moment, *(checkpoints.load(path)["step"] for path in paths), sep=", ")
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_numbers_of_an_uninterrupted_one(cache, tmp_path, monkeypatch, one_thread):
    """Killed between two checkpoints, in the middle of writing one, and when it is written but has no name yet.

    The moments are steps of the run, so that they are the same however busy the machine is.
    """
    task = short_task([0, 1], training={"epochs": 20})
    command = [sys.executable, "-c", KILLED, str(tmp_path / "records")]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == 0, killed.stderr
    assert killed.stdout.splitlines() == [
        "between checkpoints, 40, 40",
        "between files, 100, 100",
        "before renaming, 150, 150",
    ], "checkpoints of seeds that train side by side change together, and no run begins anew"
    assert not (tmp_path / "records").exists(), "an interrupted run must leave no record"

    resumed = run(task, Store(tmp_path / "records"), progress=False)
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "other"))
    whole = run(task, Store(tmp_path / "others"), progress=False)
    for a, b in zip(resumed, whole, strict=True):
        assert a.metrics == b.metrics
        assert a.curve == b.curve


def test_the_budget_ends_a_run_in_good_order(cache, tmp_path):
    task = short_task([0], training={"epochs": 500})
    with pytest.raises(Unfinished, match=r"epoch \d+ of 500 .* goes on"):
        run(task, Store(tmp_path / "records"), minutes=0.02, progress=False)
    assert 0 < training_run.checkpoints.load(training_run.checkpoint_path(task.config, 0))["step"] < 500 * 10
    assert not (tmp_path / "records").exists()


def test_termination_writes_a_checkpoint(cache, tmp_path):
    task = short_task([0, 1], training={"epochs": 5000})
    path = training_run.checkpoint_path(task.config, 1)
    process = start(tmp_path / "records", 5000, path)
    process.terminate()
    _, error = process.communicate(timeout=60)
    assert "Interrupted at epoch" in error
    assert process.returncode == 1
    assert training_run.checkpoints.load(path)["step"] > 0
    assert not (tmp_path / "records").exists()


@pytest.fixture
def commit(monkeypatch):
    """Function that says of which source revision the code is from now on."""

    def say(revision):
        for module in ("execution", "provenance"):
            monkeypatch.setattr(f"genclust.experiments.{module}.source_revision", lambda: revision)

    return say


def altered(seed):
    """Alter the curve in the checkpoint of a finished training, to tell later whether it was used."""
    path = training_run.checkpoint_path(short_task([seed]).config, seed)
    state = training_run.checkpoints.load(path)
    state["curve"][0]["epoch"] = 99
    training_run.checkpoints.save({path: state})


def is_altered(records):
    return [record.curve[0]["epoch"] == 99 for record in records]


def test_a_run_anew_uses_no_training_that_was_recorded(cache, tmp_path, commit):
    commit("0123456789ab")
    first = run(short_task([0]), Store(tmp_path / "first"), progress=False)
    altered(0)
    assert is_altered(run(short_task([0]), Store(tmp_path / "second"), progress=False)) == [True]
    again = run(short_task([0]), Store(tmp_path / "third"), progress=False, anew=True)
    assert is_altered(again) == [False] and again[0].metrics == first[0].metrics


@pytest.mark.parametrize("revision", ["ba9876543210", "0123456789ab+changes", ""])
def test_a_run_anew_replaces_records_and_trainings_of_other_code(cache, tmp_path, commit, revision):
    records = Store(tmp_path / "records")
    commit("0123456789ab")
    (first,) = run(short_task([0]), records, progress=False)
    (same,) = run(short_task([0]), records, progress=False, anew=True)
    assert same.provenance["date"] == first.provenance["date"], "it is of the present code"
    commit(revision)
    (new,) = run(short_task([0]), records, progress=False, anew=True)
    assert new.provenance["source"] == new.provenance["training"][0]["source"] == revision
    assert new.provenance["training"][0]["from_step"] == 0


@pytest.mark.parametrize("revision", ["0123456789ab", "0123456789ab+changes", ""])
def test_a_run_anew_goes_on_from_what_the_same_code_began(cache, tmp_path, commit, revision):
    commit(revision)
    task = short_task([0], training={"epochs": 3000})
    path = training_run.checkpoint_path(task.config, 0)
    steps = []
    for _ in range(2):
        with pytest.raises(Unfinished):
            run(task, Store(tmp_path / "records"), minutes=0.01, progress=False, anew=True)
        steps.append(training_run.checkpoints.load(path)["step"])
    assert 0 < steps[0] < steps[1]
    commit("ba9876543210")
    with pytest.raises(Unfinished):
        run(task, Store(tmp_path / "records"), minutes=0.01, progress=False, anew=True)
    assert [leg["source"] for leg in training_run.checkpoints.load(path)["legs"]] == ["ba9876543210"]


def test_a_checkpoint_of_another_run_is_not_gone_on_from(cache, tmp_path):
    """Though it fits the model: it is of another weight of the loss, or of another seed."""
    tasks = [short_task([0], model={"w_gaussian": weight}, training={"epochs": 3000}) for weight in (2.0, 3.0)]
    begun, other = (training_run.checkpoint_path(task.config, 0) for task in tasks)
    with pytest.raises(Unfinished):
        run(tasks[0], Store(tmp_path / "records"), minutes=0.01, progress=False)
    for path, seed in ((other, 0), (begun.with_name("seed-0001.ckpt"), 1)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(begun.read_bytes())
        task = tasks[1] if path == other else replace(tasks[0], seeds=[seed])
        with pytest.raises(training_run.checkpoints.DamagedCheckpoint, match=r"it is of .*, seed 0\); delete it"):
            run(task, Store(tmp_path / "records"), minutes=0.01, progress=False)


def test_a_failed_seed_is_recorded_and_counted(cache, tmp_path):
    """A learning rate that blows up every seed: the records say when, and carry the scores all the same."""
    task = short_task([0, 1], training={"epochs": 6, "learning_rate": 1e30})
    for record in run(task, Store(tmp_path / "records"), progress=False):
        assert record.failed_at_step is not None
        assert 0 <= record.metrics["test.acc_hungarian"] < 60


def test_a_diverged_likelihood_is_left_out_of_the_record_and_of_no_mean(cache, tmp_path):
    """One seed with a likelihood and one, of the same row, that a great learning rate blew up."""
    row, small = declaration.load("cagem-table1").row("iwae-k1"), {"hidden": [6, 6], "z_dims": [3, 2]}
    seeds = {}
    for rate in (1e-3, 1e8):
        settings = {"model": small, "training": {"epochs": 1, "learning_rate": rate}}
        task = replace(task_for(row, "demo", [0], settings), evaluations=("likelihood-2", "units"))
        (seeds[rate],) = run(task, Store(tmp_path), progress=False)
        (read,) = run(task, Store(tmp_path), progress=False)
        assert read.metrics == seeds[rate].metrics
    good, diverged = seeds.values()
    assert good.failed_at_step is None and good.metrics["test.log_likelihood"] < 0
    assert diverged.failed_at_step is not None and "test.log_likelihood" not in diverged.metrics
    assert not np.isfinite(diverged.arrays()["log_likelihood_test"].astype(float).mean())
    with pytest.raises(StoreError, match=f"Seed 0 diverged at step {diverged.failed_at_step} and has no test.log_like"):
        summarise([good, diverged], "test.log_likelihood")


def test_a_single_test_image_has_a_likelihood_without_a_standard_error(cache, tmp_path):
    rows = np.random.default_rng(0).random((41, 9)).astype(np.float32)
    np.savez(tmp_path / "own.npz", x_train=rows[1:], x_test=rows[:1])
    settings = {"data": {"name": str(tmp_path / "own.npz")}, "model": {"hidden": [6, 6], "z_dims": [3, 2]}}
    task = task_for(
        declaration.load("cagem-table1").row("iwae-k1"), "demo", [0], settings | {"training": {"epochs": 1}}
    )
    (record,) = run(replace(task, evaluations=("likelihood-2",)), Store(tmp_path / "records"), progress=False)
    assert record.data["sizes"]["test"] == 1 and record.metrics["test.log_likelihood"] < 0
    assert "test.log_likelihood_se" not in record.metrics


def test_a_baseline_is_fitted_on_the_training_split(cache, tmp_path):
    from sklearn.cluster import KMeans

    from genclust.evaluation.clustering import hungarian_accuracy

    row = declaration.load("simple-table1").row("kmeans-mnist")
    task = task_for(row, "demo", [3])
    (record,) = run(task, Store(tmp_path / "records"), progress=False)
    data, _ = execution.prepare(task.config)
    peer = KMeans(10, n_init=10, random_state=3).fit(data.splits["train"].x.astype(np.float32) / 255)
    expected = hungarian_accuracy(data.splits["test"].y, peer.predict(data.splits["test"].x.astype(np.float32) / 255))
    assert record.metrics["test.acc_hungarian"] == pytest.approx(expected, abs=1.0)


def test_data_without_the_needed_splits_are_refused(cache, tmp_path):
    with pytest.raises(DataError, match=r"no validation split; set data\.validation_fraction"):
        run(short_task([0], data={"validation_fraction": 0}), Store(tmp_path), progress=False)


def test_values_outside_the_unit_interval_are_refused_by_the_bernoulli_likelihood(cache, tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, x_train=np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32))
    with pytest.raises(DataError, match=r"set model\.likelihood to gaussian"):
        run(short_task([0], data={"name": str(path)}), Store(tmp_path), progress=False)


@pytest.mark.parametrize("experiment, row", [("cagem-table1", "cagem-0-k10"), ("vlac-table1", "gm-dgm-crops")])
def test_values_outside_the_unit_interval_are_refused_by_models_that_cannot_make_them(cache, tmp_path, experiment, row):
    path = tmp_path / "own.npz"
    np.savez(path, x_train=np.random.default_rng(0).normal(size=(60, 8, 8, 3)).astype(np.float32))
    task = task_for(declaration.load(experiment).row(row), "demo", [0], {"data": {"name": str(path)}})
    with pytest.raises(DataError, match=r"needs values in \[0, 1\].*scale it"):
        run(task, Store(tmp_path), progress=False)


def test_images_of_ones_own_need_neither_a_test_split_nor_their_size_said(cache, tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, x=np.random.default_rng(0).random((50, 6, 9, 3)).astype(np.float32), y=np.arange(50) % 3)
    row = declaration.load("vlac-table1").row("vlac-two-crops")
    short = {"data": {"name": str(path)}, "model": {"channels": [2, 2, 2], "dense": 4}, "training": {"epochs": 1}}
    task = task_for(row, "demo", [0], short)
    assert [task.config.model[side] for side in ("height", "width", "colours")] == [6, 9, 3]
    (record,) = run(task, Store(tmp_path / "records"), progress=False)
    assert record.data["sizes"]["test"] == 10
    assert {"test.acc_many_to_one", "test.floor_identity", "test.nmi_arithmetic_y3_identity"} <= record.metrics.keys()
    assert record.arrays()["resampled_z1"].shape == (3, 7, 6 * 9 * 3)
    said = task_for(row, "demo", [0], short | {"model": {"height": 8}})
    assert said.config.model["height"] == 8 and said.config.model["width"] == 9


def test_own_data_without_labels_can_be_clustered(cache, tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, x_train=np.random.default_rng(0).random((120, 6)).astype(np.float32))
    task = short_task([0], data={"name": str(path)})
    (record,) = run(task, Store(tmp_path / "records"), progress=False)
    used = {name: len(np.unique(record.arrays()[f"clusters_{name}"])) for name in ("train", "validation", "test")}
    assert record.metrics == {f"{name}.clusters_used": n for name, n in used.items()}
    assert "reconstruction" in record.curve[-1]
    assert record.lacks_labels and record.data_name == "own.npz"
    assert record.image_shape is None and not record.is_of_images


def test_own_data_with_few_test_rows_and_no_labels_have_as_many_pictures(cache, tmp_path):
    """Four test rows, less than the ten that a figure shows."""
    path = tmp_path / "own.npz"
    rows = np.random.default_rng(0).random((124, 6)).astype(np.float32)
    np.savez(path, x_train=rows[4:], x_test=rows[:4])
    (record,) = run(short_task([0], ("style",), data={"name": str(path)}), Store(tmp_path / "records"), progress=False)
    inputs = record.arrays()["style_inputs"]
    np.testing.assert_allclose(inputs, 255 * rows[:4], atol=0.5 + 1e-4)


def test_a_changed_file_of_ones_own_is_another_run(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    addresses = []
    for seed in (0, 0, 1):
        np.savez("own.npz", x_train=np.random.default_rng(seed).random((120, 6)).astype(np.float32))
        addresses.append(task_for(MNIST, "demo", [0], {"data": {"name": "own.npz"}}).config.address)
    assert addresses[0] == addresses[1] != addresses[2]


def test_an_unknown_device_is_refused(cache, tmp_path):
    with pytest.raises(ValueError, match="device"):
        run(short_task([0]), Store(tmp_path), device="gpu", progress=False)


def test_the_curve_is_dense_at_the_beginning():
    assert curve_epochs(23, [12]) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 23]
    assert curve_epochs(4, []) == [1, 2, 3, 4]


def test_configurations_have_addresses_that_can_be_read():
    config = RunConfig({"name": "/home/me/my data.npz"}, {"name": "gumbel"}, {})
    assert config.address == f"my_data-gumbel-{config.hash}"


def test_a_record_gains_evaluations_without_losing_any(cache, tmp_path):
    """Another experiment may ask more of the same run; published records that lack it do not stand in the way."""
    published, own = Store(tmp_path / "published"), Store(tmp_path / "own")
    run(short_task([0]), published, progress=False)
    run(short_task([0], ("neighbours",)), own, progress=False)
    (record,) = run(short_task([0], ("clustering", "style")), own, progress=False, also_look_in=[published])
    assert record.evaluations == {"clustering": 1, "neighbours": 1, "style": 1}
    assert {"test.acc_hungarian", "test.knn_error_x_hat_3"} <= set(record.metrics)
    assert own.read(short_task([0]).config, 0) == record


def test_the_splits_of_the_published_runs_have_not_moved():
    """NumPy may change the stream behind them; then every record would be of another split than its settings say."""
    data = execution.prepare(MNIST.config("demo"))[0]
    first = {name: int(split.x.astype(np.int64)[:20].sum()) for name, split in data.splits.items()}
    assert first == {"test": 99922, "train": 96109, "validation": 98671}


def test_another_split_can_join_the_training_split(cache, tmp_path, monkeypatch):
    """SVHN's extra images: behind those of the training split, before anything is held out, and scored no more."""
    (tmp_path / "svhn").mkdir()
    tiny.write_svhn(tmp_path / "svhn", "train", "test", "extra")
    tiny.write_sources(tmp_path / "sources.yaml", "svhn", tmp_path / "svhn")
    monkeypatch.setenv("GENCLUST_DATA", str(tmp_path))
    monkeypatch.setenv("GENCLUST_SOURCES", str(tmp_path / "sources.yaml"))
    row = declaration.load("gmvae-figure4").row("alpha0")
    alone, _ = execution.prepare(row.config("paper", {"data": {"also_train_on": "", "validation_fraction": 0.1}}))
    joined, _ = execution.prepare(row.config("paper", {"data": {"validation_fraction": 0.5}}))
    whole = datasets.load("svhn").join("extra")
    assert set(alone.splits) == {"train", "validation", "test", "extra"}
    assert {name: len(split) for name, split in joined.splits.items()} == {"train": 15, "validation": 15, "test": 10}
    assert np.array_equal(whole.splits["train"].x[20:], datasets.load("svhn").splits["extra"].x)
    assert np.array_equal(whole.splits["train"].y[20:], datasets.load("svhn").splits["extra"].y)
    with pytest.raises(DataError, match="no split 'extro' to train on as well, only train, test, extra"):
        execution.prepare(row.config("paper", {"data": {"also_train_on": "extro"}}))


def test_a_split_that_does_not_join_leaves_no_trace_in_the_address():
    """The setting came after records were published."""
    assert "also_train_on" not in MNIST.config("paper").data
    overrides = declaration.parse_overrides(["also_train_on=test"], MNIST, "paper")
    assert MNIST.config("paper", overrides).hash != MNIST.config("paper").hash


def test_a_wish_to_stop_is_heeded_while_a_seed_is_evaluated(cache, tmp_path, monkeypatch):
    """Ctrl-C in the evaluation of the first of two seeds: no record, the second is not trained, nothing is lost."""
    monkeypatch.setattr(execution, "SMALL_NETWORK", 0)
    monkeypatch.setattr(execution.workers, "count", lambda jobs: 1)
    clustering = registry.EVALUATIONS["clustering"]

    def interrupted(trained, number):
        signal.raise_signal(signal.SIGINT)
        return clustering.measure(trained, number)

    task, records = short_task([0, 1]), Store(tmp_path / "records")
    with monkeypatch.context() as patched:
        patched.setattr(registry, "EVALUATIONS", {"clustering": replace(clustering, measure=interrupted)})
        with pytest.raises(Unfinished, match=r"while seeds 0 were evaluated; their training is kept"):
            run(task, records, progress=False)
    assert not (tmp_path / "records").exists()
    assert not training_run.checkpoint_path(task.config, 1).exists()
    assert training_run.checkpoints.load(training_run.checkpoint_path(task.config, 0))["step"] == 6 * 12
    assert [record.seed for record in run(task, records, progress=False)] == [0, 1]


@pytest.mark.parametrize("n_seeds", [1, 2])
def test_an_interrupted_likelihood_goes_on_to_the_record_of_an_uninterrupted_one(cache, tmp_path, monkeypatch, n_seeds):
    """Ctrl-C in the third group of a hundred test images: the first two groups are not estimated again."""
    begun = []

    class Interrupted(LogMeanExp):
        def __init__(self) -> None:
            super().__init__()
            begun.append(self)
            if len(begun) == 3:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(likelihood, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(likelihood, "LogMeanExp", Interrupted)
    settings = {"model": {"hidden": [6, 6], "z_dims": [3, 2]}, "training": {"epochs": 1}}
    task = task_for(declaration.load("cagem-table1").row("iwae-k1"), "demo", range(n_seeds), settings)
    task = replace(task, evaluations=("likelihood-2",))
    with pytest.raises(Unfinished, match="likelihoods of images that were done"):
        run(task, Store(tmp_path / "records"), progress=False)
    records = run(task, Store(tmp_path / "records"), progress=False)
    n_test = records[0].data["sizes"]["test"]
    assert n_test > 300 and len(begun) == math.ceil(n_test / 100) + 1
    assert not list((tmp_path / "cache").rglob("*.kept"))
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "another cache"))
    for record, whole in zip(records, run(task, Store(tmp_path / "whole"), progress=False), strict=True):
        assert record.metrics == whole.metrics and whole.metrics["test.log_likelihood"] < 0


@pytest.mark.parametrize(
    "experiment, row, asked",
    [
        ("simple-table1", "proposed-mnist", "likelihood-500"),
        ("simple-table1", "kmeans-mnist", "neighbours"),
        ("cagem-others", "lvae", "clustering"),
        ("cagem-table1", "cagem-0-k10", "classifiers"),
        ("vlac-factors", "vlae", "layers"),
        ("vlac-factors", "gm-dgm", "units"),
    ],
)
def test_what_cannot_be_measured_of_a_model_is_refused_before_training(cache, tmp_path, experiment, row, asked):
    task = replace(task_for(declaration.load(experiment).row(row), "demo", [0]), evaluations=(asked,))
    with pytest.raises(SettingError, match=rf"{asked!r} cannot be made of the model \w+( without labels)?; possible"):
        run(task, Store(tmp_path / "records"), progress=False)
    assert not list(tmp_path.iterdir())


def test_every_declared_evaluation_suits_a_row_of_its_experiment():
    for name in declaration.names():
        rows = declaration.load(name).runnable
        for profile in {profile for row in rows for profile in row.profiles}:
            of_profile = [row for row in rows if profile in row.profiles]
            asked = {e for row in of_profile for e in row.evaluations(profile)}
            assert asked == {e for row in of_profile for e in task_for(row, profile).evaluations}, (name, profile)


def test_a_record_of_other_data_is_noticed(cache, tmp_path):
    """A missing seed is not added to a row whose records were made of data that has changed since."""
    records = Store(tmp_path / "records")
    (record,) = run(short_task([0]), records, progress=False)
    records.write(replace(record, data=record.data | {"digest": "0" * 64}), {})
    with pytest.raises(DataError, match="is of other data named digits than is at hand"):
        run(short_task([0, 1]), records, progress=False)


@pytest.mark.parametrize("which", ["store", "cache"])
def test_a_place_that_takes_no_files_is_found_before_training(cache, tmp_path, monkeypatch, which):
    """A folder below what is a file: nobody can write there, whoever it is."""
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "records" if which == "store" else tmp_path / "records")
    if which == "cache":
        monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises((OSError, StoreError), match="file"):
        run(short_task([0], training={"epochs": 10**6}), store, progress=False)


def test_devices_are_named_plainly():
    assert checked_device("cpu:0") == "cpu"
    with pytest.raises(SettingError, match="all cores together"):
        checked_device("cpu:1")


@pytest.mark.parametrize(
    ("present", "device"), [(0, "cuda"), (0, "cuda:1"), (2, "cuda:2"), (0, "mps"), (0, "gpu"), (0, "cpu:1")]
)
def test_a_device_that_is_missing_is_told_with_what_to_give_instead(monkeypatch, present, device):
    monkeypatch.setattr("torch.cuda.is_available", lambda: present > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: present)
    with pytest.raises(SettingError, match=r"; give .*\bcpu\b") as told:
        checked_device(device)
    assert "--" not in str(told.value), "in Python there are no options"
    assert checked_device("cpu") == "cpu"


def test_the_published_store_takes_no_record_of_changed_code(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, "source_revision", lambda: "0123456789ab+changes")
    monkeypatch.setattr("genclust.experiments.store.published", lambda: Store(tmp_path / "results"))
    with pytest.raises(SettingError, match="committed code only"):
        run(short_task([0]), Store(tmp_path / "results"), progress=False)
    assert not (tmp_path / "results").exists()
