"""What holds for all tests of the baselines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture(autouse=True)
def threads_as_before() -> Iterator[None]:
    """Keep the number of threads of PyTorch: UMAP, called as its users do, sets it to that of the cores."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
