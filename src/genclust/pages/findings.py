"""What the papers do not say and the records do: each finding with its central number and the data of its figure.

A finding is a heading on a page of the book.  Its numbers are worked out here from published records whenever the page
is made; whether the records still bear the heading out, its ``holds`` says, which a test asks of each.

"Accuracy" without more is the Hungarian one on test data, in per cent.  Every seed counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from genclust.evaluation.clustering import majority_by_chance
from genclust.experiments.access import Asked, Runs
from genclust.experiments.declaration import WITHOUT_DEMO, load, parse_profile, row_of
from genclust.experiments.naming import profile_of
from genclust.experiments.papers import dataset_title
from genclust.experiments.unlabelled import held_out_bound
from genclust.experiments.verdicts import (
    ASSUMED_REPORTED_SEEDS,
    Summary,
    data_of,
    exceeding,
    summarise,
)
from genclust.pages import guide, ladder, phases
from genclust.pages.columns import short, values
from genclust.pages.house_numbers import TABLE
from genclust.pages.likelihoods import LOG_LIKELIHOOD
from genclust.pages.tables import with_ends
from genclust.wording import signed

HUNGARIAN, VALIDATION = "test.acc_hungarian", "validation.acc_hungarian"
MANY_TO_ONE, BY_CHANCE = "test.acc_many_to_one", "test.chance_many_to_one_y3_identity"
#: Accuracies of one assignment, by their names in the figure.
KINDS = {"Hungarian": HUNGARIAN, "many-to-one": MANY_TO_ONE, "exemplar": "test.acc_exemplar"}
#: Tables of the papers whose rows on MNIST are scored in all kinds.
ON_MNIST = ("simple-table1", "gmvae-table1")
#: Rows of Table 1 of VLAC on the smaller house numbers.
CROPS = ("vlac-one-crops", "vlac-two-crops", "gm-dgm-crops")
#: Rows in which a seed is chosen, by the title of their data.
CHOSEN = {"MNIST": "simple-table1/proposed-mnist", "USPS": "simple-table1/proposed-usps"}
#: By what it is chosen, as in the figure.
BY_LABELS, BY_BOUND = "by validation accuracy, with labels", "by the bound, without"
#: Pairs of weights of the arcs, rows of Figure 2 of GMVAE.
ARCS = ("eta0-alpha0", "eta1-alpha0", "eta1-alpha2", "eta1-alpha2-bn", "eta0.5-alpha2-bn")
#: Rows of Table 1 of CaGeM that show what its clusters add, by their names in the figure.
CONTROL = {
    "VAE, two layers": "iwae-k1",
    "CaGeM, one cluster": "cagem-k1",
    "CaGeM, five clusters": "cagem-0-k5",
    "CaGeM, ten clusters": "cagem-0-k10",
    "CaGeM, twenty clusters": "cagem-0-k20",
    "LVAE, five layers": "lvae-iw1",
}
#: Clusters that are the most probable one of some test image.
USED = "test.clusters_used"
#: Many-to-one accuracy from which no two arcs share a component, as two of them in one cost twenty points.
UNMERGED = 99.0
#: CaGeM-0 with ten clusters, and what is changed of it; all at one profile.
BASE, BASE_PROFILE = "cagem-table1/cagem-0-k10", "quick"
CHANGES = {
    "grey values over 256": "cagem-protocol/divisor-256",
    "products in float32": "cagem-protocol/float32",
    "one class summed, one drawn": "cagem-table1-sums/cagem-1",
    "one cluster": "cagem-others/cagem-k1",
}
DIVISOR, PRECISION, SUMS, _ = CHANGES
#: Why differences of these rows are of pairs and not, as elsewhere, of two groups of seeds.
IN_PAIRS = (
    "Seeds are compared in pairs here, since these runs have the same networks: one seed means the same initial "
    "weights and the same order of images."
)
#: Weight at which all objectives with labels were run on both data sets, as labels of rows end.
WEIGHT = ", α = 0.1"
#: Two methods that need little, and a deep model.
SIMPLE, DEEP = ("umap-gmm", "kmeans"), "proposed"
#: The one of the two that the heading names, by data set, and what the figure shows.
NAMED = {"mnist": "umap-gmm", "usps": "umap-gmm", "reuters10k": "kmeans"}
SHOWN = ("kmeans", "umap-kmeans", "umap-gmm", DEEP, "gmvae-k10-m1", "cagem-0-k10", "split-merge")
#: The data set by whose labels the starts of the mixture after UMAP were chosen, and the method beside it, of which
#: nothing was chosen by labels.
CHOSEN_ON, NOT_CHOSEN = "usps", "umap-kmeans"


@dataclass(frozen=True)
class Finding:
    """A finding with what its page shows.

    Attributes:
        name: the target of its heading is ``finding-`` and this.
        subject, line: beginning and rest of its line in the list at the head of the page, with the central number.
        told: what was measured, as a paragraph.
        drawn: what its figure takes.
        holds: whether the records bear the heading out.
    """

    name: str
    subject: str
    line: str
    told: str
    drawn: Any
    holds: bool


def every(n_classes: int = 10) -> dict[str, Finding]:
    """All findings by name, in the order of the page.

    Args:
        n_classes: number of classes of the curve by chance.
    """
    of_numbers = [accuracy(), points(), chance(n_classes)]
    of_seeds = [selection(), indicators(), arcs()]
    of_models = [control(), nats(), labels(), today()]
    return {finding.name: finding for finding in [*of_numbers, *of_seeds, *of_models]}


def listed(found: Iterable[Finding]) -> str:
    """The list at the head of the page in Markdown, of which each line leads to its finding."""
    return "\n".join(f"1. [{finding.subject}](#finding-{finding.name}) {finding.line}" for finding in found)


# ---- numbers that do not compare


def accuracy() -> Finding:
    """What the kind of accuracy does to the same clusters, of methods on MNIST and USPS."""
    of_papers = [Runs.published(row) for name in ON_MNIST for row in load(name).rows.values()]
    panels = {
        "MNIST": [runs for runs in of_papers if runs and runs.row.dataset == "mnist"],
        "USPS": [rung.fitted for rung in ladder.rungs("usps") if rung.fitted],
    }
    drawn = {title: {_called(runs): _scores(runs) for runs in of_data} for title, of_data in panels.items()}
    apart = {
        f"{name} on {title}": max(scores.values()) - min(scores.values())
        for title, methods in drawn.items()
        for name, scores in methods.items()
    }
    widest = max(apart, key=apart.__getitem__)
    pairs = [
        (one, other)
        for of_data in panels.values()
        for one, other in combinations(of_data, 2)
        if guide.n_clusters(one[0]) == guide.n_clusters(other[0])
    ]
    turned = [turn for pair in pairs if (turn := _turn(*pair))]
    clear = sum(map(_is_clear_turn, pairs))
    median = np.median(list(apart.values()))
    _, largest = max(turned, default=(0.0, ""))
    told = (
        f"The test clusters of {len(apart)} methods, each scored in three ways; means over all seeds. The highest and "
        f"the lowest accuracy of a method lie {median:.1f} points apart in the median, and {apart[widest]:.1f} at most "
        f"({widest}). Of {len(pairs)} pairs of methods with the same data and the same number of clusters, "
        f"{len(turned)} change their order with the kind of accuracy, {clear or 'none'} of them clearly. A change is "
        f"clear if each method leads by some kind of accuracy, and both leads exceed the spread of seeds. Among so "
        f"many pairs, one may do so by chance. {largest}"
    )
    line = (
        f"moves the score of the same clusters by up to **{apart[widest]:.1f} points**; the order of {len(turned)} of "
        f"{len(pairs)} pairs of methods changes with it, {clear or 'none'} clearly beyond the spread of seeds."
    )
    holds = median > 3 and clear == 1
    return Finding("accuracy", "The kind of accuracy", line, told, drawn, holds)


def _scores(runs: Runs) -> dict[str, float]:
    return {kind: _mean(runs, metric) for kind, metric in KINDS.items()}


def _turn(one: Runs, other: Runs) -> tuple[float, str] | None:
    """By how much two methods lead each other at least, where kinds of accuracy disagree on their order, and in words.

    None if all kinds agree.
    """
    of_one, of_other = _scores(one), _scores(other)
    lead = {kind: of_one[kind] - of_other[kind] for kind in KINDS}
    most, least = max(lead, key=lead.__getitem__), min(lead, key=lead.__getitem__)
    if not lead[least] < 0 < lead[most]:
        return None
    words = (
        f"The largest change: {_called(one)} is {lead[most]:.1f} points above {_called(other)} by {most} accuracy, and "
        f"{-lead[least]:.1f} below it by {least}."
    )
    return min(lead[most], -lead[least]), words


def _is_clear_turn(pair: tuple[Runs, Runs]) -> bool:
    """Whether each of two methods leads the other by some kind of accuracy, by more than their seeds explain."""
    leads = [exceeding(*pair, metric) for metric in KINDS.values()]
    return {lead.mean > 0 for lead in leads if _clear(lead)} == {False, True}


def points() -> Finding:
    """What other points that are scored, and more that are fitted, do to the accuracy of every method."""
    ladders = {name: [rung for rung in ladder.rungs(name) if rung.fitted] for name in ladder.DATA}
    same = {name: [_of_all(rung.fitted) - rung.accuracy for rung in found] for name, found in ladders.items()}
    more = {
        name: [_of_all(rung.on_all) - rung.accuracy for rung in found if rung.on_all] for name, found in ladders.items()
    }
    drawn = {
        title: {_data(ladders[name][0].fitted): by_method for name, by_method in of.items() if by_method}
        for title, of in (("same fit, all points scored", same), ("all points fitted and scored", more))
    }
    usps, mnist, fitted = same["usps"], same["mnist"], more["usps"]
    told = (
        "Each method is fitted to the training split and scored twice. The accuracy on all points minus that on the "
        f"test split is {signed(min(usps), 1)} to {signed(max(usps), 1)} points on USPS ({len(usps)} methods) and "
        f"{signed(min(mnist), 1)} to {signed(max(mnist), 1)} points on MNIST ({len(mnist)} methods). The clusters are "
        "the same, only the scored points differ: either the test split of USPS is harder than the rest, or points "
        "that were fitted score higher. MNIST shows no such gap, which supports the first explanation. If all points "
        f"are fitted as well, the difference is {signed(float(np.mean(fitted)), 1)} points in the "
        f"mean of the {len(fitted)} methods run both ways on USPS, from {signed(min(fitted), 1)} to "
        f"{signed(max(fitted), 1)}."
    )
    line = (
        f"score **{signed(min(usps), 1)} to {signed(max(usps), 1)} points** higher on all points than on the test "
        f"split, for each of {len(usps)} methods."
    )
    holds = min(usps) > 1 and max(map(abs, mnist)) < min(usps)
    return Finding("points", "The same clusters of USPS", line, told, drawn, holds)


def _of_all(runs: Runs) -> float:
    return _mean(runs, ladder.ALL)


def chance(n_classes: int = 10) -> Finding:
    """What clusters that know nothing score many-to-one, beside those of VLAC's Table 1."""
    found = [runs for row in load(TABLE).runnable if (runs := Runs.published(row))]
    measured, by_chance = [], []
    for runs in found:
        scores, levels = values(runs, MANY_TO_ONE), values(runs, BY_CHANCE)
        sizes = [run.data["sizes"]["test"] / run.metric("test.clusters_used_y3") for run in runs]
        measured += list(zip(sizes, scores, strict=True))
        by_chance += list(zip(sizes, levels, strict=True))
    at = np.unique(np.geomspace(10, math.ceil(max(size for size, _ in measured)), 20).round().astype(int))
    drawn = {
        f"by chance, {n_classes} equal classes": [(float(n), majority_by_chance(int(n), n_classes)) for n in at],
        "by chance, labels permuted": by_chance,
        "measured": measured,
    }
    vlac, two_layers, gm_dgm = (_runs(f"{TABLE}/{name}") for name in CROPS)
    gain = _above_chance(vlac)
    score, floor = _mean(vlac, MANY_TO_ONE), _mean(vlac, "test.floor_identity")
    level = _mean(vlac, BY_CHANCE)
    told = (
        f"{_size(vlac)}, on {vlac[0].data['sizes']['test']:,} test images of {_data(vlac)}: VLAC's fifty clusters "
        f"have a many-to-one accuracy of {score:.1f} %. A single cluster has {floor:.1f} %, and clusters of the same "
        f"sizes under permuted labels {level:.1f} %, so VLAC is {with_ends(gain)} points above chance. With "
        f"clusters in two layers, VLAC is {with_ends(_above_chance(two_layers))} points above chance, and the GM-DGM, "
        f"which has a single layer, {with_ends(_above_chance(gm_dgm))}."
    )
    line = (
        f"score {level:.1f} % many-to-one on {_data(vlac)}, and VLAC {score:.1f} %: **{with_ends(gain)} points** more "
        f"({_profile(vlac)})."
    )
    holds = level > floor + 1 and gain.mean < (level - 10) / 2
    return Finding("chance", "Random clusters", line, told, drawn, holds)


