"""The widgets of the page to touch, in a headless Chromium: they draw, they answer, and they say what the library says.

Input is real: mouse, finger and keys are sent to the browser, not to the script.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import chromium
import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup

from genclust.book.widgets import maps, networks
from genclust.book.widgets.training import FORMATION, PHASES
from genclust.data import load

ROOT = Path(__file__).resolve().parents[2]
BOOK = Path(os.environ.get("GENCLUST_BOOK", ROOT / "_build" / "html"))
PAGE, FOLDER = BOOK / "play.html", BOOK / "_static" / "widgets"
WIDGETS = {
    "draw": ("gumbel-reader", "gumbel-writer"),
    "style": ("gumbel-writer", "gmvae-writer", "cagem-writer"),
    "map": ("formation",),
    "phases": ("plane",),
}
#: What is touched in each widget.
SURFACES = {"draw": "canvas.pad", "style": ".plane", "map": "canvas.map", "phases": ".cell:nth-of-type(20)"}
#: What the page states: by how much a probability and a grey value may differ from PyTorch's, at most and on average.
PROBABILITY, GREY = (0.1, 0.01), (0.15, 0.005)
#: Seconds after which a widget is taken not to start.
PATIENCE = 60
#: Bytes of numbers that a widget may load, and of all that the page may load.
MOST_OF_WIDGET, MOST_OF_PAGE = 1_000_000, 6_000_000

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not PAGE.is_file(), reason=f"no book in {BOOK}: run `make book` first"),
    pytest.mark.skipif(chromium.PROGRAM is None, reason="no Chromium on this machine"),
]
every_widget = pytest.mark.parametrize("name", WIDGETS)


def open_at(browser: chromium.Browser, name: str) -> None:
    """Load the page and scroll to a widget, which then starts."""
    browser.load(PAGE)
    scroll_to(browser, name)
    running = f"document.querySelector('[data-widget={name}]').classList.contains('running')"
    assert comes_true(browser, running), browser.heard()


def scroll_to(browser: chromium.Browser, name: str) -> None:
    browser.evaluate(f"document.querySelector('[data-widget={name}]').scrollIntoView({{behavior: 'instant'}})")


def comes_true(browser: chromium.Browser, expression: str) -> bool:
    """Whether an expression becomes true: files are read in real time, which the time of the page does not wait for."""
    until = time.monotonic() + PATIENCE
    while not browser.evaluate(expression):
        if time.monotonic() > until:
            return False
        browser.let_pass(200)
    return True


def call(browser: chromium.Browser, name: str, function: str, *arguments: Any) -> Any:
    """What a function of a started widget returns."""
    written = ", ".join(json.dumps(np.asarray(a).tolist() if isinstance(a, torch.Tensor) else a) for a in arguments)
    plain = "(key, value) => ArrayBuffer.isView(value) ? Array.from(value) : value"
    said = browser.evaluate(f"JSON.stringify(genclustWidgets.running.{name}.{function}({written}), {plain})")
    return None if said is None else json.loads(said)


def shown(browser: chromium.Browser, name: str) -> list[str]:
    """All pictures of a widget, in its own order."""
    canvases = f"document.querySelectorAll('[data-widget={name}] canvas')"
    return browser.evaluate(f"Array.from({canvases}, (canvas) => canvas.toDataURL())")


def box(browser: chromium.Browser, name: str) -> tuple[float, float, float, float]:
    """Left, top, width and height of what is touched, scrolled into view."""
    element = f"document.querySelector('[data-widget={name}] {SURFACES[name]}')"
    browser.evaluate(f"{element}.scrollIntoView({{block: 'center', behavior: 'instant'}})")
    found = browser.evaluate(f"(({{x, y, width, height}}) => [x, y, width, height])({element}.getBoundingClientRect())")
    return tuple(found)


def path(browser: chromium.Browser, name: str) -> list[tuple[float, float]]:
    """Points on a slanted line across what is touched."""
    x, y, width, height = box(browser, name)
    return [(x + width * (0.3 + 0.4 * t / 5), y + height * (0.2 + 0.6 * t / 5)) for t in range(6)]


def by_mouse(browser: chromium.Browser, name: str) -> None:
    (x, y), *rest = path(browser, name)
    mouse = {"button": "left", "clickCount": 1}
    browser.ask("Input.dispatchMouseEvent", browser.tab, type="mouseMoved", x=x, y=y)
    browser.ask("Input.dispatchMouseEvent", browser.tab, type="mousePressed", x=x, y=y, **mouse)
    for x, y in rest:
        browser.ask("Input.dispatchMouseEvent", browser.tab, type="mouseMoved", x=x, y=y, buttons=1, **mouse)
    browser.ask("Input.dispatchMouseEvent", browser.tab, type="mouseReleased", x=x, y=y, **mouse)


def by_finger(browser: chromium.Browser, name: str) -> None:
    first, *rest = path(browser, name)
    for kind, points in [("touchStart", [first]), *(("touchMove", [point]) for point in rest), ("touchEnd", [])]:
        touched = [{"x": x, "y": y} for x, y in points]
        browser.ask("Input.dispatchTouchEvent", browser.tab, type=kind, touchPoints=touched)


def by_keys(browser: chromium.Browser, name: str) -> None:
    browser.evaluate(f"document.querySelector('[data-widget={name}] {SURFACES[name]}').focus()")
    for key, text in [(" ", " "), *[("ArrowDown", "")] * 4, *[("ArrowRight", "")] * 3]:
        browser.ask("Input.dispatchKeyEvent", browser.tab, type="keyDown", key=key, text=text)
        browser.ask("Input.dispatchKeyEvent", browser.tab, type="keyUp", key=key)


@cache
def writers() -> dict[str, networks.Writer]:
    return {
        "gumbel": networks.gumbel_writer(),
        "gmvae": networks.gmvae_writer(),
        "cagem": networks.cagem_writer(),
    }


def agree(got: Any, wanted: torch.Tensor, tolerance: tuple[float, float]) -> None:
    difference = np.abs(np.asarray(got, np.float64) - wanted.numpy())
    print(f"at most {difference.max():.4f}, on average {difference.mean():.5f}")
    assert difference.max() <= tolerance[0] and difference.mean() <= tolerance[1]


@every_widget
def test_a_widget_draws_without_a_word_on_the_console(name: str, browser: chromium.Browser) -> None:
    open_at(browser, name)
    console, asked = browser.heard()
    assert [words for words in console if f"widget {name}" in words or "Error" in words] == [] == asked
    inked = browser.evaluate(
        f"Array.from(document.querySelectorAll('[data-widget={name}] canvas'), (canvas) => "
        "canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value))"
    )
    assert inked and all(inked)


@every_widget
@pytest.mark.parametrize("touch", [by_mouse, by_finger, by_keys])
def test_a_widget_changes_when_it_is_touched(
    name: str, touch: Callable[[chromium.Browser, str], None], browser: chromium.Browser
) -> None:
    open_at(browser, name)
    after = before = shown(browser, name)
    for _ in range(3):  # on a busy machine the page may still move while it is touched
        touch(browser, name)
        browser.let_pass(500)
        if (after := shown(browser, name)) != before:
            break
    assert len(before) == len(after) and before != after
    assert [words for words in browser.heard()[0] if "Error" in words] == []


def test_a_widget_is_loaded_only_when_one_scrolls_to_it(browser: chromium.Browser) -> None:
    browser.load(PAGE)
    loaded = "Array.from(document.scripts, (script) => script.src.split('/').pop())"
    last = "document.querySelector('[data-widget=phases]')"
    assert browser.evaluate(f"{last}.getBoundingClientRect().top > 1.5 * innerHeight")
    assert not {"phases.js", "plane.js"} & set(browser.evaluate(loaded))
    scroll_to(browser, "phases")
    assert comes_true(browser, f"{last}.classList.contains('running')")
    assert {"phases.js", "plane.js"} <= set(browser.evaluate(loaded))


@every_widget
def test_without_scripts_there_is_a_picture_and_text(name: str, browser: chromium.Browser) -> None:
    browser.ask("Emulation.setScriptExecutionDisabled", browser.tab, value=True)
    try:
        elements, _, _ = browser.load(PAGE)
    finally:
        browser.ask("Emulation.setScriptExecutionDisabled", browser.tab, value=False)
    figure = BeautifulSoup(elements, "html.parser").select_one(f"figure[data-widget={name}]")
    assert figure is not None and "running" not in figure["class"]
    still = figure.select_one("img.widget-still")
    assert still is not None and len(str(still["alt"])) > 40
    assert (PAGE.parent / str(still["src"])).read_bytes().startswith(b"\x89PNG")
    assert len(figure.select_one("figcaption").get_text()) > 100


def test_sizes_stay_small() -> None:
    size = {path.name: path.stat().st_size for path in FOLDER.iterdir()}
    for name, needs in WIDGETS.items():
        assert sum(size[f"{script}.js"] for script in (name, *needs)) < MOST_OF_WIDGET, name
    assert sum(size.values()) + PAGE.stat().st_size < MOST_OF_PAGE


def test_what_is_said_of_a_drawing_is_what_the_library_says(browser: chromium.Browser) -> None:
    open_at(browser, "draw")
    writer = writers()["gumbel"]
    model, size = writer.model, len(writer.directions)
    drawn = [torch.tensor(call(browser, "draw", "draw", digit)) for digit in "0123456789"]
    styles = torch.randn(4, size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        samples = writer.write(styles)
        between = (samples + samples.roll(1, 1)) / 2  # of two clusters, so that the model is unsure
        images = torch.cat([torch.stack(drawn), samples[:, ::3].flatten(0, 1), between.flatten(0, 1)])
        said = [call(browser, "draw", "read", image) for image in images]
        probabilities = model.cluster_posterior(images[None])[0].exp()
        agree([one["probabilities"] for one in said], probabilities, PROBABILITY)
        sure = probabilities.max(1).values > 0.5 + PROBABILITY[0]
        assert sure.sum() > 20
        clusters = np.array([one["cluster"] for one in said])
        assert (clusters == probabilities.argmax(1).numpy())[sure].all()
        rebuilt = torch.tensor([one["reconstruction"] for one in said])
        agree(rebuilt[sure], model.reconstruct(images[None])[0][sure], GREY)
        # The nearest of the model's own pictures: as near as those that the library finds, within a tenth.
        styles = networks.neighbour_styles(writer).view(networks.NEIGHBOURS, -1) @ writer.directions.T
        own = model.encoder(writer.write(styles).transpose(0, 1).flatten(0, 1)[None])[0]
        distances = torch.cdist(model.encoder(images[None])[0], own)
    sixth = distances.sort(1).values[:, len(said[0]["neighbours"]) - 1]
    for one, row, farthest in zip(said, distances, sixth, strict=True):
        assert (row[one["neighbours"]] <= 1.1 * farthest).all()


@pytest.mark.parametrize("name", ["gumbel", "gmvae", "cagem"])
def test_what_a_cluster_writes_is_what_the_library_writes(name: str, browser: chromium.Browser) -> None:
    open_at(browser, "style")
    writer = writers()[name]
    styles = 1.5 * torch.randn(5, writer.directions.shape[1], generator=torch.Generator().manual_seed(2))
    clusters = range(writer.model.settings.n_clusters)
    got = [[call(browser, "style", "write", name, style, k) for k in clusters] for style in styles]
    with torch.no_grad():
        agree(got, writer.write(styles @ writer.directions.T), GREY)


def test_the_dot_says_where_it_was_dragged_to(browser: chromium.Browser) -> None:
    open_at(browser, "style")
    by_mouse(browser, "style")
    browser.let_pass(500)
    said = browser.evaluate("document.querySelector('.plane').getAttribute('aria-valuetext')")
    assert said == "Direction 1: 1.20, direction 2: −1.80"  # 0.7 of the way across, 0.8 of the way down


def test_the_map_shows_the_stored_places_and_clusters_and_the_digit(browser: chromium.Browser) -> None:
    open_at(browser, "map")
    arrays, digits = maps.stored(FORMATION), load("digits").splits["test"]
    for seed, epoch in ((0, len(arrays["epochs"]) - 1), (2, 0), (4, 5)):
        for control, value in (("select", seed), ("input", epoch)):
            event = "change" if control == "select" else "input"
            element = f"document.querySelector('[data-widget=map] {control}')"
            browser.evaluate(f"{element}.value = {value}, {element}.dispatchEvent(new Event('{event}'))")
        state = call(browser, "map", "state")
        assert state["epoch"] == arrays["epochs"][epoch]
        assert state["clusters"] == arrays["clusters"][seed, epoch].tolist()
        stored = arrays["map"][seed, epoch].astype(np.float32)
        centre, half = maps.within_square(stored)
        np.testing.assert_allclose(state["points"], (stored - centre) / half, atol=1e-3)
    by_keys(browser, "map")
    chosen = call(browser, "map", "state")["chosen"]
    alpha = browser.evaluate(
        "Array.from(document.querySelector('[data-widget=map] canvas.picture').getContext('2d')"
        ".getImageData(0, 0, 8, 8).data).filter((value, i) => i % 4 === 3)"
    )
    np.testing.assert_allclose(alpha, digits.x[arrays["rows"][chosen]], atol=1)
    text = browser.evaluate("document.querySelector('[data-widget=map] .said').textContent")
    assert text == f"Digit {digits.y[arrays['rows'][chosen]]}, in cluster {arrays['clusters'][4, 5, chosen]}."


def test_a_cell_of_the_plane_says_what_the_records_say(browser: chromium.Browser) -> None:
    open_at(browser, "phases")
    plane, arrays = maps.plane(), maps.stored(PHASES)
    by_keys(browser, "phases")
    state = call(browser, "phases", "state")
    cell = plane["etas"].index(state["eta"]) * len(plane["alphas"]) + plane["alphas"].index(state["alpha"])
    assert cell == state["cell"]
    text = browser.evaluate("document.querySelector('[data-widget=phases] .said').textContent")
    assert f"median index of the seeds {plane['median'][cell]:.0f}" in text
    assert text.endswith(f"seed {arrays['seed'][cell]}, with {arrays['ari'][cell]:.0f}.")
