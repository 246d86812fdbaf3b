"""Which stored numbers hold on other processors: everything made anew as older and other processors would, in a table.

    python tests/regression/variants.py demo quick paper scores

One processor acts for several: PyTorch, oneDNN and MKL can be told to leave out its newer instructions, and sums are
cut differently over two threads.  Each variant is a process of its own; the tables are Markdown.  ``spread``
in the place of ``scores`` writes ``scores.json`` anew.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import first_steps
import scores

HERE = Path(__file__).parent
ONE = {"OMP_NUM_THREADS": "1"}
VARIANTS: dict[str, dict[str, str]] = {
    "native, 1 thread": ONE,
    "native, 2 threads": {"OMP_NUM_THREADS": "2"},
    "ATEN_CPU_CAPABILITY=avx2": ONE | {"ATEN_CPU_CAPABILITY": "avx2"},
    "ATEN_CPU_CAPABILITY=default": ONE | {"ATEN_CPU_CAPABILITY": "default"},
    "ONEDNN_MAX_CPU_ISA=AVX2": ONE | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    "ONEDNN_MAX_CPU_ISA=SSE41": ONE | {"ONEDNN_MAX_CPU_ISA": "SSE41"},
    "MKL_ENABLE_INSTRUCTIONS=AVX2": ONE | {"MKL_ENABLE_INSTRUCTIONS": "AVX2"},
    "MKL_CBWR=COMPATIBLE": ONE | {"MKL_CBWR": "COMPATIBLE"},
    "the oldest of all three": ONE
    | {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"},
}
#: The variants that scores are made under: few that change the numbers, since whole runs take their time.
SCORED = {
    name: VARIANTS[name]
    for name in (
        "native, 1 thread",
        "ATEN_CPU_CAPABILITY=avx2",
        "ATEN_CPU_CAPABILITY=default",
        "the oldest of all three",
    )
}


def anew(what: str, variables: dict[str, str]) -> Any:
    """What ``first_steps.py`` or ``scores.py`` computes in a process with these environment variables."""
    script = "scores.py" if what == "scores" else "first_steps.py"
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "numbers.json")
        command = [sys.executable, str(HERE / script), str(output), *([] if what == "scores" else [what])]
        subprocess.run(command, env=os.environ | variables, check=True, stdout=sys.stderr)
        return json.loads(output.read_text())


def of_first_steps(profile: str) -> list[str]:
    """A line for each variant: the largest relative deviation of every kind of model and number."""
    stored = json.loads(first_steps.STORED.read_text())[profile]["rows"]
    lines: list[dict[str, str]] = []
    for variant, variables in VARIANTS.items():
        new = anew(profile, variables)[profile]["rows"]
        largest: dict[str, float] = defaultdict(float)
        failures = 0
        for row, numbers in stored.items():
            config = first_steps.configuration(row, profile)
            kind = "convolutions" if first_steps.convolutional(config) else "dense"
            if config.model["name"] == "lvae":
                kind = "LVAE"
            for each in first_steps.comparisons(config, numbers, new[row]):
                quantity = "initial" if each.quantity.startswith("initial") else each.quantity
                key = f"{kind}, {quantity}"
                largest[key] = max(largest[key], each.deviation)
                failures += not each.holds
                if not each.holds:
                    print(f"{variant}: {row}, {each}", file=sys.stderr)
        lines.append(
            {"variant": variant, **{key: f"{value:.0e}" for key, value in largest.items()}, "out": f"{failures}"}
        )
    return table(lines)


def of_scores(store: bool) -> list[str]:
    """A line for each variant: by how much every score, in the mean over the seeds, is off.

    Args:
        store: whether ``scores.json`` is written anew from the variants that it is of.
    """
    found = {variant: anew("scores", variables) for variant, variables in SCORED.items()}
    if store:
        scores.STORED.write_text(json.dumps(scores.gathered(found), indent=1) + "\n")
    lines = []
    for variant, new in found.items():
        every = list(scores.comparisons(new))
        off = {each.name: f"{each.difference:+.2g} of {each.allowed:.2g}" for each in every}
        lines.append({"variant": variant, **off, "out": str(sum(not each.holds for each in every))})
    return table(lines)


def table(lines: list[dict[str, str]]) -> list[str]:
    """Lines with the same keys as a Markdown table."""
    heads = list(lines[0])
    cells = [heads, ["---"] * len(heads), *([line[head] for head in heads] for line in lines)]
    return [f"| {' | '.join(line)} |" for line in cells]


if __name__ == "__main__":
    for what in sys.argv[1:] or ["demo", "scores"]:
        lines = of_scores(what == "spread") if what in ("scores", "spread") else of_first_steps(what)
        print(f"\n{what}\n", *lines, sep="\n", flush=True)
