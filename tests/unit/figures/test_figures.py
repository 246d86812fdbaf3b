"""The axes hold what the arrays say, in colours that can be read and told apart."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import combinations, pairwise

import matplotlib as mpl
import numpy as np
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Circle, Ellipse, FancyArrowPatch, Rectangle
from matplotlib.text import Text

from genclust.figures import latent, layers, manifold, style
from genclust.figures.curves import accuracy_curves, bound_curves, curve_panels
from genclust.figures.diagrams import (
    HIDDEN,
    STOCHASTIC,
    architecture,
    cagem_graphical_model,
    gmvae_graphical_model,
    graphical_model,
    vlac_graphical_model,
)
from genclust.figures.findings import chance_curve, change_rows, score_panels, selection_panels
from genclust.figures.heat import heat_map, map_grid, stacked_maps
from genclust.figures.images import TITLE, as_pictures, grid_figure, image_grid
from genclust.figures.scatter import coloured_scatter, scatter_panels
from genclust.figures.seeds import row_panels, seed_rows, seeds_against_paper, stacked_rows
from genclust.figures.tails import TailPanel, prediction_figure, tail_panels


@pytest.fixture
def ax() -> Iterator[Axes]:
    with mpl.rc_context():
        style.use()
        figure, axes = plt.subplots()
        yield axes
        figure.canvas.draw()  # whatever was drawn can be rendered
        plt.close(figure)


# ---- style


def linear(color: str) -> np.ndarray:
    rgb = np.array(to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def contrast(a: str, b: str) -> float:
    low, high = sorted(float(linear(color) @ [0.2126, 0.7152, 0.0722]) for color in (a, b))
    return (high + 0.05) / (low + 0.05)


PAGES = ("#ffffff", "#121212")

# How dichromats see linear RGB (Machado, Oliveira and Fernandes, 2009, severity 1)
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def oklab(rgb: np.ndarray) -> np.ndarray:
    lms = np.cbrt(
        np.array(
            [
                [0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005],
            ]
        )
        @ rgb.clip(0, 1)
    )
    lab = np.array(
        [
            [0.2104542553, 0.7936177850, -0.0040720468],
            [1.9779984951, -2.4285922050, 0.4505937099],
            [0.0259040371, 0.7827717662, -0.8086757660],
        ]
    )
    return lab @ lms


@pytest.mark.parametrize("page", PAGES)
def test_ink_and_classes_stand_out_on_light_and_dark_pages(page: str) -> None:
    ink, paper = (color if page == PAGES[0] else style.ON_DARK[color] for color in (style.INK, style.PAPER))
    assert min(contrast(ink, page), contrast(ink, paper)) > 7
    assert min(contrast(color, page) for color in style.CLASSES) > 2.2


def test_every_text_is_rendered_in_the_ink_of_a_dark_page_and_areas_keep_their_colours() -> None:
    with mpl.rc_context():
        style.use()
        figure, ax = plt.subplots()
        ax.bar([0], [1], color=style.CLASSES[0])
        ax.text(0, 0, "on ink", color=style.PAPER)
        drawn = io.StringIO()
        figure.savefig(drawn, format="svg")
        plt.close(figure)
    light, dark = drawn.getvalue(), style.on_dark(drawn.getvalue())
    assert light.count(style.INK) > 10 and light.count(style.PAPER) == 1
    assert style.INK not in dark and style.PAPER not in dark
    assert dark.count(style.CLASSES[0]) == light.count(style.CLASSES[0])


def test_small_text_has_nine_pixels_on_a_phone(ax: Axes) -> None:
    small = ax.text(0, 0, "small", fontsize="small").get_fontsize()
    assert small / 72 * 96 * style.SHRINKS >= 9


@pytest.mark.parametrize("sight", SIGHT)
def test_classes_can_be_told_apart(sight: str) -> None:
    seen = [oklab(SIGHT[sight] @ linear(color)) for color in style.CLASSES]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 0.1


@pytest.mark.parametrize("fill", [STOCHASTIC, HIDDEN])
def test_filled_shapes_carry_white_text_on_both_pages(fill: str) -> None:
    assert contrast(fill, "white") > 5
    assert min(contrast(fill, page) for page in PAGES) > 3


def test_observed_variables_are_written_in_the_colour_of_the_page(ax: Axes) -> None:
    gmvae_graphical_model(ax, ax.figure.add_subplot())
    circles = [patch for patch in ax.patches if isinstance(patch, Circle)]
    filled = {patch.center for patch in circles if to_hex(patch.get_facecolor(), keep_alpha=True) == style.INK + "ff"}
    on_ink = {text.get_position() for text in ax.texts if text.get_color() == style.PAPER}
    assert filled == on_ink != set()


@pytest.mark.parametrize("at", np.linspace(0, 1, 21))
def test_numbers_on_a_heat_map_can_be_read(ax: Axes, at: float) -> None:
    heat_map(ax, np.array([[at]]), ["row"], ["column"], (0, 1))
    assert contrast(to_hex(mpl.colormaps["cividis"](at)), ax.texts[0].get_color()) >= 4.5


def test_negative_numbers_have_a_true_minus_sign(ax: Axes) -> None:
    heat_map(ax, np.array([[-1.25]]), ["row"], ["column"], (-2, 2), decimals=1)
    assert ax.texts[0].get_text() == "−1.2"
    heat_map(ax, np.array([[-0.04]]), ["row"], ["column"], (-2, 2), decimals=1)
    assert ax.texts[1].get_text() == "0.0"


def test_use_makes_figures_transparent(ax: Axes) -> None:
    assert to_hex(ax.figure.get_facecolor(), keep_alpha=True)[-2:] == "00"
    assert to_hex(ax.get_facecolor(), keep_alpha=True)[-2:] == "00"


@pytest.mark.parametrize(("output", "mime"), [("svg", "image/svg+xml"), ("retina", "image/png")])
def test_use_sets_the_format_of_notebooks(output: str, mime: str) -> None:
    shells = pytest.importorskip("IPython.core.interactiveshell")
    shell = shells.InteractiveShell.instance()
    try:
        with mpl.rc_context():
            style.use(output)  # type: ignore[arg-type]
        formatters = shell.display_formatter.formatters
        drawn = {name for name, formatter in formatters.items() if mpl.figure.Figure in formatter.type_printers}
        assert drawn == {mime}
    finally:
        shells.InteractiveShell.clear_instance()


# ---- curves


def test_curves_show_mean_range_and_every_seed(ax: Axes) -> None:
    rng = np.random.default_rng(0)
    epochs = np.array([1, 5, 20, 50])
    curves = {"a": rng.uniform(0, 50, (3, 4)), "b": rng.uniform(50, 90, (5, 4))}
    accuracy_curves(ax, curves, epochs)

    assert len(ax.lines) == 3 + 1 + 5 + 1
    means = {line.get_label(): line.get_ydata() for line in ax.lines if not str(line.get_label()).startswith("_")}
    assert list(means) == ["a", "b"]
    for (name, values), band in zip(curves.items(), ax.collections, strict=True):
        np.testing.assert_allclose(means[name], values.mean(axis=0))
        vertices = band.get_paths()[0].vertices
        for i, epoch in enumerate(epochs):
            heights = vertices[vertices[:, 0] == epoch, 1]
            assert heights.min() == pytest.approx(values[:, i].min())
            assert heights.max() == pytest.approx(values[:, i].max())
    thin = np.array([line.get_ydata() for line in ax.lines if str(line.get_label()).startswith("_")])
    np.testing.assert_allclose(thin, np.concatenate(list(curves.values())))
    assert ax.get_ylabel() == "Accuracy (%)"
    assert "3 to 5 seeds" in ax.get_title(loc="left")


@pytest.mark.parametrize("height", [2.5, 5])
@pytest.mark.parametrize("start", [80, 0])
def test_names_of_curves_neither_overlap_nor_cover_data_nor_cross(ax: Axes, height: float, start: float) -> None:
    ax.figure.set_size_inches(5, height)
    curves = {f"curve {i}": np.array([[0.0, start + 0.1 * (-1) ** i * i]]) for i in range(6)}
    accuracy_curves(ax, curves | {"far": np.array([[0.0, 40.0]])}, np.array([0, 1]))
    ax.figure.canvas.draw()
    # an annotation's own extent includes its dash
    boxes = {text.get_text(): Text.get_window_extent(text) for text in ax.texts}
    alone = boxes.pop("far")
    in_order = sorted(boxes, key=lambda name: boxes[name].y0)
    assert in_order == sorted(curves, key=lambda name: curves[name][0, -1])
    assert all(boxes[below].y1 <= boxes[above].y0 for below, above in pairwise(in_order))
    assert min(box.x0 for box in boxes.values()) > ax.get_window_extent().x1
    if height == 5:  # what has room stands at the end of its curve
        assert alone.y0 < ax.transData.transform((1, 40))[1] < alone.y1
    for text in ax.texts:  # the dash is level with its name, and right of the axes
        (x, y), end = text.xy, text.get_position()
        assert y == end[1] and 1 < x < end[0]


@pytest.mark.parametrize(
    "curves", [{}, {"a": np.zeros(3)}, {"a": np.zeros((2, 4))}, {"a": np.zeros((0, 3))}, {"a": np.full((1, 3), np.nan)}]
)
def test_bad_curves_are_refused(ax: Axes, curves: dict[str, np.ndarray]) -> None:
    with pytest.raises(ValueError, match="curve"):
        accuracy_curves(ax, curves, np.arange(3))


# ---- images


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_grid_holds_every_image_in_its_place(ax: Axes, channels: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).random((2, 3, 4, 5, *channels))
    image_grid(ax, images, row_labels=["r0", "r1"])
    (drawn,) = ax.images
    mosaic = np.asarray(drawn.get_array())
    assert mosaic.shape == (2 * 4 + 1, 3 * 5 + 2, 4)  # one transparent pixel between images
    for row in range(2):
        for col in range(3):
            tile = mosaic[row * 5 : row * 5 + 4, col * 6 : col * 6 + 5]
            expected = images[row, col] if channels else images[row, col, :, :, None]
            np.testing.assert_array_equal(tile[..., :3], np.broadcast_to(expected, (4, 5, 3)))
            assert (tile[..., 3] == 1).all()
    assert mosaic[..., 3].sum() == 6 * 20
    assert [label.get_text() for label in ax.get_yticklabels()] == ["r0", "r1"]
    assert len(ax.get_xticks()) == 0


def test_input_column_is_set_apart_and_values_are_clipped(ax: Axes) -> None:
    image_grid(ax, np.full((1, 3, 4, 4), 1.5), first_column_is_input=True)
    opaque = np.asarray(ax.images[0].get_array())[0, :, 3]
    assert "".join("#" if a else "." for a in opaque) == "####...####.####"
    assert np.asarray(ax.images[0].get_array()).max() == 1
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (np.zeros((2, 3, 4)), {}),
        (np.zeros((2, 3, 4, 4, 2)), {}),
        (np.full((2, 3, 4, 4), np.nan), {}),
        (np.zeros((2, 3, 4, 4)), {"row_labels": ["a"]}),
    ],
)
def test_bad_grids_are_refused(ax: Axes, images: np.ndarray, labels: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="must"):
        image_grid(ax, images, **labels)


# ---- scatter


def test_scatter_colours_points_by_class_and_names_medians(ax: Axes) -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=50)
    xy = rng.normal(size=(50, 2)) + 10 * labels[:, None]
    coloured_scatter(ax, xy, labels)

    (points,) = ax.collections
    drawn = {tuple(p): to_hex(c) for p, c in zip(points.get_offsets(), points.get_facecolors(), strict=True)}
    assert drawn == {tuple(p): style.CLASSES[t] for p, t in zip(xy, labels, strict=True)}
    assert [text.get_text() for text in ax.texts] == ["0", "1", "2"]
    for t, text in enumerate(ax.texts):
        np.testing.assert_allclose(text.get_position(), np.median(xy[labels == t], axis=0))
    assert ax.get_legend() is None


def test_names_of_classes_do_not_cover_each_other(ax: Axes) -> None:
    """Four classes share a median; the name of a fifth, which has room, stays where it is."""
    ax.figure.set_size_inches(3.5, 3.5)
    labels = np.arange(100) % 5
    xy = np.random.default_rng(0).normal(size=(100, 2)) * 0.01 + np.where(labels == 4, 10, 0)[:, None]
    coloured_scatter(ax, xy, labels)
    ax.figure.canvas.draw()
    circles = [text.get_bbox_patch().get_window_extent() for text in ax.texts]
    for a, b in combinations(circles, 2):
        assert np.hypot(a.x0 - b.x0, a.y0 - b.y0) > a.width
    assert ax.texts[4].get_position() == pytest.approx(tuple(np.median(xy[labels == 4], axis=0)))


@pytest.mark.parametrize("xy", [np.zeros((3, 3)), np.full((3, 2), np.inf), np.zeros((0, 2))])
def test_bad_scatters_are_refused(ax: Axes, xy: np.ndarray) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        coloured_scatter(ax, xy, np.zeros(3, int))


# ---- diagrams


def edges(ax: Axes) -> set[tuple[str, str]]:
    """The texts at both ends of every arrow."""
    names = {text.get_position(): text.get_text() for text in ax.texts}
    arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    return {(names[start], names[end]) for start, end in (arrow._posA_posB for arrow in arrows)}


def test_graphical_models_have_the_papers_edges(ax: Axes) -> None:
    inference, generation = ax.figure.subplots(1, 2)
    graphical_model(inference, generation)
    assert edges(inference) == {("$x$", r"$\hat{x}$"), (r"$\hat{x}$", "$c$"), (r"$\hat{x}$", "$z$")}
    assert edges(generation) == {("$c$", "$x$"), ("$z$", "$x$")}
    for axes, circles in ((inference, 5), (generation, 3)):  # the deterministic node is drawn double
        assert sum(isinstance(patch, Circle) for patch in axes.patches) == circles


def test_architecture_runs_from_input_to_output_with_two_stochastic_nodes(ax: Axes) -> None:
    architecture(ax)
    coloured = [patch for patch in ax.patches if to_hex(patch.get_facecolor()) == STOCHASTIC]
    names = {text.get_position(): text.get_text() for text in ax.texts}
    assert {names[patch.center] for patch in coloured} == {"$c$", "$z$"}

    arrows = edges(ax)
    assert (r"$\hat{x}$:  $d_f$", "$d_f$") in arrows
    assert {("logits:  $k$", "$c$"), (r"$\mu$:  $d_z$", "$z$"), (r"$\sigma$:  $d_z$", "$z$")} <= arrows
    assert {("$c$", "$d_f$"), ("$z$", "$d_f$"), ("$d_f$", "$+$"), ("$+$", "256")} <= arrows
    assert ("512", "output $x$:  $D$") in arrows


def test_architecture_texts_do_not_overlap(ax: Axes) -> None:
    ax.figure.set_size_inches(5, 6.5)
    architecture(ax)
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


def test_seeds_against_paper_draws_every_seed_and_the_papers_number():

    _, ax = plt.subplots()
    seeds_against_paper(ax, {"ACC": [70.0, 80.0, 84.0], "NMI": [60.0]}, {"ACC": (85.75, 8.0), "NMI": (50.0, None)})
    dots = [tuple(y for _, y in c.get_offsets()) for c in ax.collections if len(c.get_offsets()) in (1, 3)]
    assert (70.0, 80.0, 84.0) in dots
    diamonds = [line.get_ydata()[0] for line in ax.lines if line.get_marker() == "D" and len(line.get_ydata())]
    assert diamonds[:2] == [85.75, 50.0]
    _, alone = plt.subplots()
    seeds_against_paper(alone, {"ACC": [1.0]}, {})
    assert [text.get_text() for text in alone.get_legend().texts] == ["each seed, and their mean"]
    with pytest.raises(ValueError, match="at least one seed"):
        seeds_against_paper(ax, {"ACC": []}, {"ACC": (1.0, None)})


def test_gmvaes_graphical_models_have_the_papers_edges(ax: Axes) -> None:
    other = ax.figure.add_subplot()
    gmvae_graphical_model(ax, other)
    for axes in (ax, other):  # w and z lead to x and x to y; or y to all three
        assert sum(isinstance(patch, FancyArrowPatch) for patch in axes.patches) == 3


def test_the_arrows_of_cagem_are_its_factors(ax: Axes) -> None:
    """p(z2) p(y|z2) p(z1|y, z2) p(x|y, z1) has five arrows, q(z1|x) q(y|z1, x) q(z2|x, y, z1) has six."""
    other = ax.figure.add_subplot()
    cagem_graphical_model(ax, other)
    places = {"x": (1.5, 0.55), "z1": (0.65, 1.75), "y": (2.35, 2.15), "z2": (1.1, 3.45)}
    names = {place: name for name, place in places.items()}

    def arrows(axes: Axes) -> set[tuple[str, str]]:
        ends = [patch._posA_posB for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
        return {(names[tuple(start)], names[tuple(end)]) for start, end in ends}

    assert arrows(ax) == {("z2", "y"), ("z2", "z1"), ("y", "z1"), ("y", "x"), ("z1", "x")}
    assert arrows(other) == {("x", "z1"), ("x", "y"), ("z1", "y"), ("x", "z2"), ("y", "z2"), ("z1", "z2")}


def test_the_arrows_of_vlac_are_its_equations(ax: Axes) -> None:
    """Equations 6 to 8 for two layers have nine arrows, equations 1 to 3 with p(z|y) six."""
    other = ax.figure.add_subplot()
    vlac_graphical_model(ax, other)

    def arrows(axes: Axes) -> set[tuple[str, str]]:
        names = {text.get_position(): text.get_text().strip("$") for text in axes.texts}
        ends = [patch._posA_posB for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
        return {(names[tuple(start)], names[tuple(end)]) for start, end in ends}

    features = {("x", "h_1"), ("h_1", "h_2"), ("y_1", "h_2"), ("h_1", "z_1"), ("h_2", "z_2")}
    assert arrows(ax) == features | {("x", "y_1"), ("x", "y_2"), ("y_1", "z_1"), ("y_2", "z_2")}
    upper, lower = r"\tilde{z}_2", r"\tilde{z}_1"
    assert arrows(other) == {("y_1", "z_1"), ("y_2", "z_2")} | {
        ("z_2", upper),
        (upper, lower),
        ("z_1", lower),
        (lower, "x"),
    }


def test_a_box_encloses_its_points(ax: Axes) -> None:
    latent.box(ax, np.array([[0.0, 2.0], [3.0, -1.0], [1.0, 1.0]]))
    (drawn,) = (patch for patch in ax.patches if isinstance(patch, Rectangle))
    assert drawn.get_xy() == (0, -1) and (drawn.get_width(), drawn.get_height()) == (3, 3)


def test_a_bound_is_drawn_at_its_samples_each_in_its_colour(ax: Axes) -> None:
    samples = np.array([1, 10, 100])
    curves = {
        "a": (samples, np.array([[-3.0, -2.0, -1.0], [-5.0, -4.0, -3.0]])),
        "b": (samples, np.array([[-9.0, -8.0, -7.0]])),
    }
    bound_curves(ax, curves)
    a, b = ax.get_lines()
    assert a.get_ydata().tolist() == [-4, -3, -2] and a.get_xdata().tolist() == [1, 10, 100]
    assert b.get_color() != a.get_color() and ax.get_xscale() == "log"


def test_seeds_lie_in_rows_from_the_top(ax: Axes) -> None:
    seed_rows(ax, {"first": [1.0, 3.0], "second": [5.0]}, "nats")
    first, second = ax.get_lines()
    assert list(first.get_xdata()) == [1, 3] and list(second.get_ydata()) == [1]
    bars = [collection.get_segments()[0][0][0] for collection in ax.collections]
    assert bars == [2, 5]  # at the means
    assert ax.get_ylim()[0] > ax.get_ylim()[1] and ax.get_legend() is None


def test_the_papers_number_lies_in_the_row_of_its_name(ax: Axes) -> None:
    seed_rows(ax, {"first": [1.0, 3.0], "second": [5.0], "third": [0.0]}, "nats", {"third": 4.0, "first": 2.5})
    diamonds = next(line for line in ax.get_lines() if line.get_marker() == "D")
    assert list(diamonds.get_xdata()) == [4.0, 2.5] and list(diamonds.get_ydata()) == [2, 0]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["paper", "a seed"]


def test_rows_in_panels_share_their_names_and_have_a_line_at_zero() -> None:
    row_panels({title: {"a": [1.0, 3.0], "b": []} for title in ("one", "two", "three")}, "points")
    first, second, third, empty = plt.gcf().axes
    assert [ax.get_title() for ax in (first, second, third)] == ["one", "two", "three"] and not empty.axison
    zero, dots, none = first.get_lines()
    assert list(zero.get_xdata()) == [0, 0] and list(dots.get_xdata()) == [1, 3] and list(none.get_xdata()) == []
    assert plt.gcf().get_supxlabel() == "points" and {ax.get_xlabel() for ax in (first, second, third)} == {""}
    assert [tick.get_text() for tick in third.get_yticklabels()] == ["a", "b"]


@pytest.mark.parametrize("differences", [False, True])
def test_stacked_rows_have_names_of_their_own_and_differences_a_line_at_zero(differences: bool) -> None:
    stacked_rows({"one": {"a": [1.0, 3.0], "b": [2.0]}, "two": {"c": [50.0]}}, "points", differences)
    one, two = plt.gcf().axes
    assert [[tick.get_text() for tick in ax.get_yticklabels()] for ax in (one, two)] == [["a", "b"], ["c"]]
    assert [ax.get_title(loc="left") for ax in (one, two)] == ["one", "two"]
    assert (one.get_xlabel(), two.get_xlabel()) == ("", "points")
    lines = [list(line.get_xdata()) for line in one.get_lines()]
    assert lines == [[0, 0]] * differences + [[1, 3], [2]]
    assert (one.get_xlim() == two.get_xlim()) is not differences


def test_scores_of_all_kinds_are_joined_by_a_line() -> None:
    score_panels({"one": {"a": {"x": 3.0, "y": 1.0}}, "two": {"b": {"x": 5.0, "y": 6.0}, "c": {"x": 0, "y": 0}}}, "%")
    one, two = plt.gcf().axes
    assert [[float(line.get_xdata()[0]) for line in ax.get_lines()] for ax in (one, two)] == [[3, 1], [5, 6, 0, 0]]
    joined = [list(collection.get_segments()[0][:, 0]) for ax in (one, two) for collection in ax.collections]
    assert joined == [[1, 3], [5, 6], [0, 0]]
    assert one.get_ylim() == (0.5, -0.5) and [tick.get_text() for tick in two.get_yticklabels()] == ["b", "c"]
    (legend,) = plt.gcf().legends
    assert [text.get_text() for text in legend.get_texts()] == ["x", "y"]


def test_a_selection_begins_with_one_seed_and_shows_the_paper() -> None:
    selection_panels({"a": ({"labels": np.array([1.0, 2.0, 3.0])}, (2.5, 0.5)), "b": ({}, (7.0, 1.0))}, "%")
    one, two = plt.gcf().axes
    paper, curve = one.get_lines()
    assert set(paper.get_ydata()) == {2.5} and np.array(curve.get_xydata()).tolist() == [[1, 1], [2, 2], [3, 3]]
    assert [ax.patches[0].get_extents().height > 0 for ax in (one, two)] == [True, True]
    assert one.patches[0].get_xy()[1] == 2 and one.patches[0].get_height() == 1
    assert all(float(tick).is_integer() for tick in one.get_xticks())


def test_a_change_has_its_seeds_and_both_intervals() -> None:
    change_rows({"a": ([1.0, 2.0], (0.5, 2.5), (-1.0, 4.0)), "b": ([0.0], (0.0, 0.0), (0.0, 0.0))}, "nats")
    (ax,) = plt.gcf().axes
    zero, wide, narrow, seeds, *_ = ax.get_lines()
    assert [list(line.get_xdata()) for line in (zero, wide, narrow, seeds)] == [[0, 0], [-1, 4], [0.5, 2.5], [1, 2]]
    assert set(seeds.get_ydata()) == {0} and wide.get_linewidth() < narrow.get_linewidth()
    (legend,) = plt.gcf().legends
    assert [text.get_text() for text in legend.get_texts()] == ["each seed", "pairs, 95 %", "unpaired, 95 %"]


def test_chance_is_a_curve_and_all_else_dots(ax: Axes) -> None:
    chance_curve(ax, {"by chance": [(10, 30.0), (100, 15.0)], "measured": [(32, 20.0)], "other": [(40, 18.0)]}, "%")
    curve, measured, other = ax.get_lines()
    assert list(curve.get_ydata()) == [30, 15] and curve.get_linestyle() == "-"
    assert measured.get_linestyle() == other.get_linestyle() == "None"
    assert ax.get_xscale() == "log" and list(other.get_xdata()) == [40]


def test_contours_are_ellipses_of_two_standard_deviations(ax: Axes) -> None:
    latent.contours(ax, np.array([[1.0, 2.0], [0.0, -1.0]]), np.array([[0.5, 0.25], [1.0, 3.0]]))
    found = [patch for patch in ax.patches if isinstance(patch, Ellipse)]
    assert np.allclose([patch.center for patch in found], [[1, 2], [0, -1]])
    assert np.allclose([(patch.width, patch.height) for patch in found], [[2, 1], [4, 12]])
    (low, high), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    assert low <= -2 and high >= 2 and bottom <= -7 and top >= 5  # all of them are in view


def test_latent_points_keep_their_clusters_colour(ax: Axes) -> None:
    xy = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
    latent.points(ax, xy, np.array([0, 3, 0], np.uint8))
    drawn = ax.collections[0]
    for place, color in zip(drawn.get_offsets(), drawn.get_facecolors(), strict=True):
        assert to_hex(color) == style.CLASSES[3 if place[0] == 1 else 0]
    latent.points(ax, xy, np.array([0, 1, 10]))  # more clusters than colours, which begin again
    latent.contours(ax, np.zeros((11, 2)), np.ones((11, 2)))
    assert ax.patches[10].get_edgecolor() == ax.patches[0].get_edgecolor() != ax.patches[1].get_edgecolor()


def test_every_seed_is_a_dot(ax: Axes) -> None:
    latent.seed_dots(ax, {"a": [3.0, 1.0, 2.0], "b": [5.0]}, "per cent")
    dots = [line.get_ydata() for line in ax.lines]
    assert sorted(np.concatenate(dots).tolist()) == [1, 2, 3, 5]
    assert [segment[0][1] for c in ax.collections for segment in c.get_segments()] == [2, 5]  # medians


# ---- heat maps


def test_flattened_images_get_their_sides_back() -> None:
    images = np.arange(2 * 3 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 3, 4, 5, 3)
    assert np.array_equal(as_pictures(images.reshape(2, 3, 60), (4, 5, 3)) * 255, images)
    with pytest.raises(ValueError):
        as_pictures(images.reshape(2, 3, 60), (4, 4, 3))


def test_a_heat_map_takes_names(ax: Axes) -> None:
    heat_map(ax, np.array([[10.0, 90.0]]), rows=("y1",), cols=("ink", "weight"), limits=(0, 100))
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["ink", "weight"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["y1"]


def test_a_heat_map_writes_every_number_into_its_cell(ax: Axes) -> None:
    heat_map(ax, np.array([[0.0, 41.7], [np.nan, 100.0]]), rows=(0, 0.5), cols=(1, 8), limits=(0, 100))
    written = {text.get_text(): text.get_position() for text in ax.texts}
    assert written == {"0": (0.5, 0.5), "42": (1.5, 0.5), "100": (1.5, 1.5)}
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "0.5"]
    with pytest.raises(ValueError, match="3 rows and 2 columns"):
        heat_map(ax, np.zeros((2, 2)), (1, 2, 3), (1, 2), (0, 1))


def test_every_value_can_be_read_on_its_colour(ax: Axes) -> None:
    heat_map(ax, np.linspace(0, 100, 51)[None], rows=(0,), cols=range(51), limits=(0, 100))
    shades = mpl.colormaps["cividis"](np.linspace(0, 1, 51))
    assert min(contrast(to_hex(s), to_hex(t.get_color())) for s, t in zip(shades, ax.texts, strict=True)) > 4


# ---- images in rows of a data set


def test_rows_become_square_images_grey_or_coloured() -> None:
    grey = as_pictures(np.arange(8).reshape(1, 2, 4))
    assert grey.shape == (1, 2, 2, 2, 1) and grey[0, 1, 1, 0, 0] == 6 / 255
    colour = as_pictures(np.arange(12).reshape(1, 1, 12))
    assert colour.shape == (1, 1, 2, 2, 3) and list(colour[0, 0, 0, 1] * 255) == [3, 4, 5]
    with pytest.raises(ValueError, match="rows of 6 values"):
        as_pictures(np.zeros((1, 1, 6)))


# ---- whole figures


@pytest.fixture
def figures() -> Iterator[list[plt.Figure]]:
    """The figures that a test makes, filled when they are asked for."""

    class Open(list):
        def __getitem__(self, place):
            return plt.figure(plt.get_fignums()[place])

        def __len__(self) -> int:
            return len(plt.get_fignums())

    with mpl.rc_context():
        plt.close("all")
        style.use()
        yield Open()
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
        plt.close("all")


def mosaic(ax: Axes) -> np.ndarray:
    """The grey values of a grid without what is transparent."""
    (image,) = ax.get_images()
    return np.asarray(image.get_array())[..., 0]


def titles(figure: plt.Figure) -> list[str]:
    return [ax.get_title() or ax.get_title(loc="left") for ax in figure.axes if ax.axison]


def test_a_grid_figure_is_as_high_as_its_rows_ask_for(figures: list) -> None:
    images = np.zeros((2, 4, 4))
    images[1, 3] = [0, 255, 0, 0]
    grid_figure({"samples": as_pictures(images), "draws": as_pictures(images[:1])}, width=0.5)
    width, height = figures[0].get_size_inches()
    assert (width, height) == pytest.approx((0.5 * style.PAGE_WIDTH, width * (5 + 2) / 11 + 2 * TITLE))
    assert titles(figures[0]) == ["samples", "draws"]
    assert mosaic(figures[0].axes[0])[3:, 9:].tolist() == [[0, 1], [0, 0]]


def test_grids_with_fewer_columns_have_images_of_the_same_size(figures: list) -> None:
    grid_figure({"four": np.zeros((1, 4, 2, 2, 1)), "two": np.zeros((1, 2, 2, 2, 1))}, most_columns=4)
    figures[0].canvas.draw()
    wide, narrow = (ax.get_window_extent() for ax in figures[0].axes)
    assert [wide.x0, wide.width, wide.height] == pytest.approx([narrow.x0, narrow.width, narrow.height])
    assert [ax.get_xlim() for ax in figures[0].axes] == [(-0.5, 10.5)] * 2  # four images and three gaps


def test_curve_panels_share_logarithmic_epochs(figures: list) -> None:
    panels = {
        "a (nats)": ({"x": np.array([[1.0, 2.0]])}, [1, 10]),
        "b (nats)": ({"x": np.array([[3.0, 5.0]])}, [1, 10]),
    }
    curve_panels(panels, height=2, log_epochs=True)
    upper, lower = figures[0].axes
    assert figures[0].get_size_inches().tolist() == [style.PAGE_WIDTH, 4]
    assert [ax.get_ylabel() for ax in (upper, lower)] == list(panels)
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "epoch") and lower.get_xscale() == "log"
    assert lower.lines[-1].get_ydata().tolist() == [3, 5]
    curve_panels({"a": panels["a (nats)"]}, height=3)
    assert figures[1].axes[0].get_xscale() == "linear" and figures[1].axes[0].get_xlabel() == "Epoch"


def test_maps_are_stacked_with_cells_of_one_height(figures: list) -> None:
    maps = {
        "first": (np.array([[1.0, 2.0]]), ["l"], ["a", "b"]),
        "second": (np.array([[3.0], [4.0]]), ["l", "m"], ["a"]),
    }
    stacked_maps(maps, limits=(0, 10))
    first, second = figures[0].axes
    assert titles(figures[0]) == ["first", "second"]
    assert [text.get_text() for text in second.texts] == ["3", "4"]
    assert figures[0].axes[0].get_gridspec().get_height_ratios() == [2.2, 3.2]
    assert first.collections[0].norm.vmax == second.collections[0].norm.vmax == 10


def test_a_grid_of_maps_has_a_column_for_each_kind(figures: list) -> None:
    cells = {
        kind: [(np.array([[value]]), [0.5], [1.0]) for value in (start, start + 1)]
        for kind, start in (("p", 1), ("q", 3))
    }
    map_grid(cells, {"ARI": (0, 100), "used": (0, 8)}, "α", "η")
    assert titles(figures[0]) == ["p\nARI", "q\nARI", "used", "used"]
    assert [ax.texts[0].get_text() for ax in figures[0].axes] == ["1", "3", "2", "4"]
    assert [ax.get_xlabel() for ax in figures[0].axes] == ["", "", "α", "α"]
    assert [ax.get_ylabel() for ax in figures[0].axes] == ["η", "", "η", ""]
    assert [ax.collections[0].norm.vmax for ax in figures[0].axes] == [100, 100, 8, 8]


def test_latent_spaces_follow_data_and_reconstruction(figures: list) -> None:
    def arrays(shift: float) -> dict[str, np.ndarray]:
        xy = np.array([[0.0, 0.0], [1.0, 1.0]]) + shift
        return {
            "latent_reconstruction": xy + 10, "latent_x": xy, "latent_clusters": np.array([0, 1]),
            "component_means": xy, "component_sds": np.ones((2, 2)),
        }  # fmt: skip

    data = np.array([[5.0, 5.0], [6.0, 6.0]]), np.array([0, 1])
    latent.latent_spaces(data, ("η = 1", arrays(0)), {"a": arrays(20)})
    assert titles(figures[0]) == ["data, by arm", "reconstructed, η = 1", "a"]
    drawn = [sorted(ax.collections[0].get_offsets()[:, 0]) for ax in figures[0].axes[:3]]
    assert drawn == [[5, 6], [10, 11], [20, 21]]
    assert sum(isinstance(patch, Ellipse) for patch in figures[0].axes[2].patches) == 2


def test_scatter_panels_draw_the_same_points_at_every_position(figures: list) -> None:
    panels = {f"epoch {n}": np.array([[n, 0.0], [n, 1.0]]) for n in (1, 5, 20)}
    scatter_panels(panels, np.array([0, 2]))
    assert titles(figures[0]) == list(panels) and len(figures[0].axes) == 4
    assert [ax.collections[0].get_offsets()[0, 0] for ax in figures[0].axes[:3]] == [1, 5, 20]
    assert {text.get_text() for text in figures[0].axes[0].texts} == {"0", "2"}


def test_points_without_classes_or_with_too_many_are_of_one_colour(figures: list) -> None:
    points = {"epoch 1": np.array([[0.0, 0.0], [1.0, 2.0]])}
    for labels in (None, np.array([0, 99])):
        scatter_panels(points, labels)
        (line,) = figures[-1].axes[0].lines
        assert line.get_ydata().tolist() == [0, 2] and not figures[-1].axes[0].texts


def test_images_need_not_be_square(figures: list) -> None:
    grid_figure({"samples": as_pictures(np.zeros((1, 2, 12)), (4, 3, 1))})
    assert mosaic(figures[0].axes[0]).shape == (4, 3 + 1 + 3)
    manifold.manifold(np.zeros((1, 12)), "y drawn", (4, 3, 1))
    manifold.class_manifolds(np.zeros((1, 1, 12)), shape=(4, 3, 1))
    assert mosaic(figures[1].axes[0]).shape == mosaic(figures[2].axes[0]).shape == (4, 3)


def test_a_manifold_is_decoded_row_by_row(figures: list) -> None:
    decoded = np.zeros((4, 4))  # two by two images of two by two pixels
    decoded[1] = 255
    manifold.manifold(decoded, "y drawn")
    assert titles(figures[0]) == ["y drawn"]
    assert mosaic(figures[0].axes[0])[:2].tolist() == [[0, 0, 0, 1, 1]] * 2
    manifold.class_manifolds(np.stack([decoded] * 3))
    assert titles(figures[1]) == ["y = 0", "y = 1", "y = 2"]
    for ax in figures[1].axes:  # one grid as wide as the page, with every second row
        assert mosaic(ax).tolist() == [[0, 0, 0, 1, 1]] * 2
    figures[1].canvas.draw()
    assert min(ax.get_window_extent().width for ax in figures[1].axes) > 0.95 * style.PAGE_WIDTH * 96


def test_the_latent_map_shows_the_grid_and_the_classes_that_are_known(figures: list) -> None:
    z, grid = np.array([[0.0, 0.0], [1.0, 2.0]]), np.array([[-1.0, -1.0], [3.0, 4.0]])
    manifold.latent_map(z, np.array([0, 1]), grid, "space of z")
    manifold.latent_map(z, None, grid, "space of z")
    for figure in (figures[0], figures[1]):
        (rectangle,) = (patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle))
        assert rectangle.get_bbox().extents.tolist() == [-1, -1, 3, 4]
    assert {text.get_text() for text in figures[0].axes[0].texts} == {"0", "1"}
    assert figures[1].axes[0].lines[0].get_xydata().tolist() == z.tolist()


def test_layers_are_drawn_anew_beside_their_image(figures: list) -> None:
    arrays = {
        "layer_inputs": np.full((1, 4), 255),
        "resampled_z2": np.zeros((1, 2, 4)),
        "resampled_z1": np.full((1, 2, 4), 51),
    }
    _, axes = plt.subplots(2)
    layers.layers_drawn_anew(axes, arrays, (2, 2, 1), "layer {} anew")
    assert titles(figures[0]) == ["layer 1 anew", "layer 2 anew"]
    assert [mosaic(ax)[0, [0, -1]].tolist() for ax in axes] == [[1, 0.2], [1, 0]]
    assert list(layers.layers_of(arrays, "resampled_z")) == ["1", "2"]


def test_clusters_of_a_layer_are_columns_of_at_most_25(figures: list) -> None:
    drawn = np.zeros((30, 2, 4))
    drawn[25] = 255
    layers.clusters_of_layers({"components_y3": drawn}, (2, 2, 1), "layer {}")
    assert titles(figures[0]) == ["layer 3, clusters 1 to 25", "layer 3, clusters 26 to 30"]
    assert mosaic(figures[0].axes[0]).max() == 0
    assert mosaic(figures[0].axes[1])[:, :2].tolist() == [[1, 1], [1, 1], [0, 0], [1, 1], [1, 1]]


# ---- tails of learning curves


def test_a_panel_holds_seeds_their_mean_the_number_and_the_tail() -> None:
    epochs = np.array([1.0, 2, 5, 10])
    values = np.array([[50.0, 60, 70, 74], [50.0, 62, 74, 80]])
    tail = np.array([5.0, 20]), np.array([72.0, 82])
    with mpl.rc_context():
        style.use()
        panels = {
            "one": TailPanel(epochs, values, 78.0, 90.0, tail),
            "two": TailPanel(epochs, values, 78.0, 90.0),
            "three": TailPanel(epochs, values, 78.0, 40.0),
        }
        tail_panels(panels, "Accuracy (%)")
        figure = plt.gcf()
        figure.canvas.draw()
        one, two, three, empty = figure.axes
        assert [ax.get_title(loc="left") for ax in (one, two, three)] == list(panels) and not empty.axison
        drawn = [np.asarray(line.get_ydata(), dtype=float) for line in one.lines]
        assert any(np.array_equal(y, values.mean(0)) for y in drawn)
        assert all(any(np.array_equal(y, of_seed) for y in drawn) for of_seed in values)
        assert any(np.array_equal(y, tail[1]) for y in drawn) and [90.0, 90.0] in [list(y) for y in drawn]
        assert len(two.lines) == len(one.lines) - 1
        assert one.get_xlim()[1] > 20 > two.get_xlim()[1]
        assert one.get_ylim()[1] > 90 and three.get_ylim()[0] < 40
        assert [tick.get_text() for tick in one.get_xticklabels()] == ["1", "2", "5", "10", "20"]
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert "fitted tail" in labels and "each seed" in labels
        plt.close(figure)


def test_predictions_lie_on_the_diagonal_where_they_came_true() -> None:
    with mpl.rc_context():
        style.use()
        prediction_figure({"digits": [(1.0, 1.0), (2.0, 3.0)], "MNIST": [(4.0, -1.0)]})
        ax = plt.gca()
        assert [line.get_label() for line in ax.lines[:2]] == ["digits", "MNIST"]
        assert ax.lines[0].get_xydata().tolist() == [[1, 1], [2, 3]]
        diagonal = ax.lines[2].get_xydata()
        assert np.array_equal(diagonal[:, 0], diagonal[:, 1]) and diagonal.min() == -1 and diagonal.max() == 4
        plt.gcf().canvas.draw()
        plt.close()