def _above_chance(runs: Runs) -> Summary:
    return Summary.of(np.subtract(values(runs, MANY_TO_ONE), values(runs, BY_CHANCE)).tolist())


# ---- seeds


def selection() -> Finding:
    """What keeping the best of several seeds does to the mean accuracy of "Is Simple Better?"."""
    drawn = {}
    for title, place in CHOSEN.items():
        runs = _runs(place)
        accuracies, stated = np.array(values(runs, HUNGARIAN)), runs.row.reported[0]
        curves = {BY_LABELS: guide.chosen_among(np.array(values(runs, VALIDATION)), accuracies)}
        curves[BY_BOUND] = guide.chosen_among(np.array([held_out_bound(run) for run in runs]), accuracies)
        drawn[title] = curves, (stated.mean or math.nan, stated.sd or math.nan)
    runs, (curves, (mean, sd)) = _runs(CHOSEN["MNIST"]), drawn["MNIST"]
    accuracies, validation = np.array(values(runs, HUNGARIAN)), np.array(values(runs, VALIDATION))
    n, n_by_bound = (_first(curve, mean) for curve in curves.values())
    best = curves[BY_LABELS][n - 1]
    spread = math.sqrt(guide.chosen_among(validation, accuracies**2)[n - 1] - best**2)
    on_usps, (mean_of_usps, _) = drawn["USPS"]
    told = (
        f"{_size(runs)}, MNIST: from {accuracies.min():.1f} to {accuracies.max():.1f} %, with a mean of "
        f"{accuracies.mean():.1f}. The paper reports {mean:.2f} ± {sd:g}. If the one with the best validation accuracy "
        f"is kept of {n} seeds, the test accuracy is {best:.1f} ± {spread:.1f} %, over all choices of {n} of the "
        f"{len(runs)}. If the bound chooses, which needs no label, {n_by_bound} seeds are needed to reach the paper's "
        f"mean. The {ASSUMED_REPORTED_SEEDS} best seeds together have a mean of "
        f"{np.sort(accuracies)[-ASSUMED_REPORTED_SEEDS:].mean():.1f} %. On USPS the best of {n} has "
        f"{on_usps[BY_LABELS][n - 1]:.1f} %, the mean of all seeds is {on_usps[BY_LABELS][0]:.1f} %, and the paper "
        f"reports {mean_of_usps:.2f} %."
    )
    line = (
        f"would do on MNIST: all seeds have a mean of {accuracies.mean():.1f} %, the paper has {mean:.2f}, and the "
        f"**best of {n}** would have {best:.1f}."
    )
    holds = accuracies.mean() < mean - 5 and n <= 4
    return Finding("selection", "What a selection among seeds", line, told, drawn, holds)


