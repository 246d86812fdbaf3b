"""What published runs cost: a small store whose records are known, and sums by hand."""

from dataclasses import asdict

import pandas as pd
import pytest

from genclust.experiments import declaration
from genclust.experiments.store import Record, published
from genclust.pages import costs
from genclust.settings import SettingError

SETTINGS = """
settings:
  data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2}
  model: {name: gumbel, n_clusters: 10, hidden: [12, 10], feature_dim: 8, latent_dim: 3}
  training: {epochs: 4, batch_size: 100, learning_rate: 0.001, temperature: 1}
profiles:
  demo: {seeds: 0-1}
  paper: {seeds: 0-1, settings: {training: {epochs: 8}}}
"""
FIRST = """
paper: cagem
table: Figure
title: A row that shows the runs of another
rows:
  borrowed: {label: borrowed, dataset: digits, same_run_as: later/ours}
"""
LATER = f"""
paper: simple
table: Table
title: Two rows
{SETTINGS}
rows:
  ours: {{label: ours, dataset: digits, settings: {{model: {{w_gaussian: 3}}}}}}
  worse: {{label: worse, dataset: digits, settings: {{model: {{w_gaussian: 2}}}}}}
"""
OTHERS = """
paper: simple
table: Table
title: What has no steps
profiles:
  demo: {seeds: "0"}
rows:
  kmeans:
    label: k-means
    dataset: digits
    settings:
      data: {name: digits, validation_fraction: 0.2, test_fraction: 0.2}
      model: {name: kmeans, n_clusters: 10}
"""


@pytest.fixture
def found(tmp_path, monkeypatch) -> pd.DataFrame:
    """Of 1,150 images: 12 steps an epoch, so 48 at profile demo and 96 at profile paper."""
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "first.yaml").write_text(FIRST)
    (tmp_path / "experiments" / "later.yaml").write_text(LATER)
    (tmp_path / "experiments" / "others.yaml").write_text(OTHERS)
    (tmp_path / "papers.yaml").write_text("simple:\n  title: Is Simple Better?\ncagem:\n  title: CaGeM\n")
    monkeypatch.chdir(tmp_path)

    def write(row: str, profile: str, seed: int, seconds: float, legs: list | None = None, failed: int | None = None):
        experiment, _, name = row.partition("/")
        config = declaration.load(experiment).row(name).config(profile)
        about = {"name": "digits", "digest": "0" * 64, "variant": "", "sizes": {"train": 1150}}
        made = {"device": "x86_64", "threads": 1, "source": "0123456789ab"} | (
            {} if legs is None else {"training": legs}
        )
        published().write(Record(asdict(config), seed, {}, [], {}, failed, about, made, seconds), {})

    two_threads = [{"device": "x86_64", "processor": "A", "threads": 2}]
    two_machines = [{"device": "x86_64", "processor": name, "threads": 1} for name in "AB"]
    write("later/ours", "demo", 0, 360.0)
    write("later/ours", "demo", 1, 720.0, two_threads)
    write("later/ours", "paper", 0, 960.0, two_machines)
    write("later/ours", "paper", 1, 36.0, [{"device": "NVIDIA H100", "processor": "A", "threads": 2}])
    write("later/worse", "demo", 0, 4.8)
    write("later/worse", "demo", 1, 1.2, failed=3)
    write("others/kmeans", "demo", 0, 1.8, [])
    return costs.runs()


def test_every_run_is_counted_under_the_row_that_declares_it(found):
    assert sorted(zip(found.row, found.profile, found.seed, strict=True)) == [
        ("later/ours", "demo", 0),
        ("later/ours", "demo", 1),
        ("later/ours", "paper", 0),
        ("later/ours", "paper", 1),
        ("later/worse", "demo", 0),
        ("later/worse", "demo", 1),
        ("others/kmeans", "demo", 0),
    ]
    assert set(found.paper) == {"Is Simple Better?"} and set(found.experiment) == {"later", "others"}


def test_only_some_experiments(found):
    chosen = costs.runs("others")
    assert chosen.row.tolist() == ["others/kmeans"]
    assert costs.runs("others, later").shape == found.shape
    with pytest.raises(SettingError, match="did you mean"):
        costs.runs("other")


def test_hours_count_threads_and_leave_out_what_a_gpu_took(found):
    """0.1 hours on one thread, 0.2 on two, 4.8 + 1.2 + 1.8 seconds; and 960 seconds at profile paper."""
    demo, paper = 0.1 + 0.4 + 7.8 / 3600, 960 / 3600
    assert costs.cost(found, costs.PER_PAPER).to_numpy().tolist() == [
        ["Is Simple Better?", "demo", 5, f"{demo:.2f}"],
        ["Is Simple Better?", "paper", 2, f"{paper:.2f}"],
        ["all", "", 7, f"{demo + paper:.2f}"],
    ]
    assert costs.cost(found, costs.PER_EXPERIMENT)["Experiment"].tolist() == ["later", "later", "others", "all"]
    assert costs.dearest(found, 2).to_numpy().tolist() == [
        ["later/ours, demo", 2, "0.50"],
        ["later/ours, paper", 2, "0.27"],
    ]
    assert costs.summary(found) == (
        "Training the 7 published runs took 0.8 core-hours, the largest part of them for Is Simple Better? (0.8). The "
        "row that took most is `later/ours` at profile `demo`: 0.50 core-hours for 2 seeds."
    )


def test_steps_are_of_one_seed_and_only_of_runs_that_trained_to_the_end(found):
    """48 steps in 360, 720 and 4.8 seconds, 96 in 960 and 36; k-means has none and a failed run is left out."""
    assert costs.steps(found).to_numpy().tolist() == [
        ["gumbel, digits", "demo", "7,500", "100 to 15,000"],
        ["gumbel, digits", "paper", "5,188", "375 to 10,000"],
    ]


def test_machines_are_those_that_trained(found):
    assert costs.machines(found).to_numpy().tolist() == [
        ["A", 2, 1, "0.20"],
        ["A, B", 1, 1, "0.27"],
        ["NVIDIA H100", 2, 1, "0.01"],
        ["not recorded", 1, 4, "0.10"],
    ]
