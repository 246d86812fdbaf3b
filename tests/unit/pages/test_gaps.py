"""The page on missed numbers: prices by hand, sentences that count right, and causes as HTML."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest

from genclust.experiments import declaration
from genclust.experiments.declaration import Cause, Gap
from genclust.experiments.planning import paces
from genclust.experiments.verdicts import number
from genclust.pages.costs import Price, Rates
from genclust.pages.gaps import Gaps, causes, command, with_numbers
from genclust.pages.missed import Missed
from genclust.pages.tails import Curve

judging = import_module("genclust.experiments.verdicts")  # the package has a function of that name
ROOT = Path(__file__).resolve().parents[3]
GMVAE = declaration.load("gmvae-table1").row("gmvae-k10-m1")
NETWORKS = {
    "rows": {
        "gmvae-table1/gmvae-k10-m1": {
            "variants": {
                "float32": {"flop": 4e9, "seconds": {"median": 0.2}},
                "bf16": {"flop": 4e9, "seconds": {"median": 0.1}},
            }
        },
        "gmvae-table1/gmvae-k16-m10": {
            "variants": {
                "float32": {"flop": 40e9, "seconds": {"median": 1.0}},
                "bf16": {"flop": 40e9, "seconds": {"median": 0.5}},
            }
        },
        "cagem-table1/cagem-0-k10": {"variants": {"float32": {"flop": 4e9, "seconds": {"median": 99.0}}}},
    }
}


# ---- prices


def test_a_price_by_hand():
    """8·10⁹ operations at 40·10⁹ per second are 0.2 s a step; five seeds of 3,600 steps are an hour."""
    rates = Rates({}, NETWORKS, {"gmvae-table1/gmvae-k10-m1": 8e9})
    price = rates.price(GMVAE, GMVAE.config("paper"), 3600)
    assert price == Price(pytest.approx(1.0), "benchmark", 5 * 3600 * 8e9)
    assert price.minutes_at(2.4) == pytest.approx(1.0)
    slower = GMVAE.config("paper", {"training": {"precision": "float32"}})
    assert rates.price(GMVAE, slower, 3600).core_hours == pytest.approx(2.0)
    large = Rates({}, NETWORKS, {"gmvae-table1/gmvae-k10-m1": 30e9})
    assert large.price(GMVAE, GMVAE.config("paper"), 3600).core_hours == pytest.approx(5 * 30 / 80)


def test_records_of_the_same_network_tell_before_a_benchmark_does():
    config = GMVAE.config("paper")
    record = SimpleNamespace(
        run_config=config,
        data={"sizes": {"train": 58_800}},
        seconds=117_600 * 0.5,
        failed_at_step=None,
        provenance={"device": "x86_64", "threads": 2},
    )
    rates = Rates(paces([record]), NETWORKS, {"gmvae-table1/gmvae-k10-m1": 8e9})
    assert rates.price(GMVAE, config, 3600) == Price(pytest.approx(5.0), "records", 5 * 3600 * 8e9)


def test_what_no_benchmark_knows_has_no_price():
    with pytest.raises(KeyError):
        Rates({}, NETWORKS, {}).price(GMVAE, GMVAE.config("paper"), 1)
    usps = declaration.load("simple-table1").row("proposed-usps")
    with pytest.raises(KeyError, match="no network of the model gumbel"):
        Rates({}, NETWORKS, {"simple-table1/proposed-usps": 1e9}).price(usps, usps.config("paper"), 1)


# ---- the page


def missed(place: str, profile: declaration.Profile, values: np.ndarray | None = None, **changes) -> Missed:
    name, _, of_row = place.partition("/")
    experiment = declaration.load(name)
    row = experiment.row(of_row)
    config = row.config(profile)
    told = {"measured_mean": 60.0, "measured_sd": 2.0, "anchor": "there", **changes}
    verdict = replace(judging._verdict(experiment, row, row.reported[0], None, []), **told)
    record = SimpleNamespace(
        run_config=config,
        data={"sizes": {"train": 58_800}},
    )
    one = Missed(experiment.paper, row, (verdict,), profile, (record,) * 3)
    curve = None if values is None else Curve("accuracy", np.arange(1.0, 1 + values.shape[-1]), values, {}, 10.0)
    one.__dict__["curve"] = curve
    return one


@pytest.fixture
def small() -> Gaps:
    flat = np.full((3, 40), 60.0)
    rows = (
        missed("simple-table1/proposed-mnist", "paper", flat),
        missed("simple-table1/proposed-reuters", "paper", stand_in="rcv1_10k"),
        missed("gmvae-table1/gmvae-k10-m1", "quick", flat[:, :5]),
        missed("gmvae-table1/gmvae-k10-m10", "quick", 30 + flat * np.log(np.arange(1, 41)) / 3),
    )
    products = {"gmvae-table1/gmvae-k10-m1": 8e9, "gmvae-table1/gmvae-k10-m10": 80e9}
    products |= {"simple-table1/proposed-mnist": 2e9, "simple-table1/proposed-reuters": 2e9}
    networks = {
        "rows": NETWORKS["rows"] | {"simple-table1/proposed-mnist": NETWORKS["rows"]["gmvae-table1/gmvae-k10-m1"]}
    }
    return Gaps(rows, (), Rates({}, networks, products))


def test_of_a_row_with_a_diverged_seed_it_is_said_which(small):
    flat = np.full((3, 40), 60.0)
    row = missed("simple-table1/proposed-mnist", "paper", flat, measured_mean=None, lost="seed 1 diverged")
    page = Gaps((row,), (), small.rates)
    shown = page.table(10.0).iloc[0]
    assert "seed 1 diverged" in shown["Measured"] and "seed 1 diverged" in shown["What its training says"]
    assert not page.panels("simple")


def test_the_finding_counts_what_the_rows_say(small):
    text = small.finding()
    assert text.startswith("4 rows of the papers' own models") and "**2 were too short**" in text
    assert "they made 5 to 5 % of the steps" in text and "1 of them was still rising" in text
    assert (
        "**1 ran at the paper's size and were trained to the end**, Is Simple Better? (Proposed, MNIST): more of"
        in text
    )
    assert text.endswith("1 ran at that size, and their curves do not tell.")


def test_a_row_trained_out_on_surrogate_data_is_not_said_to_miss_its_number(small):
    flat = np.full((3, 40), 60.0)
    at = ("simple-table1/proposed-reuters", "paper", flat)
    page = Gaps((missed(*at, stand_in="rcv1_10k", verdict="surrogate data"),), (), small.rates)
    assert "**0 ran at the paper's size and were trained to the end**. 1 more (" in page.finding()
    assert page.finding().endswith(") did so on surrogate data, and the number is not compared.")


def test_the_table_has_a_line_a_row_with_both_numbers_and_the_price(small):
    table = small.table(10)
    assert list(table.Row.str.extract(r">([^<>]*)</a>")[0]) == [
        "Proposed, MNIST",
        "Proposed, REUTERS-10K",
        "GMVAE, K = 10, M = 1",
        "GMVAE, K = 10, M = 10",
    ]
    assert (
        table.Paper[0] == "85.75 ± 8.00" and table.Measured[1] == "60.00 ± 2.00<br><small>3 seeds, on RCV1-10k</small>"
    )
    assert "<strong>Trained to the end</strong>" in table["What its training says"][0]
    assert "<strong>Too short</strong>: 5,880 of 117,600 steps" in table["What its training says"][2]
    # 117,600 steps of 0.2 s (at the rate of the small network), and of 1 s (at that of the large one); five seeds
    assert list(table["Core-hours"][2:]) == ["32.7", "163.3"]
    assert table["Accelerator, minutes"][2] == f"{5 * 117_600 * 8e9 / 1e13 / 60:,.1f}"
    assert "of an accelerator" not in small.cost(10) and "arithmetic" in small.cost(10)


def test_figures_have_the_rows_with_curves(small):
    panels = small.panels("gmvae")
    assert list(panels) == ["GMVAE, K = 10, M = 1", "GMVAE, K = 10, M = 10"]
    assert panels["GMVAE, K = 10, M = 1"].tail is None
    epochs, _ = panels["GMVAE, K = 10, M = 10"].tail
    assert (epochs[0], epochs[-1]) == (10, pytest.approx(40))  # without a prediction it ends where the curve does
    assert panels["GMVAE, K = 10, M = 1"].reported == 74.47
    assert list(small.panels("simple")) == ["Proposed, MNIST"]


# ---- causes


def test_rows_with_the_same_causes_stand_together(small):
    text = small.causes("gmvae").data
    assert text.startswith("**GMVAE, K = 10, M = 1; GMVAE, K = 10, M = 10**\n\n1. *Training was too short.* Five")
    assert text.count("\n2. *") == 1 and "\n3." not in text and text.count("What would tell: ") == 1
    assert (
        "```bash\ngenclust run gmvae-table1 --row gmvae-k10-m1 --profile paper\ngenclust run gmvae-table1 --row" in text
    )
    assert small.causes("simple").data.startswith("**Proposed, MNIST**")


def test_a_row_whose_causes_are_of_other_runs_says_so():
    one = missed("cagem-table1/cagem-0-k10", "quick")
    other = missed("cagem-table1/cagem-20", "quick")
    assert causes([one, other]).count("have not been looked at") == 2


def test_numbers_are_looked_up():
    key = "simple-table1/proposed-mnist/test.acc_hungarian/mean"
    assert with_numbers(f"a & {{measured}}`{key}` %, `c`") == f"a & {number(key)} %, `c`"
    with pytest.raises(KeyError):
        with_numbers("{measured}`simple-table1/nobody/test.ari/mean`")


def test_the_command_names_row_and_changes():
    one = missed("simple-table1/proposed-mnist", "paper")
    assert command(one) == "genclust run simple-table1 --row proposed-mnist --profile paper --set model.init=torch7"
    assert command(missed("vlac-table1/vlac-one-crops", "quick")).endswith("vlac-table1 --row vlac-one --profile paper")
    gap = Gap("paper", (Cause("a", "b"),), "c", settings={"model": {"w_gaussian": 3}, "training": {"epochs": 5}})
    changed = replace(one, row=replace(one.row, gap=gap))
    assert command(changed).endswith("--set model.w_gaussian=3 --set training.epochs=5")


@pytest.mark.parametrize(
    "one", ["simple-table1/proposed-mnist", "gmvae-figure2/eta1-alpha0", "vlac-table1/vlac-one-crops"]
)
def test_commands_are_understood(one):
    """Its settings are what `genclust run` makes of the command, and so is its row."""
    profile = declaration.load(one.partition("/")[0]).row(one.partition("/")[2]).gap.profile
    row = missed(one, profile)
    words = command(row).split()
    experiment, name = words[2], words[words.index("--row") + 1]
    changes = [words[place + 1] for place, word in enumerate(words) if word == "--set"]
    declared = declaration.load(experiment).row(name)
    overrides = declaration.parse_overrides(changes, declared, "paper")
    assert declared.config("paper", overrides) == row.at_papers_size


def test_the_committed_page_says_what_the_library_says():
    """Its finding counts as many rows as its table has, and every one of them has its causes."""
    cells = {cell.id: cell for cell in nbformat.read(ROOT / "notebooks" / "gaps.ipynb", as_version=4).cells}
    finding = cells["finding"].outputs[0]["data"]["text/markdown"]
    table = cells["table"].outputs[0]["data"]["text/html"]
    assert int(finding.split()[0]) == table.count("<tr>")
    shown = "".join(
        cells[f"{paper}-causes"].outputs[0]["data"]["text/markdown"] for paper in ("simple", "gmvae", "cagem", "vlac")
    )
    assert "have not been looked at" not in shown
    assert int(finding.split("**")[1].split()[0]) == table.count("<strong>Too short</strong>")