def _first(curve: Iterable[float], least: float) -> int:
    """The first number of seeds, from 1, at which a curve has reached a value; all of them if it never does."""
    known = list(curve)
    return next((n for n, value in enumerate(known, start=1) if value >= least), len(known))


def indicators() -> Finding:
    """What choosing a seed without labels, or letting all vote, gains over the mean of the seeds."""
    found = guide.configurations()
    lines, voted = guide.choices(found), guide.consensuses(found)
    of_bound = lines[lines.indicator == "bound"]
    settings = [
        (
            np.array([one.indicators["bound"].mean() for one in group]),
            np.array([one.accuracies.mean() for one in group]),
        )
        for group in guide.alike(found)
    ]
    told_apart = [(bounds, reached) for bounds, reached in settings if not np.isnan(bounds).any()]
    worst = sum(guide.chosen(bounds, reached) == reached.min() for bounds, reached in told_apart)
    best = sum(guide.chosen(bounds, reached) == reached.max() for bounds, reached in told_apart)
    drawn = {
        title: {str(data): gains.tolist() for data, gains in of.groupby("data", sort=False).gain}
        for title, of in (("the highest bound", of_bound), ("the consensus", voted))
    }
    gain, of_vote = (Summary.of(guide.gain_of_data_sets(of).tolist()) for of in (of_bound, voted))
    most, n_most = next(iter(of_bound.data.value_counts().items()))
    told = (
        f"With each of the {gain.n} data sets counted once, the seed with the highest bound on validation data is "
        f"{with_ends(gain)} points more accurate than the mean of its seeds; the interval excludes zero on "
        f"{guide.clear_of_zero(of_bound)} alone. Over all {len(of_bound)} configurations, {n_most} on "
        f"{most}, it is {guide.interval_of(of_bound.gain)}; this interval is too narrow, because "
        f"configurations are not independent. The consensus of all seeds gains {with_ends(of_vote)} points with each "
        f"of {of_vote.n} data sets counted once; its interval excludes zero on "
        f"{guide.clear_of_zero(voted)}. Between settings the bound can mislead: of {len(told_apart)} groups "
        f"of settings it chose the one with the highest accuracy in {best} and the one with the lowest in {worst}."
    )
    line = (
        f"gains **{with_ends(gain)} points** with each data set counted once (interval above zero on "
        f"{guide.clear_of_zero(of_bound)}); a vote of all seeds gains {with_ends(of_vote)} (on "
        f"{guide.clear_of_zero(voted)})."
    )
    clear = {str(data) for data, of in of_bound.groupby("data") if _clear(Summary.of(of.gain.tolist()))}
    holds = dataset_title("arcs") in clear and not _clear(gain) and 3 * worst >= len(told_apart)
    return Finding("indicators", "Keeping the seed with the highest bound", line, told, drawn, holds)


