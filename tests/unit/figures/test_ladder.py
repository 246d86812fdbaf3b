"""Names beside the dots of accuracy against cost: each is there, and none covers a dot or another name."""

from itertools import combinations

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.text import Annotation

from genclust.figures import style
from genclust.figures.ladder import cost_panels

NAMES = ("k-means", "GMM, diagonal", "GMM, tied", "GMM, full", "Spectral clustering", "UMAP + k-means", "UMAP + GMM")
NAMES += ("AE + k-means", "AE + GMM", "N2D", "DEC", "IDEC", "DCN", "VaDE", "Proposed", "GMVAE (quick)", "CaGeM (long)")
NAMES += ("IMSAT", "Split and merge")


def crowded(seed):
    """As many methods as the fullest panel has, at costs and accuracies by chance, each with ten seeds."""
    random = np.random.default_rng(seed)
    drawn = {}
    for name in NAMES:
        cost, accuracy = 10 ** random.uniform(-0.5, 2), random.uniform(40, 99)
        drawn[name] = "family", cost * np.exp(0.1 * random.normal(size=10)), accuracy + 2 * random.normal(size=10)
    return drawn


@pytest.fixture(autouse=True)
def own_style():
    with mpl.rc_context():
        style.use()
        yield
        plt.close("all")


@pytest.mark.parametrize("seed", range(4))
def test_no_name_covers_another_or_a_dot_or_leaves_the_axes(seed):
    drawn = crowded(seed)
    figure = cost_panels({"MNIST": drawn}, ["family"])
    figure.canvas.draw()
    ax = figure.axes[0]
    names = [text for text in ax.texts if isinstance(text, Annotation)]
    assert sorted(text.get_text() for text in names) == sorted(NAMES)
    boxes = {text.get_text(): super(Annotation, text).get_window_extent() for text in names}
    assert [pair for pair in combinations(boxes, 2) if boxes[pair[0]].overlaps(boxes[pair[1]])] == []
    frame = ax.get_window_extent()
    assert all(frame.contains(*corner) for box in boxes.values() for corner in box.corners())
    for _, minutes, accuracies in drawn.values():
        dots = ax.transData.transform(np.stack([minutes, accuracies], axis=1))
        assert not any(box.contains(*dot) for box in boxes.values() for dot in dots)


def test_every_seed_is_a_dot_at_its_cost_on_a_logarithmic_axis():
    figure = cost_panels({"USPS": {"k-means": ("b", [1, 2, 40], [60, 61, 62])}}, ["a", "b"])
    ax = figure.axes[0]
    (dots,) = ax.lines
    assert dots.get_xydata().tolist() == [[1, 60], [2, 61], [40, 62]] and ax.get_xscale() == "log"
    assert dots.get_color() == style.CLASSES[1]
    assert ax.texts[0].xy == (2, 61)  # the median cost, which one slow seed does not move


def test_a_panel_without_records_says_so():
    figure = cost_panels({"MNIST": {}, "USPS": {"k-means": ("a", [1.0], [60.0])}}, ["a"])
    assert [text.get_text() for ax in figure.axes for text in ax.texts] == ["not run", "k-means"]
    figure.canvas.draw()


@pytest.mark.parametrize("of", [("unknown", [1.0], [60.0]), ("a", [0.0], [60.0])])
def test_what_cannot_be_drawn_is_refused(of):
    with pytest.raises(ValueError, match="k-means needs costs above 0"):
        cost_panels({"MNIST": {"k-means": of}}, ["a"])
