"""What the page on speed says in its first lines follows from the stored measurements."""

from __future__ import annotations

from pathlib import Path

from genclust.pages import speed
from genclust.pages.targets import targets

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def test_training_is_faster_than_other_programs_and_misses_its_targets_in_float32_and_some_in_bfloat16() -> None:
    lines = targets(speed.read(RESULTS, "cpu"), None).set_index("")
    others = lines[lines.index.str.startswith("Training in ")]
    assert all(name.split("against ")[1].startswith(("an ordinary loop", "pythae's")) for name in others.index)
    assert all(float(ratio.split("×")[0]) > 1 for ratio in others["Measured"])
    met = others["Met"]
    assert set(met[met.index.str.startswith("Training in float32")]) == {"no"}
    assert set(met[met.index.str.startswith("Training in bfloat16")]) == {"yes", "no"}