def arcs() -> Finding:
    """How often GMVAE finds the arcs, by weights, seed and batch normalisation."""
    rows = {name: _runs(f"gmvae-figure2/{name}") for name in ARCS}
    drawn = {
        short(runs).replace("with batch normalisation", "BN").replace(", ", "\n"): values(runs, phases.ARI)
        for runs in rows.values()
    }
    plain, normalised = values(rows["eta1-alpha2"], phases.ARI), values(rows["eta1-alpha2-bn"], phases.ARI)
    reach, reach_of_bn = (sum(value >= phases.FOUND for value in of) for of in (plain, normalised))
    apart, apart_with_bn = (
        sum(value >= UNMERGED for value in values(rows[name], MANY_TO_ONE))
        for name in ("eta1-alpha2", "eta1-alpha2-bn")
    )
    planes = phases.planes(Asked(), "plain,bn")
    indices = {kind: {pair: values(runs, phases.ARI) for pair, runs in of.items()} for kind, of in planes.items()}
    some = {kind: {pair for pair, of in cells.items() if max(of) >= phases.FOUND} for kind, cells in indices.items()}
    medians = {
        pair: (float(np.median(of)), float(np.median(indices["bn"][pair])))
        for pair, of in indices["plain"].items()
        if pair in indices["bn"]
    }
    rises = [after - before for before, after in medians.values()]
    told = (
        f"{_size(rows['eta1-alpha2'])} for each pair of weights. With η = 1 and α = 2 "
        f"the adjusted Rand index lies between {min(plain):.0f} and {max(plain):.0f}, and {reach} of {len(plain)} "
        f"seeds find the arcs (an index of {phases.FOUND} at least). With batch normalisation (BN) the "
        f"median rises from {np.median(plain):.0f} to {np.median(normalised):.0f}, and {reach_of_bn} of "
        f"{len(normalised)} seeds find them. No two arcs share a component in {apart} of the seeds without BN and in "
        f"{apart_with_bn} with it. On the map of {len(medians)} pairs of weights "
        f"({_profile(planes['plain'][next(iter(medians))])}) some seed finds the arcs at {len(some['plain'])} pairs "
        f"without BN and at {len(some['bn'])} with it. BN raises {sum(rise > 2 for rise in rises)} of the "
        f"medians by more than 2 points and lowers {sum(rise < -2 for rise in rises)}."
    )
    line = (
        f"find the arcs with the paper's weights (indices from {min(plain):.0f} to {max(plain):.0f}); "
        f"with batch normalisation {reach_of_bn} of {len(normalised)} do, but {apart_with_bn} instead of {apart} keep "
        "all arcs apart."
    )
    rising = bool(np.median(normalised) > np.median(plain) + 10)
    holds = 0 < reach < len(plain) / 2 and reach_of_bn <= reach and rising and apart_with_bn > apart + 4
    return Finding("arcs", f"**{reach} of {len(plain)}** seeds of GMVAE", line, told, drawn, holds)


