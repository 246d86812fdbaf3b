"""Examples in the documentation run."""

import doctest

import pytest

from genclust import streams
from genclust.estimators import base, clustering, density, inputs, saving

#: Modules, and how many of their lines are examples at least.
MODULES = {clustering: 18, density: 13, streams: 2, base: 0, inputs: 0, saving: 0}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples(module):
    result = doctest.testmod(module)
    assert result.failed == 0 and result.attempted >= MODULES[module]
