"""What the page on choosing without labels says in words still follows from the published records."""

import math

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from genclust.experiments.verdicts import Summary
from genclust.pages import guide


@pytest.fixture(scope="module")
def found():
    return guide.configurations()


@pytest.fixture(scope="module")
def lines(found):
    return guide.choices(found)


def gain(lines, indicator):
    return lines.gain[lines.indicator == indicator]


def test_the_highest_bound_chooses_better_than_chance(lines):
    interval = Summary.of(gain(lines, "bound").tolist()).interval
    assert interval and interval[0] > 0
    assert "arcs" in guide.clear_of_zero(lines[lines.indicator == "bound"])


def once(lines):
    """The mean gain over data sets, of the means over their configurations, with Student's 95 % interval."""
    means = [float(np.mean(lines.gain[lines.data == data])) for data in sorted(set(lines.data))]
    half = t.ppf(0.975, len(means) - 1) * np.std(means, ddof=1) / math.sqrt(len(means))
    return f"{np.mean(means):.1f} [−{half - np.mean(means):.1f}, {np.mean(means) + half:.1f}]"


def test_with_each_data_set_counted_once_neither_gain_is_clear_and_both_come_first(found, lines):
    """As `once` writes them, the lower ends are negative; the arcs are most configurations of the bound."""
    of_bound, voted = lines[lines.indicator == "bound"], guide.consensuses(found)
    text, of_vote = guide.finding(lines, found), guide.finding_together(voted)
    assert "data sets counted once, the seed with the highest bound is " + once(of_bound) in text
    assert "the one that agrees best is " + once(lines[lines.indicator == "agreement"]) in text
    assert "data sets counted once, the consensus is " + once(voted) in of_vote
    for paragraph, every in ((text, of_bound), (of_vote, voted)):
        assert paragraph.index("counted once") < paragraph.index(f"Over all {len(every)} configurations")
    assert 2 * sum(of_bound.data == "arcs") > len(of_bound)
    assert all(len(paragraph.split()) <= 120 for paragraph in [*text.split("\n\n"), of_vote])


def test_the_consensus_gains_clearly_on_mnist_and_on_the_arcs_only(found):
    voted = guide.consensuses(found)
    assert guide.clear_of_zero(voted) == "MNIST and arcs"
    for data, gains in voted.groupby("data").gain:
        clear = len(gains) > 4 and ttest_1samp(gains, 0).pvalue < 0.05 and gains.mean() > 0
        assert clear == (data in {"MNIST", "arcs"})


def test_where_all_four_are_known_confidence_gains_less_than_the_bound(lines):
    complete = lines[lines["all"]]
    assert 0 < gain(complete, "confidence").mean() < gain(complete, "bound").mean()


@pytest.mark.parametrize("data", ["arcs", "MNIST", "digits (surrogate)"])
def test_seeds_with_more_clusters_in_use_are_mostly_the_more_accurate_ones(lines, data):
    assert lines.correlation[(lines.data == data) & (lines.indicator == "clusters in use")].mean() > 0.4


def test_on_house_numbers_with_more_clusters_than_digits_it_is_the_other_way_round(lines):
    of_house_numbers = lines[lines.data.str.startswith("house numbers") & (lines.indicator == "clusters in use")]
    assert of_house_numbers.correlation.max() < 0


def test_seeds_that_collapsed_agree_perfectly_and_are_confident(found):
    (collapsed,) = [one for one in found if one.name == "gmvae-figure2/eta0-alpha1@paper"]
    assert {name: set(collapsed.indicators[name]) for name in ("agreement", "confidence")} == {
        "agreement": {1},
        "confidence": {1},
    }


def _weight(one):
    return one.records[0].config["model"]["w_gaussian"]


def test_between_weights_the_bound_chooses_the_worst(found):
    """Of the Gumbel model: in three groups the bound chooses w_G = 1, and each run with it is below all with more."""
    groups = [line for line in guide.settings(found).to_dict("records") if line["Model"].startswith("gumbel")]
    assert len(groups) == 3
    for data, likelihood in (("MNIST", "bernoulli"), ("USPS", "bernoulli"), ("USPS", "gaussian")):
        group = [one for one in found if one.data == data and one.records[0].config["model"]["name"] == "gumbel"]
        same = [one for one in group if one.records[0].config["model"]["likelihood"] == likelihood]
        highest = max(same, key=lambda one: one.indicators["bound"].mean())
        assert _weight(highest) == 1
        of_one, rest = (
            [one.accuracies.mean() for one in same if (_weight(one) == 1) == is_one] for is_one in (True, False)
        )
        assert rest and max(of_one) < min(rest)


def test_large_gains_of_a_consensus_are_nearly_all_with_ten_seeds(found):
    voted = guide.consensuses(found)
    assert sorted(voted.seeds[voted.gain > 6]) == [5, *[10] * 9] and voted.gain[voted.seeds == 3].abs().max() < 6
    (half_as_many,) = voted[voted.configuration.str.endswith("eta1-alpha2-5000@paper")].to_dict("records")
    assert half_as_many["consensus"] < half_as_many["agreeing"]