# ---- models


def control() -> Finding:
    """What CaGeM's clusters add to the likelihood, and what everything else does."""
    vae, one, five, ten, twenty, lvae = CONTROL
    panels: dict[str, dict[str, Runs]] = {}
    for profile in reversed(WITHOUT_DEMO):
        found = {name: _runs(f"cagem-table1/{row}@{profile}") for name, row in CONTROL.items()}
        panels[profile] = {name: runs for name, runs in found.items() if runs}
    gains = {
        profile: exceeding(found[ten], found[one], LOG_LIKELIHOOD)
        for profile, found in panels.items()
        if found.keys() >= {one, ten}
    }
    largest, beside_vae = list(gains)[-1], [profile for profile in gains if vae in panels[profile]][-1]
    rest = exceeding(panels[beside_vae][one], panels[beside_vae][vae], LOG_LIKELIHOOD)
    lead = exceeding(panels[beside_vae][ten], panels[beside_vae][vae], LOG_LIKELIHOOD)
    level = exceeding(panels[largest][ten], panels[largest][lvae], LOG_LIKELIHOOD)
    others = " and from ".join(
        f"{number} by {with_ends(exceeding(panels[largest][ten], panels[largest][other], LOG_LIKELIHOOD), 2)}"
        for number, other in (("five", five), ("twenty", twenty))
        if other in panels[largest]
    )
    used = [
        value
        for name in (five, ten, twenty)
        if name in panels[largest]
        for value in values(panels[largest][name], USED)
    ]
    told = (
        "With one cluster, CaGeM has the same layers and training, without the class as an input. "
        "With ten clusters the log-likelihood is higher by "
        f"{' and '.join(f'{with_ends(gain, 2)} nats at profile `{name}`' for name, gain in gains.items())} "
        f"({len(panels[largest][ten])} seeds each, Welch's 95 % intervals). Ten clusters differ from "
        f"{others} (`{largest}`), where a seed uses {min(used)} to {max(used)} of them. The two-layer VAE of the "
        f"poster's table has its own networks and training. At profile `{beside_vae}` it lies {with_ends(lead, 2)} "
        f"nats below ten clusters, and {with_ends(rest, 2)} nats below one cluster. LVAE has no clusters; "
        f"ten clusters differ from it by {with_ends(level, 2)} nats (`{largest}`)."
    )
    line = (
        f"add **{with_ends(gains[largest], 2)} nats** (`{largest}`); of the {lead.mean:.2f} by which the model leads a "
        f"VAE, {rest.mean:.2f} are there with one cluster (`{beside_vae}`)."
    )
    drawn = {
        f"profile {profile}": {name: values(runs, LOG_LIKELIHOOD) for name, runs in found.items()}
        for profile, found in panels.items()
        if found
    }
    holds = _clear(gains[largest]) and gains[largest].mean > 0 and rest.mean > lead.mean / 2
    return Finding("control", "CaGeM's clusters", line, told, drawn, holds)


