"""Claims: the rule on records whose truth is known, what counts as run alike, and the declared ones."""

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from genclust.experiments import claims, declaration
from genclust.experiments.claims import FAILS, HOLDS, IN_PART, UNKNOWN
from genclust.experiments.declaration import Condition, Row
from genclust.experiments.store import Record, Store, StoreError
from genclust.experiments.verdicts import Summary
from genclust.pages import overview

verdicts = import_module("genclust.experiments.verdicts")  # the package has a function of that name
TABLE = declaration.load("cagem-table1")
METRIC = "test.log_likelihood"
MORE = Condition("cagem-100", METRIC, above=0.3, over="cagem-50")
DECLARED = [
    (experiment, claim) for experiment in map(declaration.load, declaration.names()) for claim in experiment.claims
]


@pytest.fixture
def publish(tmp_path, monkeypatch) -> Callable[..., None]:
    """Write records of a row with these values, one a seed, to a published store of the test's own."""
    store = Store(tmp_path)
    monkeypatch.setattr(verdicts, "published", lambda: store)

    def write(row: Row, profile: declaration.Profile, values, data="mnist", digest="0" * 64, **metrics) -> None:
        about = {"name": data, "digest": digest, "variant": "", "sizes": {"test": 100}}
        for seed, value in zip(row.seeds(profile), values, strict=False):
            scores = {METRIC: float(value), "test.binarisation_seed": 0.0, "test.log_likelihood_samples": 500.0}
            config = asdict(row.config(profile))
            store.write(Record(config, seed, scores | metrics, [], {}, None, about, {}, 1.0), {})

    return write


def sample(mean: float, n: int = 3) -> np.ndarray:
    return mean + np.linspace(-1, 1, n)


@pytest.mark.parametrize("apart", np.linspace(-4, 4, 33))
def test_a_difference_is_told_where_student_and_welch_tell_it(publish, apart):
    """With equal spreads and numbers of seeds Welch's interval is that of Student with four degrees of freedom."""
    publish(TABLE.row("cagem-100"), "long", sample(-90 + apart))
    publish(TABLE.row("cagem-50"), "long", sample(-90))
    evidence = claims.weigh(TABLE, MORE)
    half = stats.t.ppf(0.975, 4) * np.sqrt(2 / 3)
    assert evidence.measured.interval == pytest.approx((apart - half, apart + half))
    assert evidence.verdict == (HOLDS if apart - half > 0.3 else FAILS if apart + half < 0.3 else UNKNOWN)
    other_way = claims.weigh(TABLE, replace(MORE, above=None, below=0.3))
    assert other_way.verdict == {HOLDS: FAILS, FAILS: HOLDS, UNKNOWN: UNKNOWN}[evidence.verdict]
    assert (evidence.profile, evidence.row.name, evidence.over.name) == ("long", "cagem-100", "cagem-50")


@pytest.mark.parametrize(("profile", "decides"), [("quick", False), ("long", True)])
def test_a_quick_run_is_shown_and_decides_in_neither_direction(publish, profile, decides):
    publish(TABLE.row("cagem-50"), profile, sample(-90))
    for apart, side in ((9, HOLDS), (-9, FAILS)):
        publish(TABLE.row("cagem-100"), profile, sample(-90 + apart))
        evidence = claims.weigh(TABLE, MORE)
        assert (evidence.profile, evidence.measured.mean) == (profile, pytest.approx(apart))
        assert evidence.verdict == (side if decides else UNKNOWN)


@pytest.mark.parametrize("mean", np.linspace(20, 40, 21))
def test_a_mean_alone_is_told_by_its_interval(mean):
    values = mean + np.array([-3.0, 0, 1, 2])
    low, high = stats.ttest_1samp(values, 0).confidence_interval()
    expected = HOLDS if high < 30 else FAILS if low > 30 else UNKNOWN
    assert claims.side(Summary.of(values), Condition("row", "test.ari", below=30)) == expected


def test_no_interval_of_an_accuracy_is_shown_beyond_a_hundred(publish):
    table, condition = declaration.load("simple-table1"), Condition("proposed-mnist", "test.acc_hungarian", above=50)
    publish(table.row("proposed-mnist"), "quick", sample(0), **{"test.acc_hungarian": 90.0})
    evidence = claims.weigh(table, condition)
    for scores, shown in (([70.0, 99.0, 92.0], "87.0 [49.4, 100.0] %"), ([70.0, 71.0, 72.0], "71.0 [68.5, 73.5] %")):
        _, value, *_ = claims.in_words(replace(evidence, measured=Summary.of(scores)))
        assert value == shown


