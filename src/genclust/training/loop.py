"""The training loop of all models: replicas train together, on data that stay on the device.

On a CPU the step runs eagerly.  On a GPU its launches would cost more than its arithmetic, so the
whole step is one CUDA graph (see :mod:`genclust.training.capture`), and the host looks at it once
an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genclust.models.base import Labelled, Model
from genclust.models.inference import as_float
from genclust.settings import SettingError, later, within
from genclust.streams import Noise, noise_on
from genclust.timing import clock
from genclust.training.capture import CapturedStep
from genclust.training.schedules import Schedule

#: Number of labelled examples per step, drawn with replacement; if there are fewer, each step gets all of them.
LABELLED_A_STEP = 100

#: Function called with the epoch after each measured epoch; it returns a point of the learning curve per replica.
Measure = Callable[[int], list[dict[str, float]]]


@dataclass(frozen=True)
class TrainingSettings:
    """Hyper-parameters of training: schedules, epochs, batch size, precision, clipping and Adam.

    Attributes:
        schedules: ``learning_rate`` and all schedules that the model's loss needs, by name.
        epochs: number of passes over the training split.
        batch_size: number of examples per step; the last batch of an epoch may be smaller.
        precision: ``float32``, or ``bf16`` for bfloat16 matrix products; likelihoods, divergences,
            batch statistics and Adam stay in float32.  ``faster`` stands for the faster of the two on the machine
            that begins the run (see :func:`~genclust.training.precision.faster_precision`), which then keeps it.
        clip_norm: largest norm of each replica's gradient, to which it is scaled down; 0 for no limit.
        snapshots: epochs after which the embedding of some test points is stored.
        adam_epsilon: constant added to the root mean square gradient in Adam.
    """

    schedules: Mapping[str, Schedule]
    epochs: int = within(1, 1_000_000)
    batch_size: int = within(2, 1_000_000)
    precision: Literal["float32", "bf16", "faster"] = "float32"
    clip_norm: float = later(0.0, 0, 1e9)
    snapshots: tuple[int, ...] = within(1, 1_000_000, default=())
    adam_epsilon: float = later(1e-8, 0, 1)


@dataclass
class Progress:
    """State of one replica's training so far: learning curve, step of failure, and seconds."""

    curve: list[dict[str, float]] = field(default_factory=list)
    failed_at_step: int | None = None
    seconds: float = 0.0


