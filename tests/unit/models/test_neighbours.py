"""A row is no neighbour of itself, in whatever precision the products around it are."""

import pytest
import torch
from sklearn.datasets import load_digits

from genclust.models.neighbours import squared_distances


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_distances_are_those_of_float64_and_none_is_to_the_row_itself(precision):
    rows = torch.tensor(load_digits().data[:400] / 16, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        found = squared_distances(rows, rows)
    exact = torch.cdist(rows.double(), rows.double()).square().fill_diagonal_(torch.inf)
    torch.testing.assert_close(found.double(), exact, rtol=1e-3, atol=1e-4)
