"""The loop: replicas against single runs, resumed against uninterrupted, failing replicas apart."""

from itertools import count
from pathlib import Path

import pytest
import torch
from examples import EXAMPLES
from torch.utils._python_dispatch import TorchDispatchMode

from genclust.models.base import Model, Terms
from genclust.models.gumbel import GumbelClustering, GumbelSettings
from genclust.models.inference import as_float, in_chunks
from genclust.settings import SettingError
from genclust.streams import CounterNoise, Noise
from genclust.training import checkpoints, loop
from genclust.training.loop import Training, TrainingSettings, clip_norm
from genclust.training.schedules import Schedule

SETTINGS = GumbelSettings(n_clusters=4, latent_dim=3, feature_dim=8, hidden=(12, 10), w_gaussian=2.0)
X = torch.randint(0, 256, (130, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def training(seeds, epochs=3, x=X, precision="float32", clip_norm=0.0, capture=None) -> Training:
    schedules = {"learning_rate": Schedule.of(0.003), "temperature": Schedule("exponential", 1.0, 0.5, 2.0)}
    settings = TrainingSettings(schedules, epochs, 32, precision, clip_norm)
    return Training(GumbelClustering(len(seeds), 20, SETTINGS), seeds, x, settings, capture=capture)


@torch.no_grad()
def outputs(training: Training) -> dict[str, torch.Tensor]:
    """What a model computes of the data with the batch's own statistics, ``[R, N, ...]``.

    Parameters and running statistics are no measure: a bias before batch normalisation has no effect
    and a zero gradient, whose rounding errors Adam blows up to whole steps.
    """
    model = training.model.train()
    z = torch.randn(1, 130, 3, generator=torch.Generator().manual_seed(1)).expand(len(training.seeds), -1, -1)
    posterior = in_chunks(model.cluster_posterior, X, len(training.seeds))
    return in_chunks(model.embed, X, len(training.seeds)) | {
        "posterior": posterior,
        "decoded": model.decode(z, posterior.exp()),
    }


def nothing(epoch):
    return [{}]


def measure_nothing(seeds):
    return lambda epoch: [{} for _ in seeds]


def test_a_replica_among_others_gets_what_it_gets_alone():
    together = training([3, 1, 8])
    together.run(measure_nothing([3, 1, 8]), [])
    alone = training([1])
    alone.run(measure_nothing([1]), [])
    for name, tensor in outputs(alone).items():
        torch.testing.assert_close(outputs(together)[name][1], tensor[0], rtol=1e-4, atol=1e-4)


def test_seeds_differ():
    both = training([0, 1])
    both.run(measure_nothing([0, 1]), [])
    weight = both.model.state_dict()["z_mean.weight"]
    assert (weight[0] - weight[1]).abs().max() > 0.01


@pytest.mark.parametrize("stop_after", [1, 4, 7])  # within an epoch, at its end, within the next
def test_a_resumed_run_is_the_uninterrupted_one(stop_after, tmp_path):
    whole = training([5, 6])
    whole.run(measure_nothing([5, 6]), [])

    steps = iter(range(stop_after))
    first = training([5, 6])
    assert not first.run(measure_nothing([5, 6]), [], stop=lambda: next(steps, None) is None)
    for r in range(2):
        checkpoints.save({tmp_path / f"{r}.ckpt": first.state_of(r)})
    second = training([5, 6])
    second.load([checkpoints.load(tmp_path / f"{r}.ckpt") for r in range(2)])
    assert second.step == stop_after
    second.run(measure_nothing([5, 6]), [])
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], tensor), name


def test_a_seed_can_go_on_alone_from_a_checkpoint_written_among_others():
    steps = iter(range(5))
    pair = training([5, 6])
    pair.run(measure_nothing([5, 6]), [], stop=lambda: next(steps, None) is None)
    alone = training([6])
    alone.load([pair.state_of(1)])
    alone.run(measure_nothing([6]), [])
    pair.run(measure_nothing([5, 6]), [])
    for name, tensor in outputs(pair).items():
        torch.testing.assert_close(outputs(alone)[name][0], tensor[1], rtol=1e-4, atol=1e-4)


