"""Check of the parameters that papermill hands to a notebook, made by the notebook itself.

Papermill only warns of a parameter that the notebook does not have, and the published results come out as if it had
been heeded.  It puts the given values into a cell of their own, after the one that declares names and defaults.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from itertools import pairwise

from IPython.core.getipython import get_ipython

from genclust.settings import SettingError, nearest

#: First line of the cell that papermill adds.
INJECTED = "# Parameters\n"


def check() -> None:
    """Refuse parameters that the running notebook does not declare; elsewhere than in a notebook this does nothing.

    Raises:
        SettingError: with the nearest parameter that it has.
    """
    shell = get_ipython()
    if shell is not None:
        refuse_unknown(shell.user_ns.get("In", []))


def refuse_unknown(cells: Sequence[str]) -> None:
    """Refuse parameters in papermill's cell that the cell before it does not declare.

    Args:
        cells: source of the cells in the order in which they were run.
    """
    for declaring, injected in pairwise(cells):
        if injected.startswith(INJECTED):
            known = _assigned(declaring)
            for name in _assigned(injected):
                if name not in known:
                    raise SettingError(nearest(name, known, "parameter"))


def _assigned(source: str) -> list[str]:
    targets = [
        target
        for statement in ast.parse(source).body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        for target in (statement.targets if isinstance(statement, ast.Assign) else [statement.target])
    ]
    return [target.id for target in targets if isinstance(target, ast.Name)]
