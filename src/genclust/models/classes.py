r"""Expectations over the classes under q(y|·): exact sums, or the sum-and-sample estimator.

A bound with a discrete y holds, for every example, :math:`E_{q(y|\cdot)}[f_y] = \sum_y q_y f_y`, where each
:math:`f_y` costs a pass through the networks, and most :math:`q_y` soon are next to nothing.  The sum-and-sample
estimator (Liu, Regier, Tripuraneni, Jordan, McAuliffe, "Rao-Blackwellized Stochastic Gradients for Discrete
Distributions", ICML 2019) keeps the m most probable classes C, and draws one class c of the others, with the
probability :math:`r_c = q_c / (1 - \sum_{y \in C} q_y)`, which is held constant when gradients are taken:

.. math::

    \hat F = b + \sum_{y \in C} q_y (f_y - b) + \frac{q_c}{r_c} (f_c - b), \qquad
    b = \frac{\sum_{y \in C} q_y f_y}{\sum_{y \in C} q_y} \text{, held constant as well}

For any constant b and r, :math:`E_c\big[\frac{q_c}{r_c}(f_c - b)\big] = \sum_{y \notin C} q_y (f_y - b)` for all values
of the parameters, and :math:`\sum_y q_y = 1`; so

.. math::

    E_c[\hat F] = b + \sum_y q_y (f_y - b) = \sum_y q_y f_y \quad\text{and}\quad
    E_c[\nabla \hat F] = \nabla \sum_y q_y f_y

Written out, with weights :math:`w_y = q_y` in C and :math:`w_c = q_c / r_c = 1 - \sum_{y \in C} q_y`, the gradient is

.. math::

    \nabla \hat F = \sum_{y \in C \cup \{c\}} w_y \nabla f_y + \sum_{y \in C} (f_y - b) \nabla q_y
        + w_c\, (f_c - b)\, \nabla \log q_c

whose last term is that of the score function with the baseline b.  Since the weights w sum to one, the value of
:math:`\hat F` does not depend on b; the variance of its gradient does.

Batch statistics count the classes by the same weights w, which sum to one, so that for fixed activations their first
and second moments are unbiased.  What is normalised by them is not: the variance is short by that of the mean, of
the order of one over the batch's size, and the normalised activations are not linear in either.  With batch
normalisation the two expectations above hold given the statistics; without it, they hold as they stand.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from genclust.models.base import BernoulliModel
from genclust.models.distributions import categorical
from genclust.streams import Noise


class ClassSummingModel(BernoulliModel):
    """Base class of models whose bound sums over the classes of every example; their settings have ``classes``."""

    def with_classes(self, classes: int) -> Self:
        """Copy of the model whose training steps sum exactly over this number of the most probable classes (0: all)."""
        other = copy.deepcopy(self)
        other.settings = replace(self.settings, classes=classes)
        return other


@dataclass(frozen=True)
class ClassSum:
    """Classes that are evaluated for each example, and their weights in an expectation under q(y|·).

    Attributes:
        q: probabilities q(y|·) of all classes, ``[R, B, K]``.
        y: the S classes evaluated, the most probable first and the drawn one last, ``[R, B, S]``; None for all K.
        weights: weights of the evaluated classes, ``[R, B, S]`` or ``[R, B, K]``, which sum to one.
    """

    q: Float[Tensor, "R B K"]
    y: Int[Tensor, "R B S"] | None
    weights: Float[Tensor, "R B S"]

    @property
    def visited(self) -> int:
        """Number of classes evaluated per example: S, or K if all are."""
        return self.weights.shape[-1]

    def mean(self, f: Float[Tensor, "R B S"], of_q: Float[Tensor, "R B K"] | float = 0.0) -> Float[Tensor, "R B"]:
        """Expectation of f + ``of_q`` under q(y|·), or an estimate of it whose value and gradient are unbiased.

        Args:
            f: values for the evaluated classes, which cost a pass through the networks.
            of_q: values for all classes, known at no cost; their expectation is exact.
        """
        if self.y is None:
            return (self.weights * (of_q + f)).sum(-1)
        top = self.weights[..., :-1]
        b = ((top * f[..., :-1]).sum(-1) / top.sum(-1)).detach()
        return b + (self.weights * (f - b[..., None])).sum(-1) + (self.q * of_q).sum(-1)


def class_sum(log_q: Float[Tensor, "R B K"], exactly: int, noise: Noise, learning: bool) -> ClassSum:
    """All classes or, in a training step, the ``exactly`` most probable ones and one drawn from the others.

    Without gradients all classes are used, so that learning curves on validation data and recomputed batch statistics
    are exact.  The same holds if ``exactly`` is 0, or leaves no more than one class.

    Args:
        log_q: log-probabilities log q(y|·), in nats.
        exactly: number m of classes.
        noise: random numbers, of which one per class is used if a class is drawn.
        learning: whether the model is in training mode.
    """
    q = log_q.exp()
    if not exactly or exactly + 1 >= q.shape[-1] or not learning or not torch.is_grad_enabled():
        return ClassSum(q, None, q)
    fixed = log_q.detach()
    top = fixed.topk(exactly).indices
    others = fixed.scatter(-1, top, -torch.inf)
    drawn = categorical(others, noise.uniform(*log_q.shape[1:]))[..., None]
    log_r = torch.cat([torch.zeros_like(top, dtype=fixed.dtype), others.log_softmax(-1).gather(-1, drawn)], -1)
    y = torch.cat([top, drawn], -1)
    return ClassSum(q, y, (log_q.gather(-1, y) - log_r).exp())
