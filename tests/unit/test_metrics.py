"""What metrics are called: every one that is measured or reported, and none besides."""

import re

import pytest

from genclust.experiments import declaration
from genclust.experiments.store import published
from genclust.metrics import METRICS, PARTS, heading, known, named, title
from genclust.settings import SettingError


def test_every_published_and_every_reported_metric_is_known():
    measured = {name for record in published().every() for name in record.metrics}
    rows = [row for name in declaration.names() for row in declaration.load(name).rows.values()]
    reported = {number.metric for row in rows for number in row.reported}
    assert len(measured) > 200 and len(reported) > 15
    assert [name for name in sorted(measured | reported) if known(name) is None] == []


def test_every_metric_is_in_words_and_a_family_says_what_its_members_differ_in():
    for form, metric in METRICS.items():
        parts = set(re.findall(r"\{(\w+)\}", form))
        assert parts <= PARTS.keys() and parts - {"kind"} == set(re.findall(r"\{(\w+)\}", metric.title)), form
        assert metric.title and metric.heading, form


@pytest.mark.parametrize(
    ("name", "in_words", "at_the_head", "decimals", "direction"),
    [
        ("test.acc_hungarian", "accuracy, Hungarian (%)", "ACC (Hungarian), test", 1, "higher"),
        ("all.nmi_geometric", "NMI, geometric (%), all points", "NMI (geometric), all", 1, "higher"),
        ("test.acc_exemplar_best", "accuracy, exemplar, best run (%)", "best run, ACC (exemplar), test", 1, "higher"),
        ("test.knn_error_x_hat_3", "kNN error, k = 3, on x̂ (%)", "k = 3", 2, "lower"),
        ("test.knn_error_z_mean_10", "kNN error, k = 10, on the mean of z (%)", "k = 10", 2, "lower"),
        ("test.knn_error_10", "kNN error, k = 10 (%)", "k = 10", 2, "lower"),
        ("test.log_likelihood", "log-likelihood (nats)", "log-likelihood, test", 2, "higher"),
        ("test.leading_y", "number of attributes", "attributes that lead, test", 1, "higher"),
        (
            *("test.acc_many_to_one_y3_ink", "accuracy, many-to-one, of ink by y3 (%)"),
            *("ACC (many-to-one) of ink by y3, test", 1, "higher"),
        ),
    ],
)
def test_names(name, in_words, at_the_head, decimals, direction):
    assert (title(name), heading(name)) == (in_words, at_the_head)
    assert (named(name).decimals, named(name).direction) == (decimals, direction)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("test.acc_hungarain", "did you mean 'test.acc_hungarian'?"),
        ("all.nmi_geo", "did you mean 'all.nmi_geometric'?"),
        ("test.acc_many_to_one_ink", "did you mean 'test.acc_many_to_one'?"),
    ],
)
def test_an_unknown_metric_is_refused_with_the_nearest(name, hint):
    for ask in (named, title, heading):
        with pytest.raises(SettingError, match=re.escape(f"There is no metric '{name}'; {hint}")):
            ask(name)
    assert known(name) is None