def nats() -> Finding:
    """What changes of protocol, precision and training do to the likelihood of CaGeM, beside a change of the model."""
    base = _runs(f"{BASE}@{BASE_PROFILE}")
    found = {name: _runs(f"{place}@{BASE_PROFILE}") for name, place in CHANGES.items()}
    pairs = {name: paired(runs, base) for name, runs in found.items()}
    unpaired = {name: exceeding(runs, base, LOG_LIKELIHOOD) for name, runs in found.items()}
    drawn = {
        name: (_differences(runs, base), _ends(pairs[name]), _ends(unpaired[name])) for name, runs in found.items()
    }
    printed = [row.reported[0].mean for row in load("cagem-table1").rows.values() if row.reported]
    gaps = [above - below for below, above in pairwise(sorted(mean for mean in printed if mean is not None))]
    cost = paired(base, found[DIVISOR])
    smaller = sum(gap < cost.mean for gap in gaps)
    sharper = np.ptp(_ends(unpaired[DIVISOR])) / np.ptp(_ends(cost))
    told = (
        f"{_size(base)}, CaGeM-0 with ten clusters on MNIST. Trained and tested on grey values divided by 256 instead "
        f"of 255, it loses {with_ends(cost, 2)} nats. This is more than the difference of {smaller} of {len(gaps)} "
        f"pairs of neighbouring numbers in the poster's Table 1. Products in float32 change the log-likelihood by "
        f"{with_ends(pairs[PRECISION], 2)}, and training with one class summed and one drawn, in place of "
        f"all ten, by {with_ends(pairs[SUMS], 2)}. {IN_PAIRS} Without pairs (Welch's) the interval for the "
        f"divisor is {sharper:.1f} times as wide, {with_ends(exceeding(base, found[DIVISOR], LOG_LIKELIHOOD), 2)}."
    )
    line = (
        f"cost CaGeM **{with_ends(cost, 2)} nats** (`{BASE_PROFILE}`), more than separates {smaller} of {len(gaps)} "
        "neighbours in its Table 1."
    )
    small = all(abs(pairs[name].mean) < 0.1 and not _clear(pairs[name]) for name in (PRECISION, SUMS))
    holds = _clear(cost) and cost.mean > 0 and 2 * smaller > len(gaps) and small and sharper > 2
    return Finding("nats", "Grey values over 256 in place of 255", line, told, drawn, holds)


