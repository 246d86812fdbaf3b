"""The regression of reported numbers: what the book shows is what the code gives, and moves only knowingly.

Published records against the pinned verdicts, and against the settings of today's code.  Whether today's code still
gives these numbers is asked in ``test_first_steps.py`` and ``test_scores.py``.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from genclust.evaluation.registry import EVALUATIONS, is_picture, revisions, suits, without_pictures
from genclust.evaluation.trained import BINARISATION_SEED
from genclust.experiments import declaration, published_records, verdicts
from genclust.experiments.configuration import RunConfig
from genclust.experiments.execution import task_for
from genclust.experiments.provenance import is_committed
from genclust.experiments.store import published

#: Records from before only code that is committed was taken; there may be fewer, as rows are made anew.
OF_CHANGED_CODE = 77
#: The published store travels with the repository.
MOST_BYTES = 40_000_000
PINNED = Path(__file__).with_name("reported.json")
#: What names a verdict, and what is pinned of it.
NAMING = ("row", "metric", "name")
KEPT = (*("measured_mean", "reported_mean", "measured_sd", "n_seeds", "profile", "fidelity", "stand_in", "verdict"),)
ROWS = [row for name in declaration.names() for row in declaration.load(name).runnable]


def measured() -> list[dict]:
    lines = [{key: getattr(one, key) for key in (*NAMING, *KEPT)} for one in verdicts()]
    return [{key: round(v, 4) if isinstance(v, float) else v for key, v in line.items()} for line in lines]


def differences(before: list[dict], after: list[dict]) -> list[str]:
    """What differs between two lists of verdicts, as ``what: before -> after``."""
    old, new = ({tuple(line[key] for key in NAMING): line for line in lines} for lines in (before, after))
    found = []
    for key in dict.fromkeys([*old, *new]):
        for name in KEPT:
            was, is_now = (side[key].get(name) if key in side else "not there" for side in (old, new))
            if was != is_now:
                found.append(f"{' '.join(key)}, {name}: {was} -> {is_now}")
    return found


def test_no_reported_number_has_moved():
    """After a deliberate change: python tests/regression/test_reported_numbers.py, and look at the difference."""
    moved = differences(json.loads(PINNED.read_text()), measured())
    how = "reported numbers moved, or are new; if they should: python tests/regression/test_reported_numbers.py"
    assert not moved, "\n".join([how, *moved])


def test_any_difference_is_named():
    line = {"row": "a/b", "metric": "test.ari", "name": "ARI", "measured_mean": 1.0, "verdict": "partly"}
    other = line | {"measured_mean": 2.5, "verdict": "reproduced"}
    assert differences([line], [line]) == []
    found = differences([line, line | {"row": "a/c"}], [other])
    changed = ["a/b test.ari ARI, measured_mean: 1.0 -> 2.5", "a/b test.ari ARI, verdict: partly -> reproduced"]
    assert found[:2] == changed and "a/c test.ari ARI, verdict: partly -> not there" in found
    assert "a/c test.ari ARI, verdict: not there -> partly" in differences([other], [line, line | {"row": "a/c"}])


def test_every_published_record_belongs_to_a_declared_row():
    """A changed setting orphans its records: they would be neither shown nor noticed."""
    declared = {row.config(profile).address for row in ROWS for profile in row.profiles}
    present = {folder.name for folder in published().folder.iterdir() if folder.is_dir()}
    assert present <= declared


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.experiment}/{row.name}")
def test_published_records_are_complete_and_consistent(row):
    for profile in row.profiles:
        _, records = published_records(row, profile)
        task = task_for(row, profile)
        for record in records:
            # some evaluations of GMVAE came after its runs, and are of some seeds only
            expected = task.wanted(record.seed).items()
            assert expected <= record.evaluations.items() or record.config["model"]["name"] == "gmvae"
            assert all(np.isfinite(value) for value in record.metrics.values())
            assert record.metrics.get("test.binarisation_seed", BINARISATION_SEED) == BINARISATION_SEED
            if record.curve and record.failed_at_step is None:
                assert record.curve[-1]["epoch"] == record.config["training"]["epochs"]
                if "warm_up" not in record.config["training"] and "acc_hungarian" in record.curve[-1]:
                    # the score at the end of the curve is the one in the metrics, computed on its own (where batch
                    # statistics are collected anew between the two, it need not be)
                    at_end = record.metrics["validation.acc_hungarian"]
                    assert record.curve[-1]["acc_hungarian"] == pytest.approx(at_end)
        assert len({record.data["digest"] for record in records}) <= 1


def test_the_store_is_small_and_its_records_are_of_committed_code():
    files = [path for path in published().folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    sources = [record.provenance["source"] for record in published().every()]
    assert sum(not is_committed(source) for source in sources) <= OF_CHANGED_CODE


def test_published_records_name_evaluations_of_their_models_in_present_revisions():
    for record in published().every():
        assert all(suits(name, RunConfig(**record.config)) for name in record.evaluations), record.path
        assert record.evaluations == revisions(list(record.evaluations)), record.path


def test_pictures_are_published_of_first_seeds_with_the_evaluations_that_drew_them():
    for record in published().every():
        drawing = record.evaluations.keys() - set(without_pictures(record.evaluations))
        pictures = {name for name in record.arrays() if is_picture(name)}
        drawn = {name: {one for one in pictures if one.startswith(EVALUATIONS[name].pictures)} for name in drawing}
        assert pictures == set().union(*drawn.values()), record.path
        assert all(drawn.values()), record.path
        assert not (pictures and record.seed), record.path


if __name__ == "__main__":
    PINNED.write_text(json.dumps(measured(), indent=1) + "\n")
