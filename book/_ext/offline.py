"""MathJax from the installed package ``sphinx-mathjax-offline``, so that the book asks no network for it.

Only the one component the book needs is copied: it draws formulas as SVG and so needs no font files, and it holds
all of TeX's extensions and so loads nothing later. It is copied after the build rather than put in ``_static``,
whose scripts Jupyter Book adds to every page a second time.
"""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

COMPONENT = "tex-svg-full.js"


def configure(app: Sphinx, config: Any) -> None:
    config.mathjax_path = f"mathjax/{COMPONENT}"


def copy(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    spec = importlib.util.find_spec("sphinx-mathjax-offline")
    assert spec is not None and spec.origin is not None, "sphinx-mathjax-offline is not installed: run make install"
    target = Path(app.outdir) / "_static" / "mathjax" / COMPONENT
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(spec.origin).parent / "static" / "mathjax" / COMPONENT, target)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", configure)
    app.connect("build-finished", copy)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
