"""Random streams depend on seed, purpose and step, and on nothing else."""

import pytest
import torch
from scipy import stats

from genclust.streams import CounterNoise, Noise, noise_on, stream_seed


def test_a_replica_draws_what_it_would_draw_alone():
    together, alone = Noise([0, 7, 2], "training noise").at(41), Noise([7], "training noise").at(41)
    for draw in (lambda n: n.uniform(5, 3), lambda n: n.normal(4), lambda n: n.permutation(11)):
        assert torch.equal(draw(together)[1], draw(alone)[0])


def test_a_stream_does_not_remember_earlier_steps():
    noise = Noise([0], "training noise")
    noise.at(1).normal(100)
    resumed = Noise([0], "training noise").at(2).normal(5)
    assert torch.equal(noise.at(2).normal(5), resumed)


def test_seeds_purposes_and_steps_have_streams_of_their_own():
    keys = [(seed, purpose, step) for seed in range(20) for purpose in ("a", "b") for step in range(50)]
    assert len({stream_seed(*key) for key in keys}) == len(keys)
    draws = torch.cat([Noise([seed], purpose).at(step).uniform(1)[0] for seed, purpose, step in keys])
    assert stats.kstest(draws.numpy(), "uniform").pvalue > 1e-3  # first draws of related seeds are unrelated


def test_a_permutation_holds_every_index_once():
    assert (Noise([3, 4], "order").permutation(100).sort(-1).values == torch.arange(100)).all()


@pytest.mark.parametrize("make", [Noise, lambda seeds, purpose: CounterNoise(seeds, purpose, "cpu")])
@pytest.mark.parametrize("divisor", [255, 256])
def test_bits_are_on_as_often_as_their_grey_value_says(make, divisor):
    grey = torch.tensor([0, 255, 51, 128], dtype=torch.uint8).expand(2, 20_000, 4)
    bits = make([1, 2], "bits").binarise(grey, divisor)
    expected = torch.tensor([0, 255, 51, 128]).double() / divisor
    error = (bits.double().mean(1) - expected).abs()
    assert bits.dtype == torch.uint8 and (error <= 5 * (expected * (1 - expected) / 20_000).sqrt()).all()
    assert not torch.equal(bits[0], bits[1])


def test_counter_based_streams_keep_the_same_promises():
    """Alone as among others, a step as if there had been none before, and no two draws of a step alike."""
    together, alone = (CounterNoise(seeds, "training noise", "cpu") for seeds in ([0, 7, 2], [7]))
    together.at(1).normal(9)
    assert torch.equal(together.at(41).normal(5, 3)[1], alone.at(torch.tensor(41)).normal(5, 3)[0])
    assert not torch.equal(alone.normal(5, 3), alone.at(41).normal(5, 3))
    assert not torch.equal(CounterNoise([7], "another", "cpu").at(41).normal(9), alone.at(41).normal(9))
    assert isinstance(noise_on("cpu", [0], "a"), Noise) and not isinstance(noise_on("cpu", [0], "a"), CounterNoise)


def test_streams_without_generators_say_that_they_draw_no_permutations():
    with pytest.raises(TypeError, match="CounterNoise draws no permutations; take Noise"):
        CounterNoise([1], "order", "cpu").permutation(4)
