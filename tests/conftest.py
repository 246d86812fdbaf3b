"""What holds for every test: Triton's interpreter without a GPU, and real data only where they are asked for."""

import os
import tempfile
from collections.abc import Generator

import pytest
import torch

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # chosen before Triton is imported


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that hold slow tests, so that no long one is left when all others are done."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    """Show an empty data folder to every test that is not marked ``data``, so that it cannot come to need more."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as empty:
        if item.get_closest_marker("data") is None:
            patch.setenv("GENCLUST_DATA", empty)
        return (yield)
