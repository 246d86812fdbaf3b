"""Whole runs made anew end where the published ones did, as nearly as rounding lets them; see ``scores.py``."""

import json

import first_steps
import pytest
import scores


@pytest.mark.slow
def test_runs_made_anew_have_the_scores_they_should(monkeypatch):
    monkeypatch.setenv("GENCLUST_CACHE", "")  # what scores.anew sets is undone
    moved = [str(each) for each in scores.comparisons(scores.anew()) if not each.holds]
    made_on = json.loads(scores.STORED.read_text())["made_on"]
    assert not moved, "\n".join([*moved, f"spread from {made_on}", f"now on {first_steps.processor()}"])