def test_a_single_seed_tells_nothing():
    assert claims.side(Summary.of([90.0]), Condition("row", "test.ari", above=10)) == UNKNOWN


def test_seeds_that_all_agree_have_an_interval_without_width(publish):
    publish(TABLE.row("cagem-100"), "long", [-80.0] * 3)
    publish(TABLE.row("cagem-50"), "long", [-81.0] * 3)
    evidence = claims.weigh(TABLE, MORE)
    assert (evidence.measured.interval, evidence.verdict) == ((1.0, 1.0), HOLDS)


def test_a_difference_is_judged_at_the_most_faithful_profile_of_both_rows(publish):
    """One row at profile long beside another at quick is no pair; nor is one with a seed missing."""
    row, other = TABLE.row("cagem-100"), TABLE.row("cagem-50")
    for of, profile, expected in (
        (row, "quick", None),
        (row, "long", None),
        (row, "paper", None),
        (other, "quick", "quick"),
        (other, "long", "long"),
    ):
        publish(of, profile, sample(-90))
        assert claims.weigh(TABLE, MORE).profile == expected
    publish(other, "paper", [-90.0])
    assert claims.weigh(TABLE, MORE).profile == "long"
    publish(other, "demo", sample(-90))
    publish(other, "paper", sample(-90))
    assert claims.weigh(TABLE, MORE).profile == "paper"


def test_demo_is_no_evidence(publish):
    publish(TABLE.row("cagem-100"), "demo", sample(-80))
    publish(TABLE.row("cagem-50"), "demo", sample(-90))
    evidence = claims.weigh(TABLE, MORE)
    assert (evidence.profile, evidence.measured, evidence.verdict) == (None, None, UNKNOWN)


@pytest.mark.parametrize(
    "unlike",
    [{"digest": "1" * 64}, {"test.binarisation_seed": 1.0}, {"test.log_likelihood_samples": 5000.0}],
)
def test_rows_that_were_not_evaluated_alike_are_not_compared(publish, unlike):
    publish(TABLE.row("cagem-100"), "long", sample(-80))
    publish(TABLE.row("cagem-50"), "long", sample(-90), **unlike)
    assert claims.weigh(TABLE, MORE).verdict == UNKNOWN
    publish(TABLE.row("cagem-50"), "long", sample(-90))
    assert claims.weigh(TABLE, MORE).verdict == HOLDS


@pytest.mark.parametrize("of", ["cagem-100", "cagem-50"])
def test_no_claim_is_judged_without_the_seed_that_diverged(publish, of):
    """Not at the profile where it diverged, and not quietly at another."""
    for row in ("cagem-100", "cagem-50"):
        for profile in ("paper", "quick"):
            publish(TABLE.row(row), profile, sample(-80))
    assert claims.weigh(TABLE, MORE).profile == "paper"
    store = verdicts.published()
    record = store.read(TABLE.row(of).config("paper"), TABLE.row(of).seeds("paper")[0])
    lost = {name: value for name, value in record.metrics.items() if name != METRIC}
    store.write(replace(record, metrics=lost, failed_at_step=9), {})
    with pytest.raises(StoreError, match=f"Seed {record.seed} diverged at step 9 and has no test.log_likelihood"):
        claims.weigh(TABLE, MORE)


def test_how_bits_were_drawn_matters_to_likelihoods_alone():
    records = [SimpleNamespace(data={"digest": "0", "sizes": {}}, config={"model": {}}, metrics={"test.ari": 1.0})]
    others = [SimpleNamespace(**vars(records[0]) | {"metrics": {"test.ari": 2.0, "test.binarisation_seed": 0.0}})]
    assert claims.alike(records, others, "test.ari")
    assert not claims.alike(records, others, "test.nmi_geometric"), "neither has it"


