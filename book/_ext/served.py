"""Links that launch a notebook, and to the repository, only in a book that is served from the web.

Such a book is built with ``GENCLUST_REPOSITORY`` naming the address of its repository; a book that opens from disk is
built without, and has no link that needs a network.
"""

from __future__ import annotations

import os
from typing import Any

from sphinx.application import Sphinx


def configure(app: Sphinx, config: Any) -> None:
    if address := os.environ.get("GENCLUST_REPOSITORY", "").rstrip("/"):
        config.html_theme_options |= {
            "repository_url": address,
            "repository_branch": "main",
            "use_repository_button": True,
            # Binder installs environment.yml, and so has the library that a notebook asks for.
            "launch_buttons": {"notebook_interface": "jupyterlab", "binderhub_url": "https://mybinder.org"},
        }


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", configure)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
