"""Tables, numbers for figures, and sentences of the page on speed, from the results of the benchmarks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

#: The repository of the library: its benchmarks are shown also in a folder of one's own declarations.
ROOT = Path(__file__).resolve().parents[3]
FORMAT = 1
Results = Mapping[str, Any]


class ResultsError(Exception):
    """Raised if results cannot be shown; the message says which and what to do."""


def read(folder: str | Path, device: str) -> Results:
    """Results of the benchmarks on a device.

    Args:
        folder: folder of the files, relative to the root of the repository unless it is absolute.
        device: ``cpu`` or ``gpu``, the name of the file.

    Raises:
        ResultsError: if the file is missing, damaged or of another format.
    """
    path = ROOT / folder / f"{device}.json"
    again = f"`make bench{'' if device == 'cpu' else '-gpu'}` measures them"
    try:
        results = json.loads(path.read_text(encoding="utf8"))
    except FileNotFoundError:
        raise ResultsError(f"There are no results {path.name} in {folder}; {again}.") from None
    except (OSError, ValueError):
        raise ResultsError(f"The results {path.name} in {folder} are damaged; {again} anew.") from None
    if (
        not isinstance(results, dict)
        or not isinstance(results.get("measurements"), dict)
        or results.get("format") != FORMAT
    ):
        raise ResultsError(f"The results {path.name} in {folder} are not of format {FORMAT}; {again} anew.")
    return results


def read_if_there(folder: str | Path, device: str) -> Results | None:
    """Results of the benchmarks on a device, or None where nothing has been measured; a damaged file is refused."""
    return read(folder, device) if (ROOT / folder / f"{device}.json").is_file() else None


def warning(*results: Results | None) -> str:
    """Warning in a sentence if results are of a trial, incomplete or failed; otherwise empty."""
    known = [r for r in results if r]
    if any(r["smoke"] for r in known):
        return "**A trial of the benchmarks, with tiny sizes: none of these numbers means anything.**"
    missing = [name for r in known for name in r["failed"]]
    missing += [name for r in known for name, case in r["measurements"].get("kernels", {}).items() if "failed" in case]
    if missing:
        return f"**Not everything could be measured: {', '.join(missing)} failed.**"
    return "" if all(r["complete"] for r in known) else "**Only some of the benchmarks were run.**"


#: Operations that were measured formerly and are not any more, since no model uses them.
FORMER_OPERATIONS = (
    "Bernoulli log-likelihood, bits drawn inside",
    "Gaussian sample with its densities",
    "mixture, shared parameters, K = 16",
)
#: Names of CaGeM and GMVAE in results from the time when the benchmarks had compact forms of them.
FORMER_MODELS = re.compile(r"(CaGeM|GMVAE)([:,]|$)")


def former(*results: Results | None) -> str:
    """Sentences on what was measured in another form than today, with its date; empty if nothing was."""
    sentences = []
    for result in (r for r in results if r):
        date, measured = result["machine"]["date"], result["measurements"]
        steps = [name for key in ("precision", "cost", "profile") for name in measured.get(key, {})]
        if any(FORMER_MODELS.match(name) for name in steps):
            sentences.append(
                f"CaGeM and GMVAE of {date} are compact forms that were written for the benchmark, without batch "
                "normalisation; today it times the library's own."
            )
        if gone := [name for name in FORMER_OPERATIONS if name in measured.get("kernels", {})]:
            sentences.append(
                f"Of the fused operations of {date} these have since been removed, because no model used "
                f"them: {'; '.join(gone)}."
            )
    return " ".join(sentences)


def machines(cpu: Results, gpu: Results | None) -> pd.DataFrame:
    """Table of the machines, software and dates of the measurements."""

    def column(results: Results | None) -> dict[str, str]:
        if results is None:
            return {}
        m = results["machine"]
        versions = {"Python": m["python"], "PyTorch": m["versions"]["torch"], "Triton": m["versions"]["triton"]}
        versions |= {{"clustpy": "ClustPy"}.get(name, name): version for name, version in results["peers"].items()}
        return {
            "Processor": m.get("gpu", m["cpu"]),
            "Cores, threads": f"{m['cores']}, {m['threads']}",
            "Instructions": m["instructions"] + (" with bfloat16" if m["bf16"] else ", no bfloat16"),
            "Software": ", ".join(f"{name} {version}" for name, version in versions.items() if version),
            "Images": results["data"],
            "Rounds": str(results["rounds"]),
            "Date, revision": f"{m['date']}, {m['revision']}",
            "Duration": f"{results['seconds'] / 60:.0f} min",
        }

    columns = {"CPU": column(cpu)} | ({"GPU": column(gpu)} if gpu else {})
    return pd.DataFrame(columns).rename_axis("").reset_index()


# ---- what the figures draw


def rates(groups: Mapping[str, Any], scale: float = 1.0) -> tuple[dict[str, dict[str, float]], dict[str, Any]]:
    """Median rates divided by ``scale``, by group and variant, and labels with the ratios to the baseline."""
    values = {
        group: {name: v["median"] / scale for name, v in comparison["variants"].items()}
        for group, comparison in groups.items()
    }
    labels = {
        group: {
            name: f"{v['ratio']['median']:.2f}×" if name != comparison["baseline"] else "1"
            for name, v in comparison["variants"].items()
        }
        for group, comparison in groups.items()
    }
    return values, labels


def layouts(group: Mapping[str, Any]) -> tuple[dict[str, dict[int, float]], float]:
    """Median rates by layout and number of replicas, and the median rate of one run after the other."""
    curves: dict[str, dict[int, float]] = {}
    for name, v in group["variants"].items():
        layout, comma, count = name.rpartition(", ")
        if comma:
            curves.setdefault(layout, {})[int(count)] = v["median"]
    return curves, group["variants"]["one after the other"]["median"]


def by_replicas(graphs: Mapping[str, Any], scale: float = 1.0) -> dict[str, dict[int, float]]:
    """Median rates divided by ``scale``, by variant of launching a step and number of replicas."""
    curves: dict[str, dict[int, float]] = {}
    for replicas, group in graphs.items():
        for name, v in group["variants"].items():
            curves.setdefault(name, {})[int(replicas)] = v["median"] / scale
    return curves


def per_seed(groups: Mapping[str, Any]) -> pd.DataFrame:
    """Table of images per second, of all seeds and of one, by network, layout and number of seeds."""
    lines = []
    for network, group in groups.items():
        curves, level = layouts(group)
        lines.append({"Network": network, "Layout": "one after the other", "Seeds": "any", "in all": level})
        for layout, curve in curves.items():
            lines += [{"Network": network, "Layout": layout, "Seeds": n, "in all": v} for n, v in curve.items()]
    table = pd.DataFrame(lines)
    seeds = pd.to_numeric(table["Seeds"], errors="coerce").fillna(1)
    table["of each seed"] = [f"{rate:,.0f}" for rate in table["in all"] / seeds]
    table["in all"] = [f"{rate:,.0f}" for rate in table["in all"]]
    return table


def bandwidths(kernels: Mapping[str, Any]) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, str]]]:
    """Bandwidth of each operation and implementation in per cent of a copy's, and labels in GB/s."""
    values, labels = {}, {}
    for case, directions in kernels.items():
        if "failed" in directions:
            continue
        for way in ("forward", "backward"):
            v = {name: entry["median"] for name, entry in directions[way]["variants"].items()}
            group = f"{case}, {way}"
            values[group] = {name: 100 * rate / v["copy"] for name, rate in v.items() if name != "copy"}
            labels[group] = {name: f"{rate / 1e9:.1f} GB/s" for name, rate in v.items() if name != "copy"}
    return values, labels


