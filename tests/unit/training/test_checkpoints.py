"""Checkpoints: a group changes all at once, and what is damaged or of another model is refused."""

import os
import random

import pytest
import torch

from genclust.training import checkpoints
from genclust.training.checkpoints import COMMIT, NEXT, DamagedCheckpoint


def group(folder, step):
    return {folder / f"seed-000{r}.ckpt": {"step": step, "weights": torch.full((50,), float(step))} for r in range(3)}


def steps(folder):
    paths = list(group(folder, 0))
    checkpoints.recover(*paths)
    return [checkpoints.load(path)["step"] for path in paths]


@pytest.mark.parametrize("call", range(12))
def test_a_kill_at_any_point_leaves_all_of_the_old_or_all_of_the_new(tmp_path, monkeypatch, call):
    """Every operation on files in turn is the last one that happens."""
    checkpoints.save(group(tmp_path, 1))
    made = 0

    class Killed(BaseException):
        pass

    def dying(operation):
        def perform(*arguments, **options):
            nonlocal made
            made += 1
            if made > call:
                raise Killed
            return operation(*arguments, **options)

        return perform

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints, "open", dying(open), raising=False)
        patched.setattr(checkpoints.Path, "replace", dying(checkpoints.Path.replace))
        patched.setattr(checkpoints.Path, "unlink", dying(lambda path, missing_ok=False: os.unlink(path)))
        with pytest.raises(Killed) if call < 9 else pytest.MonkeyPatch.context():
            checkpoints.save(group(tmp_path, 2))
    assert steps(tmp_path) in ([1, 1, 1], [2, 2, 2])
    assert (steps(tmp_path) == [2, 2, 2]) == (call >= 5)  # three files, their list written and renamed
    assert not [path for path in tmp_path.iterdir() if path.suffix in (NEXT, COMMIT)]


def test_a_list_that_a_power_failure_cut_short_leaves_the_old_checkpoints(tmp_path):
    checkpoints.save(group(tmp_path, 1))
    for path in group(tmp_path, 2):
        path.with_name(path.name + NEXT).touch()
    commit = next(iter(group(tmp_path, 1))).with_suffix(COMMIT)
    commit.touch()
    assert steps(tmp_path) == [1, 1, 1]
    assert not [path for path in tmp_path.iterdir() if path.suffix in (NEXT, COMMIT)]


def test_one_seed_of_a_group_recovers_all_of_it(tmp_path):
    """Three files were written and listed; the kill came after the first was renamed."""
    checkpoints.save(group(tmp_path, 1))
    first, *others = group(tmp_path, 2).items()
    checkpoints.save(dict([first]))
    for path, state in others:
        torch.save(state, path.with_name(path.name + NEXT))
    (tmp_path / f"seed-0000{COMMIT}").write_text('["seed-0000.ckpt", "seed-0001.ckpt", "seed-0002.ckpt"]')
    checkpoints.recover(tmp_path / "seed-0002.ckpt")
    assert steps(tmp_path) == [2, 2, 2]


def test_no_flipped_bit_passes_unnoticed(tmp_path):
    path = tmp_path / "a.ckpt"
    state = {"step": 3, "weights": torch.arange(400.0), "curve": [{"epoch": 1, "loss": 0.5}]}
    checkpoints.save({path: state})
    content = path.read_bytes()
    rng = random.Random(0)
    refused = 0
    for _ in range(300):
        at, bit = rng.randrange(len(content)), 1 << rng.randrange(8)
        path.write_bytes(content[:at] + bytes([content[at] ^ bit]) + content[at + 1 :])
        try:
            loaded = checkpoints.load(path)
        except DamagedCheckpoint as error:
            assert "delete it" in str(error)
            refused += 1
        else:  # a bit of a date or of padding
            assert loaded["step"] == 3 and loaded["curve"] == state["curve"]
            assert torch.equal(loaded["weights"], state["weights"])
    assert refused > 150


@pytest.mark.parametrize("size", [0, 1, 100, -1])
def test_a_truncated_checkpoint_is_refused(tmp_path, size):
    path = tmp_path / "a.ckpt"
    checkpoints.save({path: {"step": 3}})
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DamagedCheckpoint, match="delete it"):
        checkpoints.load(path)


def test_a_failed_write_leaves_the_old_checkpoints(tmp_path):
    checkpoints.save(group(tmp_path, 1))
    bad = group(tmp_path, 2)
    bad[tmp_path / "seed-0002.ckpt"]["bad"] = lambda: None
    with pytest.raises(Exception, match="pickle"):
        checkpoints.save(bad)
    assert steps(tmp_path) == [1, 1, 1]
    assert len(list(tmp_path.iterdir())) == 3
