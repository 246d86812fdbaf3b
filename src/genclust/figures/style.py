"""Style of all figures, in one rendering for light pages and one for dark ones."""

from __future__ import annotations

import sys
from typing import Literal

import matplotlib as mpl
from cycler import cycler

# Figures are transparent, and no colour of text has a contrast of 4.5 to 1 against white and against a page that is
# nearly black (#121212 in the book's theme). So they are drawn for white, and the book shows `on_dark` of them where
# the page is dark.
INK = "#454b53"
"""Colour of text, axes and arrows."""
PAPER = "#fefefe"
"""Colour of what is written on a shape that is filled with ink; not quite white, which stays white on a dark page."""
ON_DARK = {INK: "#ced3d9", PAPER: "#121212"}

# Ten colours found by search: among all moderately saturated ones with a contrast of at least 2.2 to 1
# against white and against #121212, those that lie farthest apart for normal, protanopic, deuteranopic and
# tritanopic sight alike.
# The darkest come last: curves are few and thin, and need the contrast more than the points of ten classes.
CLASSES = (
    "#6078fc",
    "#f09c30",
    "#d83c0c",
    "#60c09c",
    "#cc60b4",
    "#6c786c",
    "#c09cfc",
    "#7824a8",
    "#9c0c18",
    "#185460",
)

PAGE_WIDTH = 7.3
"""Width in inches that fills the book's text column, 700 pixels at 96 per inch."""

PHONE_WIDTH = 5.2
"""Width in inches that a phone shows whole."""


DPI = 192
"""Pixels per inch of what is drawn as pixels, twice those of a page."""

# A phone shows a figure at this share of its width at least, and lets it scroll where that is wider than the screen,
# so that the smallest text, "small" in matplotlib's words, has 9 pixels.
FONT_SIZE = 12
SHRINKS = 0.7


def on_dark(svg: str) -> str:
    """The same drawing in the colours for a dark page."""
    for light, dark in ON_DARK.items():
        svg = svg.replace(light, dark)
    return svg


def use(output: Literal["svg", "retina"] = "svg") -> None:
    """Set matplotlib's defaults to the style of the book, and the notebook's image format if in one.

    Args:
        output: ``svg``, in which images and many points are pixels, as everywhere in the book; or ``retina``, a PNG
            at twice the resolution.
    """
    mpl.rcParams.update(
        {
            "figure.figsize": (PAGE_WIDTH, 4.2),
            "figure.dpi": 96,
            "figure.facecolor": "none",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "none",
            "savefig.dpi": DPI,
            "svg.hashsalt": "genclust",  # else every run gives other identifiers, and so other files
            "font.size": FONT_SIZE,
            "text.color": INK,
            "axes.facecolor": "none",
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.titlesize": "medium",
            "axes.titlecolor": INK,
            "axes.prop_cycle": cycler(color=CLASSES),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": INK,
            "grid.alpha": 0.25,
            "grid.linewidth": 0.6,
            "xtick.color": INK,
            "ytick.color": INK,
            "lines.linewidth": 2.0,
            "legend.frameon": False,
            "legend.labelcolor": INK,
        }
    )
    # Only a process that has imported IPython can be a notebook, and only in one is there a shell.
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        if output == "svg":  # without the time of the run, which would make every run another file
            set_matplotlib_formats(output, dpi=DPI, metadata={"Date": None})
        else:
            set_matplotlib_formats(output)
