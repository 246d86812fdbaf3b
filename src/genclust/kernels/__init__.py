"""Fused operations, one per file, each with a plain PyTorch reference and Triton kernels.

All of them are registered with ``torch.library``, so autograd, ``torch.compile`` and CUDA graphs
accept them.  Second derivatives are not available from the kernels (the plain forms have them).
"""

from genclust.kernels.bernoulli import bernoulli_log_prob
from genclust.kernels.classbias import class_bias_act
from genclust.kernels.dispatch import HAS_TRITON, implementation
from genclust.kernels.gaussian import gaussian_kl
from genclust.kernels.gumbel import gumbel_softmax
from genclust.kernels.logmeanexp import LogMeanExp, log_mean_exp
from genclust.kernels.mixture import Mixture, mixture
from genclust.kernels.random import normal, uniform

__all__ = [
    "HAS_TRITON",
    "LogMeanExp",
    "Mixture",
    "bernoulli_log_prob",
    "class_bias_act",
    "gaussian_kl",
    "gumbel_softmax",
    "implementation",
    "log_mean_exp",
    "mixture",
    "normal",
    "uniform",
]