def test_states_of_different_steps_are_refused():
    a, b = training([0]), training([1])
    a._one_step()
    with pytest.raises(SettingError, match="same step"):
        training([0, 1]).load([a.state_of(0), b.state_of(0)])


def test_a_failing_replica_is_frozen_and_the_others_go_on():
    failing = training([3, 1, 8])
    with torch.no_grad():
        failing.model.z_mean.bias[2] = float("inf")
    before = {name: tensor[2].clone() for name, tensor in failing.model.named_parameters()}
    assert failing.run(measure_nothing([3, 1, 8]), [])
    assert [p.failed_at_step for p in failing.progress] == [None, None, 0]
    for name, tensor in failing.model.named_parameters():
        assert torch.equal(tensor[2], before[name]), name

    healthy = training([3, 1])
    healthy.run(measure_nothing([3, 1]), [])
    for name, tensor in outputs(healthy).items():
        torch.testing.assert_close(outputs(failing)[name][:2], tensor, rtol=1e-4, atol=1e-4)

    resumed = training([8])
    resumed.load([failing.state_of(2)])
    assert resumed.finished
    assert resumed.progress[0].failed_at_step == 0


def test_a_failing_replica_keeps_the_batch_statistics_from_before_the_step():
    failing = training([3, 8])
    for _ in range(3):
        failing._one_step()
    with torch.no_grad():
        failing.model.embed_z.weight[1] = 1e38  # overflows in the first product, behind which batches are normalised
    before = {name: buffer[1].clone() for name, buffer in failing.model.named_buffers()}
    failing._one_step()
    assert [p.failed_at_step for p in failing.progress] == [None, 3]
    changed = {name: buffer for name, buffer in failing.model.named_buffers() if "running" in name}
    assert changed
    for name, buffer in changed.items():
        assert torch.equal(buffer[1], before[name]), name


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_what_is_kept_from_before_a_step_is_what_checkpoints_hold_besides_parameters(example):
    """In place, and without the rows in which some models look for neighbours."""
    run = example.training([5, 6], 40, 20)
    run._one_step()
    buffers, parameters = dict(run.model.named_buffers()), dict(run.model.named_parameters())
    assert run._statistics.keys() == run.state_of(0)["model"].keys() - parameters.keys()
    for name, tensor in run._statistics.items():
        assert tensor.data_ptr() == buffers[name].data_ptr(), name


def test_training_ends_when_every_replica_has_failed():
    failing = training([0], epochs=1000)
    with torch.no_grad():
        failing.model.z_mean.bias[0] = float("nan")
    assert failing.run(nothing, [])
    assert failing.step == 1


def test_the_objective_falls():
    run = training([0], epochs=30)
    losses = []
    run.run(nothing, [], report=lambda loss, steps: losses.append(loss))
    assert sum(losses[-20:]) < 0.95 * sum(losses[:20])


def test_every_example_is_seen_once_an_epoch_but_for_a_last_batch_of_one():
    assert training([0]).steps_per_epoch == 5
    assert training([0], x=X[:128]).steps_per_epoch == 4
    assert training([0], x=X[:129]).steps_per_epoch == 4  # 4 × 32 + 1: one example has no variance


def test_the_curve_is_measured_at_the_epochs_asked_for():
    run = training([0, 1], epochs=4)
    run.run(lambda epoch: [{"a": 10 * epoch}, {"a": 20 * epoch}], [1, 4])
    assert run.progress[1].curve == [{"epoch": 1, "a": 20}, {"epoch": 4, "a": 80}]