def paired(runs: Runs, others: Runs) -> Summary:
    """Difference of the log-likelihoods of two rows, seed by seed: its mean with the 95 % interval of pairs.

    Runs with the same seed share initial weights, the order of the images and noise as far as their networks are alike,
    so a part of what seeds differ in cancels.

    Raises:
        ValueError: if the two do not have the same seeds.
    """
    if [run.seed for run in runs] != [run.seed for run in others]:
        raise ValueError(f"{runs.row.label} and {others.row.label} have other seeds, so they cannot be paired.")
    return Summary.of(np.subtract(values(runs, LOG_LIKELIHOOD), values(others, LOG_LIKELIHOOD)).tolist())


def labels() -> Finding:
    """What each way to let labels in does to the likelihood of CaGeM-100."""
    drawn, means, found = {}, {}, {}
    for profile in ("quick", "demo"):
        base = _runs(f"{BASE}@{profile}")
        found[profile] = rows = {
            row.label.removesuffix(WEIGHT): _runs(f"{row.place}@{profile}")
            for row in load("cagem-labels").runnable
            if row.label.endswith(WEIGHT)
        }
        drawn[f"{dataset_title(base[0].data['name'])}, profile {profile}"] = {
            re.sub("cross-entrop(y|ies) of ", "", name): _differences(runs, base) for name, runs in rows.items()
        }
        means[profile] = {name: paired(runs, base) for name, runs in rows.items()}
    on_mnist, on_digits = means["quick"], means["demo"]
    best, worst = (choice(on_mnist, key=lambda name: on_mnist[name].mean) for choice in (max, min))
    unpaired = exceeding(found["quick"][best], _runs(f"{BASE}@quick"), LOG_LIKELIHOOD)
    table = load("cagem-table1")
    with_labels, without = (table.row(name).reported[0].mean or math.nan for name in ("cagem-100", "cagem-0-k10"))
    told = (
        f"{_size(_runs(f'{BASE}@quick'))}, on MNIST with the same hundred labels. Against the model without labels, "
        f"the four objectives change the log-likelihood by {with_ends(on_mnist[best], 2)} nats ({best}) to "
        f"{with_ends(on_mnist[worst], 2)} ({worst}). {IN_PAIRS} Without pairs (Welch's) the first is "
        f"{with_ends(unpaired, 2)}. In the poster a hundred labels gain "
        f"{with_labels - without:.2f} nats. On the small digits (profile `demo`) all four gain, "
        f"{min(of.mean for of in on_digits.values()):.2f} to {max(of.mean for of in on_digits.values()):.2f} nats; the "
        f"worst on MNIST gains {with_ends(on_digits[worst], 2)}."
    )
    longer = {name: Runs.published(load("cagem-labels").row(name), "long") for name in ("ce-q-0.1", "ce-pq-0.1")}
    if all(longer.values()):
        of_q = exceeding(longer["ce-q-0.1"], longer["ce-pq-0.1"], LOG_LIKELIHOOD)
        told += f" At `long` that of q alone is {with_ends(of_q, 2)} nats above both."
    apart = on_mnist[best].mean - on_mnist[worst].mean
    line = (
        f"end **{apart:.1f} nats** apart, from {signed(on_mnist[best].mean, 2)} to {signed(on_mnist[worst].mean, 2)} "
        "against the model without labels (`quick`)."
    )
    ends = (on_mnist[best], on_mnist[worst], on_digits[worst])
    holds = all(map(_clear, ends)) and [of.mean > 0 for of in ends] == [True, False, True]
    return Finding("labels", "Four ways to use the same hundred labels", line, told, drawn, holds)


