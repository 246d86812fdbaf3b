"""These tests take minutes and start many processes, so they run only where they are asked for: pytest -m engine."""

import pytest


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.option.markexpr != "engine":
        for item in items:
            if item.get_closest_marker("engine"):
                item.add_marker(pytest.mark.skip(reason="takes minutes; ask for it by -m engine"))
