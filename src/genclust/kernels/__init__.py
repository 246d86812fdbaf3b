"""Fused operations: one file each, with a plain PyTorch reference, Triton kernels and one dispatch.

All of them are registered with ``torch.library``, so autograd, ``torch.compile`` and CUDA graphs
accept them.  Second derivatives are not available from the kernels (the plain forms have them).
"""

from genclust.kernels.bernoulli import bernoulli_log_prob, binarised_log_prob
from genclust.kernels.dispatch import HAS_TRITON, implementation
from genclust.kernels.random import binarise, normal, uniform

__all__ = [
    "HAS_TRITON",
    "bernoulli_log_prob",
    "binarise",
    "binarised_log_prob",
    "implementation",
    "normal",
    "uniform",
]