def test_bf16_stays_near_float32():
    """Matrix products are rounded to 8 bits, everything else is not: one step's loss moves by less than 1 %."""
    losses = {}
    for precision in ("float32", "bf16"):
        run = training([0], precision=precision)
        losses[precision] = run._one_step()
    assert losses["bf16"] != losses["float32"]
    assert losses["bf16"] == pytest.approx(losses["float32"], rel=0.01)


def test_chunks_make_no_difference():
    model = training([0, 1]).model.eval()
    whole = in_chunks(model.embed, X, 2, size=1000)
    parts = in_chunks(model.embed, X, 2, size=17)
    for name in whole:
        assert whole[name].shape[:2] == (2, 130)
        torch.testing.assert_close(parts[name], whole[name])


def test_a_damaged_checkpoint_says_so(tmp_path: Path):
    path = tmp_path / "seed.ckpt"
    checkpoints.save({path: training([0]).state_of(0)})
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(checkpoints.DamagedCheckpoint, match="delete it"):
        checkpoints.load(path)


def test_an_interrupted_save_leaves_the_old_checkpoint(tmp_path: Path):
    path = tmp_path / "seed.ckpt"
    checkpoints.save({path: {"step": 1}})
    with pytest.raises(Exception, match="pickle"):
        checkpoints.save({path: {"step": 2, "bad": lambda: None}})
    assert checkpoints.load(path) == {"step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_run_goes_on_only_on_the_kind_of_device_it_was_begun_on():
    state = training([0]).state_of(0) | {"device": "cuda"}
    with pytest.raises(SettingError, match="begun on cuda"):
        training([0]).load([state])


class NoWaiting(TorchDispatchMode):
    """Refuses every operation for which the host would have to wait for a device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        waits = ("_local_scalar_dense", "nonzero", "item", "is_nonzero", "masked_select", "unique")
        assert function.overloadpacket.__name__.split(".")[-1] not in waits, function
        return function(*args, **(kwargs or {}))


def captured(seeds, epochs=3, clip_norm=0.0, noise=None) -> Training:
    run = training(seeds, epochs, clip_norm=clip_norm, capture=True)
    if noise:
        run.noise = noise
    return run


@pytest.mark.parametrize("clip_norm", [0.0, 0.5])
def test_the_captured_step_is_the_eager_one(clip_norm):
    """The code that a graph records, run without one; only schedules are rounded to float32 there."""
    eager, whole = training([5, 6], clip_norm=clip_norm), captured([5, 6], clip_norm=clip_norm)
    losses, steps = [], []
    eager.run(measure_nothing([5, 6]), [1, 3], report=lambda loss, n: losses.append(loss))
    whole.run(measure_nothing([5, 6]), [1, 3], report=lambda loss, n: steps.append((loss, n)))
    for name, tensor in outputs(eager).items():
        torch.testing.assert_close(outputs(whole)[name], tensor, rtol=1e-4, atol=1e-4)
    assert [n for _, n in steps] == [5, 5, 5]
    torch.testing.assert_close(steps[2][0], sum(losses[10:]) / 5, rtol=1e-6, atol=0)
    assert [len(p.curve) for p in whole.progress] == [2, 2]


def test_the_captured_step_never_waits_for_the_device():
    run = captured([5, 6], clip_norm=1.0, noise=CounterNoise([5, 6], "training noise", "cpu"))
    run._captured.epoch()
    run._captured.at.zero_()
    with NoWaiting():
        run._captured._one(32)


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_no_models_step_waits_for_the_device(example):
    run = example.training([5, 6], 33, 16, capture=True)
    run.noise = CounterNoise([5, 6], "training noise", "cpu")
    run._captured.epoch()
    run._captured.at.zero_()
    with NoWaiting():
        run._captured._one(16)
    assert run._captured.objective.isfinite().all()


def test_captured_training_goes_on_from_a_checkpoint():
    whole = captured([5, 6])
    whole.run(measure_nothing([5, 6]), [])
    epochs = iter(range(1))
    first = captured([5, 6])
    assert not first.run(measure_nothing([5, 6]), [], stop=lambda: next(epochs, None) is None)
    assert first.epoch == 1
    second = captured([5, 6])
    second.load([first.state_of(r) for r in range(2)])
    second.run(measure_nothing([5, 6]), [])
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(second.model.state_dict()[name], tensor), name


def test_a_replica_that_fails_in_a_captured_epoch_is_put_back_to_its_beginning():
    run = captured([3, 1])
    epochs = iter(range(1))
    run.run(measure_nothing([3, 1]), [], stop=lambda: next(epochs, None) is None)
    with torch.no_grad():
        run.model.embed_z.weight[1] = 1e38  # overflows in the first product
    before = {name: tensor[1].clone() for name, tensor in run.model.named_parameters()}
    assert run.run(measure_nothing([3, 1]), [])
    assert [p.failed_at_step for p in run.progress] == [None, 5]
    for name, tensor in run.model.named_parameters():
        assert torch.equal(tensor[1], before[name]), name
        assert tensor[0].isfinite().all()


def test_each_replicas_gradient_is_clipped_by_its_own_norm():
    parameters = [torch.zeros(3, 4, 5), torch.zeros(3, 6)]
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape) * torch.tensor([10.0, 0.01, 0.0]).view(
            -1, *[1] * (parameter.ndim - 1)
        )
    given = [torch.cat([p.grad[r].flatten() for p in parameters]) for r in range(3)]
    clip_norm(parameters, 2.0)
    for r, gradient in enumerate(given):
        alone = torch.nn.Parameter(torch.zeros_like(gradient))
        alone.grad = gradient.clone()
        torch.nn.utils.clip_grad_norm_([alone], 2.0)
        torch.testing.assert_close(torch.cat([p.grad[r].flatten() for p in parameters]), alone.grad, rtol=1e-5, atol=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_captured_graph_gives_the_eager_curve():
    runs = {}
    for capture in (False, True):
        schedules = {"learning_rate": Schedule.of(0.003), "temperature": Schedule("exponential", 1.0, 0.5, 2.0)}
        settings = TrainingSettings(schedules, 3, 32, clip_norm=5.0)
        run = Training(GumbelClustering(2, 20, SETTINGS), [5, 6], X, settings, "cuda", capture)
        losses = []
        run.run(measure_nothing([5, 6]), [], report=lambda loss, n, kept=losses: kept.extend([loss] * n))
        runs[capture] = [sum(losses[i : i + 5]) / 5 for i in (0, 5, 10)]
    torch.testing.assert_close(torch.tensor(runs[True]), torch.tensor(runs[False]), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    "damage, why",
    [
        (lambda s: {k: v for k, v in s.items() if k != "adam"}, "lacks adam"),
        (lambda s: s | {"step": 16}, "stands at step 16 of 15"),
        (lambda s: s | {"step": -1}, "stands at step -1"),
        (lambda s: s | {"step": 2.5}, "stands at step 2.5"),
        (lambda s: s | {"model": None}, "its content does not fit"),
        (lambda s: s | {"model": s["model"] | {"z_mean.weight": torch.zeros(8, 4)}}, "its z_mean.weight does not fit"),
        (lambda s: s | {"model": s["model"] | {"extra": torch.zeros(1)}}, "its extra does not fit"),
        (lambda s: s | {"adam": {}}, "moments of encoder"),
        (lambda s: s | {"adam": s["adam"] | {"z_mean.bias": {"exp_avg": torch.zeros(1, 3)}}}, "moments of z_mean.bias"),
    ],
)
def test_a_state_that_does_not_fit_is_described(damage, why):
    begun = training([0])
    begun._one_step()
    state = begun.state_of(0)
    assert training([0]).misfit(state) == ""
    assert why in training([0]).misfit(damage(state))


# ---- the arithmetic of a step


class Pulled(Model):
    """w_r is pulled to the examples as they are seen through noise, with a strength that changes."""

    schedules = ("strength",)

    def __init__(self, replicas: int) -> None:
        super().__init__()
        self.replicas, self.w = replicas, torch.nn.Parameter(torch.empty(replicas, 1, 3))

    def initialise(self, generators):
        for w, generator in zip(self.w.data, generators, strict=True):
            w.normal_(generator=generator)

    def loss(self, x, scheduled, noise):
        each = 0.5 * scheduled["strength"] * (self.w + noise.normal(*x.shape[1:]) - x).square().sum(-1)
        return Terms(each.mean(-1), {"distance": each})

    embed = None


@pytest.mark.parametrize(("epsilon", "largest"), [(1e-8, 0.0), (0.3, 0.0), (0.1, 0.4)])
def test_every_step_is_adam_with_the_settings_and_schedules_of_its_time(epsilon, largest):
    """Three epochs of four steps, the last one of two examples, against Adam's equations in float64."""
    x = torch.randn(14, 3, generator=torch.Generator().manual_seed(0))
    schedules = {
        "learning_rate": Schedule("exponential", 0.1, 0.01, 2.0),
        "strength": Schedule("linear", 0.2, 1.0, 3.0),
    }
    settings = TrainingSettings(schedules, 3, 4, clip_norm=largest, adam_epsilon=epsilon)
    run, found, losses = Training(Pulled(2), [5, 8], x, settings), [], []
    w, m, v = run.model.w.detach().double().clone(), 0.0, 0.0

    def report(loss: float, steps: int) -> None:
        losses.append(loss)
        found.append(run.model.w.detach().double().clone())

    assert run.run(measure_nothing([5, 8]), [], report)
    assert len(found) == 12
    for step in range(12):
        epoch, at = divmod(step, 4)
        order = Noise([5, 8], "order of examples").at(epoch).permutation(14)[:, 4 * at : 4 * at + 4]
        noise = Noise([5, 8], "training noise").at(step).normal(order.shape[1], 3).double()
        rate, strength = 0.1 * 0.1 ** min(step / 8, 1), 0.2 + 0.8 * min(step / 12, 1)
        apart = w + noise - x[order].double()
        assert losses[step] == pytest.approx(0.5 * strength * float(apart.square().sum(-1).mean()), rel=1e-5)
        g = strength * apart.mean(1, keepdim=True)
        if largest:
            g = g * (largest / g.norm(dim=-1, keepdim=True)).clamp(max=1)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - rate * (m / (1 - 0.9 ** (step + 1))) / ((v / (1 - 0.999 ** (step + 1))).sqrt() + epsilon)
        torch.testing.assert_close(found[step], w, rtol=1e-5, atol=1e-6)


def test_grey_values_are_read_as_fractions_of_255():
    grey = torch.arange(256, dtype=torch.uint8)
    torch.testing.assert_close(as_float(grey).double(), torch.arange(256).double() / 255, rtol=1e-6, atol=0)
    assert as_float(grey)[255] == 1
    features = torch.tensor([-1.5, 300.0])
    assert torch.equal(as_float(features), features)


def test_the_time_of_a_step_is_shared_by_the_seeds_that_train_together(monkeypatch):
    """A clock that is a second later whenever it is looked at, before and after each of 15 steps."""
    run, clock = training([0, 1, 2]), count()
    monkeypatch.setattr(loop, "clock", lambda device: float(next(clock)))
    run.run(measure_nothing([0, 1, 2]), [])
    assert [progress.seconds for progress in run.progress] == [pytest.approx(5.0)] * 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU takes the training, and then the other tests ask for it")
def test_a_gpu_without_a_number_is_the_current_one(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    monkeypatch.setattr(torch._C, "_cuda_setDevice", chosen.append, raising=False)
    with pytest.raises((AssertionError, RuntimeError)):  # there is none
        Training(GumbelClustering(1, 20, SETTINGS), [0], X, training([0]).settings, "cuda")
    assert chosen == [1]