def today() -> Finding:
    """The model of "Is Simple Better?" beside a mixture after UMAP and beside k-means."""
    ladders = {name: {rung.method: rung for rung in ladder.rungs(name) if rung.fitted} for name in ladder.DATA}
    leads = {name: _lead(found, NAMED[name]) for name, found in ladders.items()}
    titles = {name: _data(found[DEEP].fitted) for name, found in ladders.items()}
    drawn = {
        titles[name]: {
            _called(found[method].fitted): values(found[method].fitted, HUNGARIAN)
            for method in SHOWN
            if method in found
        }
        for name, found in ladders.items()
    }
    blind, of_blind = ladders[CHOSEN_ON][NOT_CHOSEN], _lead(ladders[CHOSEN_ON], NOT_CHOSEN)
    told = []
    for name, found in ladders.items():
        beside = [f"{_costing(found[method])}, {with_ends(_lead(found, method))}" for method in SIMPLE]
        told.append(f"On {titles[name]}: {_costing(found[DEEP])}; {'; '.join(beside)}.")
    text = (
        f"Test accuracy of {len(ladders[CHOSEN_ON][DEEP].fitted)} seeds each (core-minutes), and the difference from "
        f"the model of *Is Simple Better?*, in points. {' '.join(told)} The GMM's ten starts were chosen by "
        f"labels of all points of USPS, test points among them. {blind.label}, chosen without labels, has "
        f"{blind.accuracy:.1f} % there, {with_ends(of_blind)} above the model."
    )
    said = {name: f"{ladders[name][NAMED[name]].label} {_more(lead)} on {titles[name]}" for name, lead in leads.items()}
    said[CHOSEN_ON] += f" (ten starts chosen with test labels; {blind.label} {_more(of_blind)})"
    first, *others = sorted(said, key=lambda name: -leads[name].mean)
    line = f"against the deep model, in points: **{said[first]}**, {', '.join(said[name] for name in others)}."
    holds = all(_clear(lead) and lead.mean > 0 for lead in (*leads.values(), of_blind))
    return Finding("today", "Simple methods", line, text, drawn, holds)


def _lead(found: Mapping[str, ladder.Rung], method: str) -> Summary:
    """What a method on some data is more accurate than the deep model there, in points."""
    return exceeding(found[method].fitted, found[DEEP].fitted, HUNGARIAN)


def _more(lead: Summary) -> str:
    """How much more, in points, with its sign."""
    return "+" * (lead.mean > 0) + signed(lead.mean, 1)


def _costing(rung: ladder.Rung) -> str:
    """A method with its accuracy and the processor time of a seed in minutes."""
    return f"{rung.label} {rung.accuracy:.1f} % ({np.median(rung.minutes):.2g})"


# ---- records and numbers


def _runs(place: str) -> Runs:
    """Published records of an ``experiment/row`` or ``experiment/row@profile``; none if it was not run."""
    place, _, profile = place.partition("@")
    row = row_of(place)
    return Runs.published(row, parse_profile(profile) if profile else None)


def _called(runs: Runs) -> str:
    """Label of a row, with the profile of its records unless it is ``paper``."""
    profile = profile_of(runs.row, runs[0].config)
    return short(runs) if profile == "paper" else f"{short(runs)} ({profile})"


def _profile(runs: Runs) -> str:
    return f"`{profile_of(runs.row, runs[0].config)}`"


def _size(runs: Runs) -> str:
    """How many seeds, and at which profile."""
    return f"{len(runs)} seeds at profile {_profile(runs)}"


def _data(runs: Runs) -> str:
    """Title of the data of records; surrogate data are called so."""
    surrogate = data_of(runs.row, runs[0])[0] == "surrogate"
    return dataset_title(runs[0].data["name"]) + guide.SURROGATE * surrogate


def _mean(runs: Runs, metric: str) -> float:
    return summarise(runs, metric).mean


def _differences(runs: Runs, base: Runs) -> list[float]:
    """What each seed's log-likelihood lies above that of the same seed of another row, in nats."""
    return [float(apart) for apart in np.subtract(values(runs, LOG_LIKELIHOOD), values(base, LOG_LIKELIHOOD))]


def _ends(summary: Summary) -> tuple[float, float]:
    """Ends of an interval, which are the mean itself where there is none."""
    return summary.interval or (summary.mean, summary.mean)


def _clear(summary: Summary) -> bool:
    """Whether the interval excludes zero."""
    return summary.interval is not None and bool(summary.interval[0] * summary.interval[1] > 0)
