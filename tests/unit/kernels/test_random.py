"""Counter-based random numbers: the published test vectors, their distribution, and the same numbers everywhere."""

import pytest
import torch
from scipy import stats

from genclust import kernels
from genclust.kernels import normal, uniform
from genclust.kernels.random import philox

from .checks import DEVICE, needs_triton


def words(key: int, *counter: int) -> list[int]:
    return [int(w) for w in philox(torch.tensor(key), tuple(torch.tensor(c) for c in counter))]


def test_published_vectors():
    """The known answers that come with the generator's first publication, for Philox 4×32 of ten rounds."""
    assert words(0, 0, 0, 0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    ones = 0xFFFFFFFF
    assert words(-1, ones, ones, ones, ones) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]


@pytest.mark.parametrize("draw, truth", [(uniform, stats.uniform()), (normal, stats.norm())])
def test_distribution(draw, truth):
    sample = draw(torch.arange(20), torch.tensor(0), 100_000).double().flatten().numpy()
    assert stats.kstest(sample, truth.cdf).pvalue > 1e-3
    assert abs(stats.pearsonr(sample[:-1], sample[1:]).statistic) < 0.004


def test_uniform_is_never_zero_or_one():
    u = uniform(torch.tensor([1]), torch.tensor(1), 2_000_000)
    assert u.min() > 0 and u.max() < 1


@needs_triton
@pytest.mark.parametrize("draw", [uniform, normal])
@pytest.mark.parametrize("shape", [(1,), (7, 3), (0,), (4100,)])
def test_kernels_give_the_same_numbers(draw, shape):
    seed, offset = torch.tensor([0, -9, 2**62 + 1], device=DEVICE), torch.tensor(2**33 + 1, device=DEVICE)
    with kernels.implementation("reference"):
        plain = draw(seed, offset, *shape)
    with kernels.implementation("triton"):
        fused = draw(seed, offset, *shape)
    torch.testing.assert_close(fused, plain, rtol=2e-6, atol=2e-6)  # sine and logarithm differ by rounding


def test_a_replica_draws_what_it_draws_alone_and_offsets_differ():
    both = normal(torch.tensor([3, 4]), torch.tensor(9), 50)
    assert torch.equal(both[1:], normal(torch.tensor([4]), torch.tensor(9), 50))
    assert not torch.equal(both, normal(torch.tensor([3, 4]), torch.tensor(10), 50))


def test_the_registered_operation_passes_opcheck():
    seed, offset = torch.tensor([1, 2]), torch.tensor(3)
    torch.library.opcheck(torch.ops.genclust.random, (seed, offset, [3, 5], True))


@pytest.mark.parametrize("seed, offset", [(torch.tensor([1.0]), torch.tensor(0)), (torch.tensor([1]), torch.zeros(2))])
def test_unfit_seeds_and_offsets_are_refused(seed, offset):
    with pytest.raises(ValueError, match="int64 seed"):
        uniform(seed, offset, 3)