def milliseconds(group: Mapping[str, Any]) -> dict[int, float]:
    """Milliseconds per step by size."""
    return {int(size): 1000 / v["median"] for size, v in group["variants"].items()}


# ---- tables


def precision(groups: Mapping[str, Any]) -> pd.DataFrame:
    """Table of milliseconds per step by precision, or by sum over classes, and how many times faster than the first."""
    lines = []
    for name, group in groups.items():
        line = {"Step": name}
        for variant, v in group["variants"].items():
            faster = "" if variant == group["baseline"] else f" ({v['ratio']['median']:.2f}×)"
            line[f"{variant}, ms"] = f"{1000 / v['median']:.2f}{faster}"
        lines.append(line)
    return pd.DataFrame(lines).fillna("–")


def networks(found: Mapping[str, Any]) -> pd.DataFrame:
    """Table of milliseconds per step of each network at profile ``paper``, and the share that its products need."""
    lines = []
    for row, measured in found["rows"].items():
        for variant, v in measured["variants"].items():
            precision, _, settings = variant.partition(", ")
            lines.append(
                {
                    "Row": row + (f", {settings}" if settings else ""),
                    "Products in": {"bf16": "bfloat16"}.get(precision, precision),
                    "ms per step": f"{1000 * v['seconds']['median']:.1f}",
                    "GFLOP": f"{v['flop'] / 1e9:.2f}",
                    "GFLOP per second": f"{v['flop'] / v['seconds']['median'] / 1e9:.0f}",
                    "% of the machine's": f"{100 * v['share']:.0f}",
                }
            )
    return pd.DataFrame(lines)