def test_a_mean_alone_is_judged_where_it_may_be_compared_with_the_papers(publish):
    table, condition = declaration.load("simple-table1"), Condition("proposed-mnist", "test.acc_hungarian", above=50)
    row, score = table.row("proposed-mnist"), {"test.acc_hungarian": 90.0}
    for profile in ("quick", "long"):
        if profile in row.profiles:
            publish(row, profile, sample(0), **score)
            evidence = claims.weigh(table, condition)
            assert (evidence.profile, evidence.measured.mean, evidence.verdict) == (profile, 90.0, UNKNOWN)
    publish(row, "paper", sample(0, 10), data="usps", **score)
    evidence = claims.weigh(table, condition)
    assert (evidence.profile, evidence.fidelity, evidence.verdict) == ("paper", "surrogate", UNKNOWN)
    publish(row, "paper", sample(0, 10), **score)
    assert claims.weigh(table, condition).verdict == HOLDS


def test_a_difference_on_surrogate_data_is_judged_and_says_so(publish):
    table = declaration.load("simple-table1")
    condition = Condition("proposed-reuters", "test.acc_hungarian", above=0, over="kmeans-reuters")
    for name, score in (("proposed-reuters", 50), ("kmeans-reuters", 70)):
        spread = {"test.acc_hungarian": float(score)}
        publish(table.row(name), "paper", sample(0, 10), data="rcv1_10k", **spread)
    evidence = claims.weigh(table, condition)
    assert (evidence.fidelity, evidence.verdict) == ("surrogate", FAILS)


def test_the_first_pair_that_was_run_alike_counts(publish):
    """The paper's data, then a part of them, then what stands in for them, which has no profile that decides."""
    table = declaration.load("vlac-table1")
    condition = table.claims[0].conditions[0]
    for suffix, data, high, expected in (
        ("-crops", "house_numbers", 60.0, ("surrogate", UNKNOWN)),
        ("-10k", "svhn_10k", 20.0, ("subset", FAILS)),
        ("", "svhn", 60.0, ("exact", HOLDS)),
    ):
        profile = {"-crops": "quick", "-10k": "long", "": "paper"}[suffix]
        for name, score in (("vlac-one", high), ("gm-dgm", 30.0)):
            row = table.row(name + suffix)
            publish(row, profile, sample(0, len(row.seeds(profile))), data=data, **{"test.acc_many_to_one": score})
        evidence = claims.weigh(table, condition)
        assert (evidence.fidelity, evidence.verdict) == expected


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ([HOLDS, HOLDS], HOLDS),
        ([HOLDS, FAILS], IN_PART),
        ([HOLDS, UNKNOWN], IN_PART),
        ([FAILS, UNKNOWN], FAILS),
        ([FAILS, FAILS], FAILS),
        ([UNKNOWN, UNKNOWN], UNKNOWN),
    ],
)
def test_a_claim_follows_from_its_parts(parts, whole):
    assert claims.combined(parts) == claims.combined(parts[::-1]) == whole


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("nobody", "claim more: There is no row of mine, named by a condition, 'nobody'"),
        ("somewhere/one", "claim more: There is no experiment, named by a condition, 'somewhere'"),
        ("other", "claim more: The row other is quoted and never measured; write its number as the bound."),
    ],
)
def test_a_claim_about_a_row_that_is_not_there_is_refused(tmp_path, monkeypatch, row, message):
    (tmp_path / "experiments").mkdir()
    (tmp_path / "papers.yaml").write_text("simple: {title: Simple}\n")
    (tmp_path / "experiments" / "mine.yaml").write_text(
        "{paper: simple, table: T, title: T, rows: {one: {label: One, dataset: mnist, same_run_as: mine/run},"
        "run: {label: Run, dataset: mnist, settings: {data: {name: digits}, model: {name: kmeans, n_clusters: 10}}},"
        "other: {label: Other, dataset: mnist, quoted: true}},"
        "claims: {more: {claim: More., where: Section 1,"
        "holds_if: [{row: run, over: ROW, metric: test.ari, above: 0}]}}}"
    )
    path = tmp_path / "experiments" / "mine.yaml"
    monkeypatch.chdir(tmp_path)
    sound = path.read_text()
    path.write_text(sound.replace("ROW", row))
    with pytest.raises(declaration.SettingError) as refusal:
        declaration.load("mine")
    assert str(refusal.value).startswith(f"mine.yaml, {message}")


def test_every_paper_has_three_to_seven_claims():
    counts = Counter(experiment.paper for experiment, _ in DECLARED)
    assert set(counts) == set(overview.papers()) and all(3 <= count <= 7 for count in counts.values())


