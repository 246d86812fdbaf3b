"""The benchmarks count right, write whole files, and their page refuses what it cannot show."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest
import torch

mpl.use("Agg")

import matplotlib.pyplot as plt

from genclust.figures import speed as draw
from genclust.pages import speed as page
from genclust.pages.targets import targets

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the benchmarks are not part of the library

from benchmarks import estimators, machine, timing
from benchmarks.__main__ import measure
from benchmarks.kernel_cases import Case, cases
from benchmarks.networks import _counted, _training, own_rows, step_products
from benchmarks.runs import whole_batches
from benchmarks.steps import group_of


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


# ---- arithmetic


def test_ratios_are_taken_round_by_round_and_then_the_median() -> None:
    comparison = timing.Comparison("images/s", "peer", {"peer": [10.0, 20.0, 40.0], "ours": [20.0, 30.0, 160.0]})
    assert comparison.ratios("ours") == [2.0, 1.5, 4.0]
    ours = comparison.as_dict()["variants"]["ours"]
    assert ours["median"] == 30.0
    assert ours["ratio"] == {"median": 2.0, "min": 1.5, "max": 4.0}
    assert comparison.as_dict()["variants"]["peer"]["ratio"] == {"median": 1.0, "min": 1.0, "max": 1.0}


def test_variants_run_in_turn_and_the_first_round_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    now, order = 0.0, []
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def variant(name: str, seconds: float) -> timing.Variant:
        def work() -> float:
            nonlocal now
            now += seconds * (100 if order.count(name) == 0 else 1)
            order.append(name)
            return 6.0

        return work

    found = timing.compare({"a": variant("a", 2.0), "b": variant("b", 3.0)}, rounds=2, unit="images/s")
    assert "".join(order) == "abbaab"  # each goes first in its turn
    assert found.rates == {"a": [3.0, 3.0], "b": [2.0, 2.0]}
    assert found.baseline == "a"


def test_the_device_is_waited_for_before_and_after_every_piece() -> None:
    events: list[str] = []
    timing.compare({"a": lambda: events.append("work") or 1.0}, 1, "steps/s", wait=lambda: events.append("wait"))
    assert events == ["wait", "work", "wait"] * 2


def test_bytes_that_must_move() -> None:
    x, w = torch.zeros(4, 8, requires_grad=True), torch.zeros(4, 8, dtype=torch.uint8)
    case = Case("sum", lambda a, b: (a + b).sum(-1), [x, w], torch.add)
    out = case.outputs(case.call(x, w))
    assert case.forward_bytes(out) == 128 + 32 + 16
    assert case.backward_bytes(out) == 128 + 32 + 16 + 128
    copy, moved = machine.copier("cpu", 1000)
    copy()
    assert moved == 1000


@pytest.mark.parametrize("case", list(cases("cpu", smoke=True)), ids=lambda case: case.name)
def test_the_plain_form_that_a_kernel_is_compared_with_computes_the_same(case: Case) -> None:
    for ours, plain in zip(*(case.outputs(f(*case.tensors)) for f in (case.call, case.plain)), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-4)


def test_batches_are_whole() -> None:
    assert len(whole_batches(torch.zeros(1000, 2), 300, 10_000)) == 900
    assert len(whole_batches(torch.zeros(1000, 2), 300, 400)) == 300


@pytest.mark.parametrize(
    ("operator", "group"),
    [
        ("aten::addmm", "matrix products"),
        ("aten::_fused_adam_", "optimiser"),
        ("aten::native_batch_norm_backward", "batch normalisation"),
        ("aten::normal_", "random numbers"),
        ("aten::exp", "elementwise and sums"),
        ("aten::view", "other"),
    ],
)
def test_operators_are_grouped(operator: str, group: str) -> None:
    assert group_of(operator) == group


# ---- files


def test_a_file_is_whole_or_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "cpu.json"
    timing.write(path, {"a": 1})
    with pytest.raises(ValueError):
        timing.write(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(path.parent.iterdir()) == [path]


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    measure("cpu", 1, 1, "precision,classes,kernels,likelihood,networks,estimators", folder / "cpu.json", smoke=True)
    return folder


def test_a_smoke_run_leaves_results_that_the_page_can_read(smoke: Path) -> None:
    found = page.read(smoke, "cpu")
    assert found["smoke"] and not found["complete"] and found["failed"] == {}
    names = {"precision", "classes", "kernels", "likelihood", "networks", "estimators"}
    assert set(found["measurements"]) == names
    assert "failed" not in [key for case in found["measurements"]["kernels"].values() for key in case]
    assert str(Path.home()) not in (smoke / "cpu.json").read_text()
    assert "none of these numbers means anything" in page.warning(found, None)
    assert targets(found, None)["Met"].isin(["yes", "no", "–"]).all()
    networks = page.networks(found["measurements"]["networks"])
    assert list(networks["Row"]) == ["simple-table1/proposed-mnist"] * len(networks)
    # Forward, and backward to weights and inputs, of 300 examples; the first layer's inputs need no gradient.
    encoder, category, styles = 784 * 512 + 512 * 256 + 256 * 100, 100 * 100 + 100 * 50 + 50 * 10, 2 * 100 * 150
    decoder = 150 * 100 + 10 * 100 + 100 * 256 + 256 * 512 + 512 * 784
    flop = 2 * 300 * (3 * (encoder + category + styles + decoder) - 784 * 512)
    assert set(networks["GFLOP"]) == {f"{flop / 1e9:.2f}"}
    summed = page.precision(found["measurements"]["classes"])
    assert summed["Step"].str.contains("K = 10, float32").sum() == 3
    assert summed["1 and one drawn, ms"].str.fullmatch(r"[\d.]+ \([\d.]+×\)").all()
    values, labels = page.bandwidths(found["measurements"]["kernels"])
    assert values.keys() == labels.keys() and all(len(group) == 2 for group in values.values())


def test_a_smoke_run_counts_the_images_that_each_seed_trains_on_and_every_row(smoke: Path) -> None:
    found = page.read(smoke, "cpu")["measurements"]["estimators"]
    fits, predictions = found["fit"], found["predict"]
    assert (fits["rows"], fits["trained on"]) == (600, 540)
    assert {"GumbelClustering, 2 seeds", "GumbelClustering, 1 seed"} <= fits["variants"].keys()
    assert [variant["rows"] for variant in predictions["variants"].values()] == [3_000] * 2
    for variant in predictions["variants"].values():
        assert len(variant["rounds"]) == 1 and variant["rounds"][0] > 0
        if sys.platform == "linux":
            assert 0 < variant["bytes above the rows"] < 1e9


def test_memory_that_the_system_does_not_state_is_left_out() -> None:
    assert estimators._memory("VmHWM", "/no/such/file") is None


def test_measurements_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    import typer

    with pytest.raises(typer.BadParameter, match="there is no measurement 'speed'"):
        measure("cpu", 1, 1, "speed", tmp_path / "cpu.json", smoke=True)


# ---- the page


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "There are no results cpu.json"),
        ('{"format": 1, "measurem', "are damaged"),
        ("[]", "not of format 1"),
        ('{"format": 0, "measurements": {}}', "not of format 1"),
    ],
)
def test_missing_and_damaged_results_are_refused_in_a_sentence(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "cpu.json").write_text(content)
    with pytest.raises(page.ResultsError, match=says) as refusal:
        page.read(tmp_path, "cpu")
    assert "make bench" in str(refusal.value) and str(refusal.value).count("\n") == 0


def test_a_missing_gpu_is_said_and_a_damaged_file_refused(tmp_path: Path) -> None:
    assert page.read_if_there(tmp_path, "gpu") is None
    (tmp_path / "gpu.json").write_text("{")
    with pytest.raises(page.ResultsError, match=r"gpu\.json .* are damaged; `make bench-gpu`"):
        page.read_if_there(tmp_path, "gpu")


def test_what_was_measured_otherwise_is_marked_by_its_date() -> None:
    published = page.read("benchmarks/results", "cpu")
    sentence = page.former(published, None)
    steps = {name for key in ("precision", "cost", "profile") for name in published["measurements"].get(key, {})}
    assert ("compact forms" in sentence) == bool({"CaGeM", "GMVAE"} & steps)
    old = {
        "precision": {"CaGeM, width 1024, K = 10, batch 100": {}},
        "kernels": {"Gaussian sample with its densities": {}},
    }
    sentence = page.former({"machine": {"date": "2026-01-02"}, "measurements": old})
    assert sentence.count("2026-01-02") == 2 and "Gaussian sample with its densities" in sentence
    today = {"precision": {"CaGeM with BN, width 1024, K = 10, batch 100": {}}, "kernels": {"Gaussian divergence": {}}}
    assert page.former({"machine": {"date": "2026-01-02"}, "measurements": today}) == ""


def comparison(**rates: float) -> dict:
    first = next(iter(rates.values()))
    variants = {
        name: {"rounds": [rate], "median": rate, "ratio": dict.fromkeys(("median", "min", "max"), rate / first)}
        for name, rate in rates.items()
    }
    return {"unit": "images/s", "baseline": next(iter(rates)), "variants": variants}


def test_targets_are_judged_by_the_numbers() -> None:
    measurements = {
        "throughput": {
            "VAE, batch 100": comparison(**{"pythae": 100.0, "genclust, float32": 150.0}),
            "IWAE, 10 samples, batch 100": comparison(**{"pythae": 100.0, "genclust, float32": 149.0}),
        },
        "replicas": {
            "demo network, batch 100": comparison(
                **{
                    "one after the other": 10.0,
                    "side by side, 8": 39.0,
                    "two processes, 8": 41.0,
                    "side by side, 4": 90.0,
                }
            )
        },
    }
    table = targets({"measurements": measurements}, None).set_index("")
    assert table.loc["Training in float32, against pythae's VAE", "Met"] == "yes"
    assert table.loc["Training in float32, against pythae's IWAE", "Met"] == "no"
    assert table.loc["8 replicas, demo network, two processes, against one by one", "Measured"].startswith("4.10×")
    assert table.loc["8 replicas, demo network, side by side, against one by one", "Met"] == "no"
    assert set(table[table["On"] == "GPU"]["Measured"]) == {"not measured"}

    kernels = {
        "a": {
            way: comparison(**{"copy": 100.0, "auto": 90.0, "torch.compile": 80.0}) for way in ("forward", "backward")
        },
        "b": {"forward": comparison(copy=100.0, auto=95.0, **{"torch.compile": 96.0})},
    }
    kernels["b"]["backward"] = kernels["a"]["backward"]
    gpu = {"kernels": kernels, "precision": {"CaGeM, K = 10": comparison(float32=900.0, bf16=1250.0)}}
    gpu |= {"likelihood": comparison(**{"genclust, float32": 1000.0})}
    table = targets({"measurements": {}}, {"measurements": gpu}).set_index("")
    assert table.loc["Every kernel, share of the bandwidth of a copy", "Measured"] == "90.00%"
    assert table.loc["Every kernel, against torch.compile", "Met"] == "no"
    assert table.loc["CaGeM step, width 1024, K = 10, batch 256", "Measured"] == "0.80 ms"
    assert table.loc["5,000-sample likelihood of 10,000 images", "Measured"] == "10.00 s"


def test_the_figures_hold_what_they_are_given() -> None:
    figure, (first, second, third) = plt.subplots(1, 3)
    draw.bars(first, {"g": {"a": 1.0, "b": 2.0}}, {"g": {"a": "1", "b": "2×"}}, ["b"], "x", (1.5, "line"))
    assert [bar.get_width() for bar in first.patches] == [1.0, 2.0]
    assert {"g", "1", "2×"} <= {text.get_text() for text in first.texts}
    draw.scaling(second, {"side by side": {1: 1.0, 8: 4.0}}, "images/s", (1.0, "one after the other"))
    assert second.lines[0].get_ydata().tolist() == [1.0, 4.0]
    draw.cost(third, {100: 2.0, 200: 3.0}, "batch size")
    assert third.lines[1].get_ydata().tolist() == [1.5, 3.0]  # in proportion
    figure.canvas.draw()
    plt.close(figure)
    for wrong in (lambda: draw.bars(first, {}, {}, [], "x"), lambda: draw.cost(third, {1: 0.0}, "K")):
        with pytest.raises(ValueError):
            wrong()


def test_rates_on_a_gpu_are_curves_over_the_number_of_replicas():
    graphs = {"1": {"variants": {"one by one": {"median": 2e6}}}, "10": {"variants": {"one by one": {"median": 5e6}}}}
    assert page.by_replicas(graphs, 1e6) == {"one by one": {1: 2.0, 10: 5.0}}


# ---- products of the papers' networks


@pytest.mark.parametrize(
    "row", ["gmvae-figure2/eta1-alpha2", "simple-table1/proposed-usps", "gmvae-table1/gmvae-k10-m1"]
)
def test_products_of_small_batches_give_those_of_the_whole_one(row: str) -> None:
    assert step_products(row) == _counted(_training(row, "float32", {}))


def test_products_on_record_are_those_of_the_declared_networks() -> None:
    products = page.read("benchmarks/results", "products")["measurements"]["products"]
    measured = page.read("benchmarks/results", "networks")["measurements"]["networks"]["rows"]
    for row in ("gmvae-figure2/eta1-alpha2", "simple-table1/proposed-mnist", "gmvae-table1/gmvae-k10-m10"):
        assert products[row] == step_products(row), (
            "run: python -m benchmarks cpu --only products --out …/products.json"
        )
    assert list(products) == own_rows()
    both = products.keys() & measured.keys()
    assert len(both) >= 4
    assert {row: products[row] for row in both} == {row: measured[row]["variants"]["float32"]["flop"] for row in both}