def roofline(found: Mapping[str, Any]) -> pd.DataFrame:
    """Table of each step's time, and of the least time that its products and its bytes need."""
    lines = []
    for name, step in found["steps"].items():
        lines.append(
            {
                "Step": name,
                "measured, ms": f"{1000 * step['seconds']['median']:.2f}",
                "GFLOP": f"{step['flop'] / 1e9:.2f}",
                "MB": f"{step['bytes'] / 1e6:.0f}",
                "products alone, ms": f"{1000 * step['bounds']['products']:.2f}",
                "bytes alone, ms": f"{1000 * step['bounds']['bytes']:.2f}",
            }
        )
    return pd.DataFrame(lines)


def roofs(found: Mapping[str, Any]) -> str:
    """Sentence with the machine's measured rates of copying and of matrix products."""
    parts = [
        f"{roof['median'] / 1e9:.0f} GB/s of copying"
        if name == "copy"
        else f"{roof['median'] / 1e9:,.0f} GFLOP/s in {name}"
        for name, roof in found["roofs"].items()
    ]
    return "Measured in the same run: " + ", ".join(parts) + "."


def profile(found: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """Table of the share of each group of operators in a step's time, in per cent."""
    groups = list(dict.fromkeys(group for shares in found.values() for group in shares))
    return pd.DataFrame(
        [{"Step": name} | {group: f"{shares.get(group, 0):.0f}" for group in groups} for name, shares in found.items()]
    )


def likelihood(*results: Results | None) -> pd.DataFrame:
    """Table of images per second of the log-likelihood, and of the minutes that 10,000 images take."""
    lines = []
    for r in results:
        comparison = r["measurements"].get("likelihood") if r is not None else None
        if r is None or comparison is None:
            continue
        for name, v in comparison["variants"].items():
            lines.append(
                {
                    "": name,
                    "On": r["device"].replace("cuda", "gpu").upper(),
                    "images per second": f"{v['median']:,.1f}",
                    "10,000 images": f"{10_000 / v['median'] / 60:,.1f} min",
                    f"against {comparison['baseline']}": f"{v['ratio']['median']:.2f}×",
                }
            )
    return pd.DataFrame(lines).fillna("–")


def errors(found: Mapping[str, Mapping[str, list[float]]]) -> pd.DataFrame:
    """Table of relative errors of values and gradients, by operation and implementation."""
    lines = []
    for name, implementations in found.items():
        line = {"Operation": name}
        for implementation, (values, gradients) in implementations.items():
            line[implementation.replace("reference", "plain")] = f"{values:.0e} / {gradients:.0e}"
        lines.append(line)
    return pd.DataFrame(lines)


def unhelpful(found: Mapping[str, Any]) -> pd.DataFrame:
    """Table of optimisations that were tried, with their speed as a multiple of what is done instead."""
    lines = []
    for name, group in found.items():
        ratio = group["variants"]["tried"]["ratio"]
        first = group.get("first_call_seconds", 0.0)
        lines.append(
            {
                "Tried": name,
                "Speed": f"{ratio['median']:.2f}×",
                "least to greatest": f"{ratio['min']:.2f} to {ratio['max']:.2f}",
                "first call": f"{first:.0f} s" if first else "–",
            }
        )
    return pd.DataFrame(lines)
