"""Clusters in deep generative models: data, models, training, evaluation, experiments, and estimators for own data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genclust.estimators.clustering import GMVAE, VLAC, CaGeM, GumbelClustering, SplitMerge
    from genclust.estimators.density import IWAE, LVAE, VAE
    from genclust.estimators.saving import load

__version__ = "1.10.0"
__all__ = ["GMVAE", "IWAE", "LVAE", "VAE", "VLAC", "CaGeM", "GumbelClustering", "SplitMerge", "load"]


def __getattr__(name: str) -> Any:
    """Import an estimator on first use, since importing PyTorch takes seconds."""
    if name not in __all__:
        raise AttributeError(f"module 'genclust' has no attribute {name!r}")
    from genclust import estimators

    return getattr(estimators, name)


def __dir__() -> list[str]:
    """Names for completion, those of estimators that are not imported yet among them."""
    return sorted({*globals(), *__all__})
