"""Style of all figures, readable on light and dark pages."""

from __future__ import annotations

import sys
from typing import Literal

import matplotlib as mpl
from cycler import cycler

# A figure cannot know whether its reader's page is white or nearly black (#121212 in the book's theme).
# So its background is transparent, and text and spines have the one grey with the same contrast, 4.3 to 1,
# against both.
INK = "#797979"

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


def use(output: Literal["svg", "retina"] = "svg") -> None:
    """Set matplotlib's defaults to the style of the book, and the notebook's image format if in one.

    Args:
        output: ``svg`` for lines and diagrams, ``retina`` (PNG at twice the resolution) for images and
            many points.
    """
    mpl.rcParams.update(
        {
            "figure.figsize": (PAGE_WIDTH, 4.2),
            "figure.dpi": 96,
            "figure.facecolor": "none",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "none",
            "savefig.dpi": 192,
            "svg.hashsalt": "genclust",  # else every run gives other identifiers, and so other files
            "font.size": 11,
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

        set_matplotlib_formats(output)