@pytest.mark.parametrize(("experiment", "claim"), DECLARED, ids=lambda one: one.name)
def test_a_declared_claim_is_about_rows_of_its_metric_and_the_bounds_of_its_rows(experiment, claim):
    assert claim.text.endswith(".")
    for condition in claim.conditions:
        for pair in condition.pairs:
            for place in filter(None, pair):
                name, _, row_name = place.rpartition("/")
                row = (declaration.load(name) if name else experiment).row(row_name)
                assert row.settings is not None
                for reported in row.reported:  # a bound that stands beside the row as well is the same
                    if reported.metric == condition.metric and not condition.over and reported.mean is None:
                        assert (reported.above, reported.below) == (condition.above, condition.below)


def test_the_verdicts_of_the_declared_claims_follow_from_their_evidence():
    judged = claims.judged_claims()
    assert [one.claim for one in claims.judged_claims("gmvae")] == [one.claim for one in judged if one.paper == "gmvae"]
    assert len({one.anchor for one in judged}) == len(judged) == len(DECLARED)
    for one in judged:
        assert one.verdict == claims.combined([part.verdict for part in one.evidence])
        for part in one.evidence:
            assert part.profile in (None, "quick", "long", "paper")
            assert (part.profile is None) is (part.measured is None)


def test_the_tallies_count_every_claim_and_every_number_of_a_paper_that_is_not_quoted():
    lines = pd.DataFrame(verdicts.verdicts())
    lines = lines[lines.reported_mean.notna()]
    assert sum(overview.tally_of_claims().values()) == len(DECLARED)
    second = lines.second_reading.astype(bool)
    again = [  # in another table, or with other data in place of the paper's
        *("baselines/kmeans-mnist-all", "baselines/kmeans-usps-all", "baselines/kmeans-reuters-all"),
        *("cagem-table1/iwae-k1", "cagem-table1/iwae-k50", "cagem-table2/vae-k50", "cagem-table2/iwae-k50"),
        *(
            f"vlac-table1/{row}-{data}"
            for row in ("vlac-one", "vlac-two", "gm-dgm")
            for data in ("crops", "10k", "extra")
        ),
    ]
    assert set(again) < set(lines.row)
    once = lines[~(lines.quoted.astype(bool) | second | lines.row.isin(again))]
    assert sum(overview.tally_of_numbers().values()) == len(once)
    assert lines[second].row.unique().tolist() == [
        *("baselines/gmm-full-mnist-all", "baselines/proposed-mnist-all", "baselines/idec-usps-all-library"),
        "baselines/proposed-usps-all",
        *("baselines/gmm-full-reuters-all", "baselines/proposed-reuters-all", "simple-table2/latent-mean"),
    ]


def test_a_number_of_two_rows_counts_once_by_the_row_that_was_judged(monkeypatch):
    by_row = {one.row: one for one in verdicts.verdicts()}
    kmeans = [by_row["baselines/kmeans-usps-all"], by_row["simple-table1/kmeans-usps"]]
    for of_rows, counted in (
        (("not run", "reproduced"), "reproduced"),
        (("reproduced", "smaller run"), "reproduced"),
        (("not reproduced", "reproduced"), "not reproduced"),  # the first that was judged
        (("not run", "smaller run"), "smaller run"),
    ):
        found = [replace(one, verdict=of_row) for one, of_row in zip(kmeans, of_rows, strict=True)]
        monkeypatch.setattr(overview, "verdicts", lambda found=found: found)
        assert overview.tally_of_numbers() == {counted: 1}


def test_the_papers_own_numbers_have_the_paper_its_interval_and_every_seed():
    numbers = {one.anchor: one for one in overview.own_numbers()}
    one = numbers["simple-table1-proposed-usps-test-acc-hungarian"]
    half = stats.t.ppf(0.975, 4) * 3 / np.sqrt(5)
    assert one.reported_interval == pytest.approx((72.58 - half, 72.58 + half))
    assert (one.paper, one.reported_mean, len(one.seeds)) == ("simple", 72.58, 10)
    assert np.mean(one.seeds) == pytest.approx(69.1978, abs=1e-3)
    best = numbers["gmvae-table1-gmvae-k10-m1-test-acc-exemplar-best"]
    assert best.reported_interval is None and max(best.seeds) == pytest.approx(73.44)
    rows = {one.row for one in numbers.values()}
    assert {"cagem-table1/cagem-100", "vlac-table1/vlac-one"} <= rows
    assert not rows & {"simple-table1/kmeans-usps", "cagem-table1/lvae-iw1", "vlac-table1/gm-dgm"}