@torch.no_grad()
def clip_norm(parameters: Sequence[Tensor], largest: float) -> None:
    """Scale each replica's gradient so that its norm over all parameters is at most ``largest``."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    squares = torch.stack([g.flatten(1).square().sum(1) for g in gradients])
    scale = (largest / squares.sum(0).sqrt()).clamp(max=1)  # of a gradient of zero: inf, clamped
    for gradient in gradients:
        gradient.mul_(scale.view(-1, *[1] * (gradient.ndim - 1)))


class Training:
    """Training of R replicas of one model on one data set.

    Args:
        model: model to train, initialised here from each seed's own random stream.
        seeds: one seed per replica.
        x: training split ``[N, D]``, uint8 grey values or float32, kept on ``device``.
        settings: hyper-parameters of training.
        labelled: indices of the rows of ``x`` whose labels each replica knows, and the labels, both ``[R, L]``.
        device: device of the model and the data.
        capture: whether to capture the whole step as a CUDA graph; by default on a GPU.  On a CPU the same code
            runs without a graph, which is how it is tested.
    """

    def __init__(
        self,
        model: Model,
        seeds: Sequence[int],
        x: Tensor,
        settings: TrainingSettings,
        device: torch.device | str = "cpu",
        capture: bool | None = None,
        labelled: tuple[Int[Tensor, "R L"], Int[Tensor, "R L"]] | None = None,
    ) -> None:
        self.seeds = list(seeds)
        self.settings = settings
        self.device = torch.device(device)
        if self.device.type == "cuda":
            if self.device.index is None:  # set_device asks for one
                self.device = torch.device("cuda", torch.cuda.current_device())
            torch.cuda.set_device(self.device)  # on which graphs are captured
            torch.backends.cudnn.allow_tf32 = False  # float32 means float32, in convolutions too
        model.initialise(Noise(self.seeds, "initial weights").generators)  # on the CPU: one seed, one start
        model.initialise_from_data(as_float(x))
        self.model = model.to(self.device)
        self.x = x.to(self.device)
        self.labelled = None if labelled is None else tuple(t.to(self.device) for t in labelled)
        self.steps_per_epoch = steps_per_epoch(len(x), settings.batch_size)
        self.total_steps = settings.epochs * self.steps_per_epoch
        parameters = dict(model.named_parameters())
        #: What the forward pass changes in the model's state, such as running statistics.
        self._statistics = {name: tensor for name, tensor in model.state_dict().items() if name not in parameters}
        self.step = 0
        self.progress = [Progress() for _ in self.seeds]
        self.noise = noise_on(self.device, self.seeds, "training noise")
        self.optimiser = torch.optim.Adam(model.parameters(), eps=settings.adam_epsilon, fused=True)
        self._order = Noise(self.seeds, "order of examples")
        self._permutation: tuple[int, Tensor] | None = None
        self._frozen: dict[int, dict[str, Tensor]] = {}
        captures = self.device.type != "cpu" if capture is None else capture
        self._captured = CapturedStep(self) if captures else None

    @property
    def finished(self) -> bool:
        """Whether training is over: the last step is reached, or every replica has failed."""
        return self.step >= self.total_steps or len(self._frozen) == len(self.seeds)

    @property
    def epoch(self) -> int:
        """Number of completed epochs."""
        return self.step // self.steps_per_epoch

    def run(
        self,
        measure: Measure,
        measured_epochs: Sequence[int],
        report: Callable[[float, int], None] = lambda loss, steps: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train until the last step or until ``stop()`` is true; returns whether training is over.

        ``report`` gets the mean of the replicas' objectives that are finite and the number of steps
        made since it was last called: one on a CPU, an epoch's where steps are captured.
        A replica whose objective becomes non-finite keeps the parameters and batch statistics it had before that step
        (where steps are captured, before that epoch) and is marked as failed; the others go on.
        """
        self.model.train()
        while not self.finished and not stop():
            began, first = clock(self.device.type), self.step
            objective = self._captured_epoch(self._captured) if self._captured else self._one_step()
            if self.step % self.steps_per_epoch == 0 and self.epoch in measured_epochs:
                self.model.eval()
                for progress, point in zip(self.progress, measure(self.epoch), strict=True):
                    progress.curve.append({"epoch": self.epoch, **point})
                self.model.train()
            elapsed = clock(self.device.type) - began
            for progress in self.progress:
                progress.seconds += elapsed / len(self.seeds)
            report(float(objective[objective.isfinite()].mean()), self.step - first)
        self.model.eval()
        return self.finished

    def permutation(self, epoch: int) -> Int[Tensor, "R N"]:
        """Order of the training examples in an epoch, for each replica."""
        if self._permutation is None or self._permutation[0] != epoch:
            self._permutation = epoch, self._order.at(epoch).permutation(len(self.x)).to(self.device)
        return self._permutation[1]

    def scheduled(self, step: int) -> dict[str, float]:
        """Values of all schedules at a given step, by name."""
        return {name: schedule(step / self.steps_per_epoch) for name, schedule in self.settings.schedules.items()}

    def update(
        self,
        index: Int[Tensor, "R B"],
        scheduled: Mapping[str, float | Tensor],
        inspect: Callable[[Tensor], None] = lambda objective: None,
    ) -> Float[Tensor, " R"]:
        """Make one optimisation step on the examples at ``index``; returns the objective of each replica, in nats.

        Nothing here waits for the device, so that it can be captured; ``inspect`` sees the
        objective before the parameters move.
        """
        enabled = self.settings.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=enabled, cache_enabled=self._captured is None):
            terms = self.model.loss(as_float(self.x[index]), scheduled, self.noise, *self._labels())
        objective = terms.objective.detach()
        inspect(objective)
        self.optimiser.zero_grad()
        terms.objective.sum().backward()
        if self.settings.clip_norm:
            clip_norm(list(self.model.parameters()), self.settings.clip_norm)
        self.optimiser.step()
        return objective

    def _labels(self) -> tuple[Labelled, ...]:
        """Labelled examples as a further argument of the model's loss; empty without labels."""
        if self.labelled is None:
            return ()
        index, y = self.labelled
        known = index.shape[1]
        if known > LABELLED_A_STEP:
            chosen = (self.noise.uniform(LABELLED_A_STEP) * known).long()
            index, y = index.gather(1, chosen), y.gather(1, chosen)
        return (Labelled(as_float(self.x[index]), y, len(self.x) / known),)

    def _one_step(self) -> Tensor:
        epoch, at = divmod(self.step, self.steps_per_epoch)
        index = self.permutation(epoch)[:, at * self.settings.batch_size : (at + 1) * self.settings.batch_size]
        scheduled = self.scheduled(self.step)
        self.optimiser.param_groups[0]["lr"] = scheduled["learning_rate"]
        self.noise.at(self.step)
        before = {name: tensor.clone() for name, tensor in self._statistics.items()}

        def freeze(objective: Tensor) -> None:
            for r in torch.nonzero(~objective.isfinite()).flatten().tolist():
                self._freeze(r, self.step, self._slice(r) | {name: tensor[r].cpu() for name, tensor in before.items()})

        objective = self.update(index, scheduled, freeze)
        self._restore_frozen()
        self.step += 1
        return objective

    def _captured_epoch(self, captured: CapturedStep) -> Tensor:
        objective, failed_at, before = captured.epoch()
        for r, step in enumerate(failed_at):
            if step >= 0:
                self._freeze(r, step, {name: tensor[r].cpu() for name, tensor in before.items()})
        self._restore_frozen()
        self.step += self.steps_per_epoch
        return objective

    def _freeze(self, r: int, step: int, state: dict[str, Tensor]) -> None:
        if r not in self._frozen:
            self._frozen[r] = state
            self.progress[r].failed_at_step = step

    # Replicas are slices of every tensor, so one can be frozen, saved or loaded by itself.

    def _slice(self, r: int) -> dict[str, Tensor]:
        return {name: tensor[r].detach().cpu().clone() for name, tensor in self.model.state_dict().items()}

    @torch.no_grad()
    def _restore_frozen(self) -> None:
        if self._frozen:
            state = self.model.state_dict()
            for r, frozen in self._frozen.items():
                for name, tensor in frozen.items():
                    state[name][r] = tensor

    def state_of(self, r: int) -> dict[str, Any]:
        """Checkpoint of replica r: everything needed to resume it, alone or together with others."""
        moments = {
            name: {
                key: value[r].cpu().clone() for key, value in self.optimiser.state[parameter].items() if key != "step"
            }
            for name, parameter in self.model.named_parameters()
            if parameter in self.optimiser.state
        }
        run = {"seed": self.seeds[r], "step": self.step, "device": self.device.type}
        return run | {"model": self._slice(r), "adam": moments} | vars(self.progress[r])

    def misfit(self, state: Mapping[str, Any]) -> str:
        """Short reason why a replica cannot be resumed from ``state``; empty if it can."""
        expected = {"seed", "step", "device", "model", "adam", *vars(Progress())}
        if missing := sorted(expected - state.keys()):
            return f"it lacks {', '.join(missing)}"
        step = state["step"]
        if not isinstance(step, int) or not 0 <= step <= self.total_steps:
            return f"it stands at step {step!r} of {self.total_steps}"
        shapes = {name: tensor.shape[1:] for name, tensor in self.model.state_dict().items()}
        if (wrong := _differs(state["model"], shapes)) is not None:
            return f"its {wrong} does not fit the model"
        for name, parameter in self.model.named_parameters() if step else ():
            moments = state["adam"].get(name) if isinstance(state["adam"], dict) else None
            if _differs(moments, dict.fromkeys(("exp_avg", "exp_avg_sq"), parameter.shape[1:])) is not None:
                return f"its moments of {name} do not fit the model"
        return ""

    @torch.no_grad()
    def load(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Resume from the checkpoints of all replicas, each of which must fit (see :meth:`misfit`).

        Raises:
            SettingError: if they do not stand at the same step, or were begun on another kind of device.
        """
        if any(state["device"] != self.device.type for state in states):
            raise SettingError(
                f"Training was begun on {states[0]['device']}, and {self.device.type} draws other random numbers; "
                "give the device it was begun on, or delete the checkpoint."
            )
        self.step = states[0]["step"]
        if [state["seed"] for state in states] != self.seeds or any(state["step"] != self.step for state in states):
            raise SettingError("Replicas can only go on together from the same step, in the order of their seeds.")
        model_state = self.model.state_dict()
        for r, state in enumerate(states):
            for name, tensor in state["model"].items():
                model_state[name][r] = tensor.to(self.device)
            self.progress[r] = Progress(list(state["curve"]), state["failed_at_step"], state["seconds"])
            if state["failed_at_step"] is not None:
                self._frozen[r] = dict(state["model"])
        if self.step:
            for name, parameter in self.model.named_parameters():
                moments = {
                    key: torch.stack([state["adam"][name][key] for state in states]).to(self.device)
                    for key in ("exp_avg", "exp_avg_sq")
                }
                moments["step"] = torch.tensor(float(self.step), device=self.device)
                for key, value in self.optimiser.state.setdefault(parameter, moments).items():
                    value.copy_(moments[key])  # in place, since a captured graph works on what is there


def steps_per_epoch(n: int, batch_size: int) -> int:
    """Number of batches of ``n`` examples; a last one of a single example has no variance and is left out."""
    return n // batch_size + (n % batch_size > 1)


def _differs(tensors: Any, shapes: Mapping[str, torch.Size]) -> str | None:
    """First name for which ``tensors`` has no tensor of the expected shape; None if all fit."""
    if not isinstance(tensors, Mapping):
        return "content"
    for name in sorted(shapes.keys() | tensors.keys()):
        tensor = tensors.get(name)
        if name not in shapes or not isinstance(tensor, Tensor) or tensor.shape != shapes[name]:
            return name
    return None
