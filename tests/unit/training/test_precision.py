"""The faster precision is measured, kept, and does not decide what is computed in it."""

import pytest
import torch

from genclust.experiments import declaration, execution, training_run
from genclust.experiments.execution import run, task_for
from genclust.experiments.store import Store
from genclust.experiments.workers import Unfinished
from genclust.models.gumbel import GumbelClustering, GumbelSettings
from genclust.training.loop import Training, TrainingSettings
from genclust.training.precision import faster_precision
from genclust.training.schedules import Schedule

ROW = declaration.load("simple-table1").row("proposed-mnist")


@pytest.mark.parametrize("slow, faster", [("float32", "bf16"), ("bf16", "float32")])
def test_the_faster_one_is_found(slow, faster, monkeypatch):
    """By a clock that the steps themselves set forward, so that other load on the machine does not matter."""
    update, clock = Training.update, [0.0]

    def timed(training, *arguments):
        clock[0] += 2.0 if training.settings.precision == slow else 1.0
        return update(training, *arguments)

    monkeypatch.setattr(Training, "update", timed)
    monkeypatch.setattr("genclust.training.precision.time.perf_counter", lambda: clock[0])
    schedules = {"learning_rate": Schedule.of(0.003), "temperature": Schedule.of(1.0)}
    x = torch.randint(0, 256, (40, 20), dtype=torch.uint8)
    begun = []

    def begin(precision):
        begun.append(precision)
        model = GumbelClustering(1, 20, GumbelSettings(n_clusters=4, latent_dim=3, feature_dim=8, hidden=(12,)))
        return Training(model, [0], x, TrainingSettings(schedules, 10, 10, precision))

    assert faster_precision(begin) == faster
    assert sorted(begun) == ["bf16", "float32"]


def test_on_a_gpu_nothing_is_measured_and_one_training_is_built():
    """Two would put the data on the card twice.  The training says that it is on a GPU, which this machine may lack."""
    schedules = {"learning_rate": Schedule.of(0.003), "temperature": Schedule.of(1.0)}
    begun = []

    def begin(precision):
        begun.append(precision)
        model = GumbelClustering(1, 20, GumbelSettings(n_clusters=4, latent_dim=3, feature_dim=8, hidden=(12,)))
        training = Training(model, [0], torch.rand(40, 20), TrainingSettings(schedules, 10, 10, precision))
        training.device = torch.device("cuda")
        return training

    assert faster_precision(begin) == "bf16"
    assert begun == ["float32"]


def task(precision):
    return task_for(ROW, "demo", [0, 1], {"training": {"epochs": 2, "precision": precision}})


@pytest.mark.parametrize("fastest", ["float32", "bf16"])
def test_a_run_in_the_faster_precision_is_the_run_in_that_precision(fastest, tmp_path, monkeypatch):
    """Under one address whichever it is, and resumed without being measured again."""
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))
    store = Store(tmp_path / "records")
    measured = []
    monkeypatch.setattr(training_run, "faster_precision", lambda begin: measured.append(1) or fastest)
    monkeypatch.setattr(execution, "SMALL_NETWORK", 10**9)  # both seeds in one process, this one
    with pytest.raises(Unfinished):
        run(task("faster"), store, minutes=1e-9, progress=False)
    found = run(task("faster"), store, progress=False)
    declared = run(task(fastest), store, progress=False)
    assert measured == [1]
    for record, expected in zip(found, declared, strict=True):
        assert record.metrics == expected.metrics and record.curve == expected.curve
        assert [leg["precision"] for leg in record.provenance["training"]] == [fastest]
        assert record.config["training"]["precision"] == "faster"


@pytest.mark.parametrize(
    ("precision", "capability", "machine", "told"),
    [
        ("bf16", "AVX2", "x86_64", True),
        ("bf16", "DEFAULT", "AMD64", True),
        ("bf16", "AVX512", "x86_64", False),
        ("bf16", "DEFAULT", "aarch64", False),
        ("float32", "AVX2", "x86_64", False),
    ],
)
def test_a_precision_that_the_processor_emulates_is_said_once(
    precision, capability, machine, told, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("GENCLUST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr("platform.machine", lambda: machine)
    run(task_for(ROW, "demo", [0], {"training": {"epochs": 1, "precision": precision}}), Store(tmp_path))
    assert capsys.readouterr().err.count("only emulates: steps take many times as long") == told
