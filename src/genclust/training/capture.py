"""The training step as CUDA graphs: its kernels are launched as one, with no decision left to the host.

All that changes from step to step lives on the device: the order of the examples, the place in it,
the schedules' values, the counter of the random numbers, and whether a replica has failed.  The
host fills in an epoch's order and schedules, replays, and looks at the outcome once.  Checkpoints,
measurements and early stops happen between epochs.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from genclust.training.loop import Training


class CapturedStep:
    """The training step as CUDA graphs, captured when the first epoch begins.

    An epoch has one graph, or two where its last batch is smaller.

    Args:
        training: training whose model, data and optimiser the graphs use and update in place.
    """

    def __init__(self, training: Training) -> None:
        self.training = training
        device, n_steps = training.device, training.steps_per_epoch
        self.order = torch.empty(len(training.seeds), len(training.x), dtype=torch.int64, device=device)
        self.scheduled = {name: torch.empty(n_steps, device=device) for name in training.settings.schedules}
        self.learning_rate = torch.zeros((), device=device)
        self.step = torch.zeros(1, dtype=torch.int64, device=device)  # of the whole training
        self.at = torch.zeros(1, dtype=torch.int64, device=device)  # within the epoch
        self.failed_at = torch.full((len(training.seeds),), -1, device=device)
        self.objective = torch.zeros(len(training.seeds), device=device)
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        group = training.optimiser.param_groups[0]
        group["lr"] = self.learning_rate
        group["capturable"] = device.type != "cpu"  # its step counts then live on the device
        for parameter in group["params"]:  # Adam makes them in its first step, too late for a graph
            training.optimiser.state[parameter] = {
                "step": torch.zeros((), device=device),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    def epoch(self) -> tuple[Float[Tensor, " R"], list[int], dict[str, Tensor]]:
        """Run all steps of the next epoch.

        Returns:
            The mean objective of the epoch, for each replica the step at which its objective was
            first not finite (or -1), and the model's state as it was before.
        """
        training = self.training
        epoch, at = divmod(training.step, training.steps_per_epoch)
        if at:
            raise RuntimeError("A captured training goes on from the beginning of an epoch.")
        self.order.copy_(training.permutation(epoch))
        for name, values in self.scheduled.items():
            steps = range(training.step, training.step + training.steps_per_epoch)
            values.copy_(torch.tensor([training.scheduled(step)[name] for step in steps]))
        self.step.fill_(training.step)
        self.at.zero_()
        self.objective.zero_()
        self.failed_at.fill_(-1)
        before = {name: tensor.clone() for name, tensor in training.model.state_dict().items()}
        for size in self._batch_sizes():
            if training.device.type == "cpu":
                self._one(size)
            else:
                self._graph(size).replay()
        return self.objective.cpu() / training.steps_per_epoch, self.failed_at.tolist(), before

    def _batch_sizes(self) -> Iterator[int]:
        size, left = self.training.settings.batch_size, len(self.training.x)
        for _ in range(self.training.steps_per_epoch):
            yield min(size, left)
            left -= size

    def _one(self, size: int) -> None:
        """One captured step: select the batch, update the parameters, advance the counters."""
        training = self.training
        places = self.at * training.settings.batch_size + torch.arange(size, device=training.device)
        index = self.order.index_select(1, places)
        scheduled = {name: values.index_select(0, self.at).squeeze(0) for name, values in self.scheduled.items()}
        self.learning_rate.copy_(scheduled["learning_rate"])
        training.noise.at(self.step.squeeze(0))
        objective = training.update(index, scheduled)
        fails_now = ~objective.isfinite() & (self.failed_at < 0)
        self.failed_at.copy_(torch.where(fails_now, self.step, self.failed_at))
        self.objective.add_(objective)
        self.step.add_(1)
        self.at.add_(1)

    def _graph(self, size: int) -> torch.cuda.CUDAGraph:
        if size not in self._graphs:
            # Kernels are compiled and workspaces allocated by running before, off the record.
            state = list(self._state())
            initial = [t.clone() for t in state]
            side = torch.cuda.Stream(self.training.device)
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side), torch.no_grad():
                for _ in range(2):
                    with torch.enable_grad():
                        self._one(size)
                    for tensor, value in zip(state, initial, strict=True):
                        tensor.copy_(value)
            torch.cuda.current_stream().wait_stream(side)
            self.training.optimiser.zero_grad()  # so that the graph makes its gradients in its own memory
            gc.collect()  # another training's graphs must not be freed in the middle of a capture
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=side):  # the default stream is of the first device that captured
                self._one(size)
            self._graphs[size] = graph
        return self._graphs[size]

    def _state(self) -> Iterator[Tensor]:
        """All tensors that a step changes."""
        yield from (t.detach() for t in self.training.model.state_dict().values())
        for moments in self.training.optimiser.state.values():
            yield from moments.values()
        yield from (self.step, self.at, self.failed_at, self.objective, self.learning_rate)
