"""What the page of findings says in its headings still follows from the published records.

The central numbers are worked out once more from the files of the records, by other code.
"""

from __future__ import annotations

import json
import re
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr, ttest_ind

from genclust.experiments import findings, load, verdicts
from genclust.experiments.findings import Finding
from genclust.experiments.store import published

NAMES = ["accuracy", "points", "chance", "selection", "indicators", "arcs", "control", "nats", "labels", "today"]


@pytest.fixture(scope="module")
def found() -> dict[str, Finding]:
    return findings.every()


def seeds(place: str, profile: str, metric: str) -> list[float]:
    """A metric of every seed of a row, read from its files."""
    experiment, row = place.split("/")
    folder = published().folder / load(experiment).row(row).config(profile).address
    return [json.loads(path.read_text())["metrics"][metric] for path in sorted(folder.glob("seed-*.json"))]


def test_these_are_all(found: dict[str, Finding]) -> None:
    assert list(found) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_records_bear_the_heading_out(name: str, found: dict[str, Finding]) -> None:
    assert found[name].holds, found[name].told


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_can_be_read(name: str, found: dict[str, Finding]) -> None:
    """A line has one central number, no paragraph is too long, and nothing is missing or badly signed."""
    finding = found[name]
    assert (finding.subject + finding.line).count("**") == 2 and len(finding.line.split()) <= 35
    assert len(finding.told.split()) <= 120
    for text in (finding.line, finding.told):
        assert "nan" not in text and "None" not in text and not re.search(r"(?<![\w.])-\d", text)


def test_the_best_of_three_on_mnist(found: dict[str, Finding]) -> None:
    place = "simple-table1/proposed-mnist"
    test, validation = (seeds(place, "paper", f"{split}.acc_hungarian") for split in ("test", "validation"))
    best = [test[max(three, key=lambda seed: validation[seed])] for three in combinations(range(len(test)), 3)]
    assert f"all have a mean of {np.mean(test):.1f} %" in found["selection"].line
    assert f"the **best of 3** {np.mean(best):.1f}." in found["selection"].line
    assert f"{np.mean(best):.1f} ± {np.std(best):.1f} %" in found["selection"].told


def test_what_a_divisor_costs(found: dict[str, Finding]) -> None:
    base, divided = (
        seeds(place, "quick", "test.log_likelihood")
        for place in ("cagem-table1/cagem-0-k10", "cagem-protocol/divisor-256")
    )
    apart = np.subtract(base, divided)
    half = 4.302653 * np.std(apart, ddof=1) / np.sqrt(3)  # Student's t with two degrees of freedom
    expected = f"**{apart.mean():.2f} [{apart.mean() - half:.2f}, {apart.mean() + half:.2f}] nats**"
    assert expected in found["nats"].line


def test_what_other_points_do_on_usps(found: dict[str, Finding]) -> None:
    place = "baselines/kmeans-usps"
    apart = np.mean(seeds(place, "paper", "all.acc_hungarian")) - np.mean(seeds(place, "paper", "test.acc_hungarian"))
    assert found["points"].drawn["same fit, all points scored"]["USPS"][0] == pytest.approx(apart)


def test_how_many_seeds_find_the_arcs(found: dict[str, Finding]) -> None:
    indices = seeds("gmvae-figure2/eta1-alpha2", "paper", "test.ari")
    assert found["arcs"].subject == f"**{sum(index >= 95 for index in indices)} of {len(indices)}** seeds of GMVAE"


def test_what_simple_methods_lead_by(found: dict[str, Finding]) -> None:
    simple, deep = (
        np.mean(seeds(f"{place}-usps", "paper", "test.acc_hungarian"))
        for place in ("baselines/umap-gmm", "simple-table1/proposed")
    )
    assert f"**UMAP + GMM {simple - deep:.1f} above on USPS**" in found["today"].line


def test_three_quarters_of_the_lead_over_the_two_layer_vae_are_there_with_one_cluster() -> None:
    metric = "test.log_likelihood"
    vae = np.mean(seeds("cagem-iwae/vae-l2-k1", "long", metric))
    one, ten = (np.mean(seeds(f"cagem-table1/{row}", "long", metric)) for row in ("cagem-k1", "cagem-0-k10"))
    assert 0.7 < (one - vae) / (ten - vae) < 0.8


