"""Random streams depend on seed, purpose and step, and on nothing else."""

import torch
from scipy import stats

from genclust.streams import Noise, stream_seed


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