def test_five_ten_and_twenty_clusters_cannot_be_told_apart_and_are_clear_of_one() -> None:
    one, *several = (
        seeds(f"cagem-table1/{row}", "long", "test.log_likelihood")
        for row in ("cagem-k1", "cagem-0-k5", "cagem-0-k10", "cagem-0-k20")
    )
    for some, others in combinations(several, 2):
        assert ttest_ind(some, others, equal_var=False).pvalue > 0.1 and abs(np.mean(some) - np.mean(others)) < 0.5
    for some in several:
        assert ttest_ind(some, one, equal_var=False).pvalue < 0.05 and min(some) > max(one)
    declared = load("cagem-table1")
    reported = [declared.row(name).reported[0].mean for name in ("cagem-0-k5", "cagem-0-k10", "cagem-0-k20")]
    assert np.ptp(reported) < 1 / 3


@pytest.mark.parametrize(
    ("profile", "least", "most", "low", "high"), [("quick", 2, 7, 0.0, 0.6), ("long", 4, 7, 0.9, 1.0)]
)
def test_the_likelihood_of_a_seed_goes_with_the_clusters_that_it_uses(
    profile: str, least: int, most: int, low: float, high: float
) -> None:
    used, reached = (
        [value for K in (5, 10, 20) for value in seeds(f"cagem-table1/cagem-0-k{K}", profile, metric)]
        for metric in ("test.clusters_used", "test.log_likelihood")
    )
    assert len(used) == 9 and min(used) >= least and max(used) == most
    assert low < spearmanr(used, reached).statistic <= high
    if profile == "long":
        on_offer = [K for K in (5, 10, 20) for _ in range(3)]
        assert spearmanr(on_offer, reached).statistic < spearmanr(used, reached).statistic - 0.2


def test_avae_is_as_far_below_ten_clusters_as_in_the_poster_and_level_with_one() -> None:
    one, ten, avae, lvae = (
        seeds(f"cagem-table1/{row}", "long", "test.log_likelihood")
        for row in ("cagem-k1", "cagem-0-k10", "avae", "lvae-iw1")
    )
    declared = load("cagem-table1")
    poster = {row: declared.row(row).reported[0].mean for row in ("cagem-0-k10", "avae", "lvae-iw1")}
    assert poster["cagem-0-k10"] - poster["avae"] == pytest.approx(1.4, abs=0.05)
    assert np.mean(ten) - np.mean(avae) == pytest.approx(1.4, abs=0.3)
    assert np.mean(ten) - np.mean(lvae) == pytest.approx(poster["cagem-0-k10"] - poster["lvae-iw1"], abs=0.7)
    assert abs(np.mean(one) - np.mean(avae)) < 0.1


def test_all_models_of_the_key_figure_lead_the_vae_by_more_than_in_the_poster() -> None:
    declared = load("cagem-table1")
    vae = declared.row("iwae-k1").reported[0].mean
    zero = np.mean(seeds("cagem-iwae/vae-l2-k1", "long", "test.log_likelihood"))
    for row in ("avae", "cagem-0-k5", "cagem-0-k10", "cagem-0-k20", "lvae-iw1"):
        lead = np.mean(seeds(f"cagem-table1/{row}", "long", "test.log_likelihood")) - zero
        assert lead > declared.row(row).reported[0].mean - vae + 1


def test_all_reproduced_numbers_are_of_the_first_paper_as_the_first_page_says() -> None:
    lines = verdicts()
    reproduced = lines[
        (lines.verdict == "reproduced") & lines.reported_mean.notna() & ~lines.second_reading.astype(bool)
    ]
    assert set(reproduced.paper) == {"simple"}
    names = {row.split("/")[1].removesuffix("-all") for row in reproduced.row}
    assert names == {"kmeans-mnist", "kmeans-usps", "proposed-usps", "features"}


def test_with_seven_and_fourteen_clusters_all_are_used() -> None:
    for row, number in (("k7", 7), ("k14", 14)):
        assert seeds(f"simple-figure4/{row}", "paper", "test.clusters_used") == [number]
