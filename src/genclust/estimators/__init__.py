"""Models for people's own data, in the manner of scikit-learn: fit, predict, sample, save, load."""

from genclust.estimators.clustering import GMVAE, VLAC, CaGeM, GumbelClustering, SplitMerge
from genclust.estimators.density import IWAE, LVAE, VAE
from genclust.estimators.saving import ModelError, load

__all__ = ["GMVAE", "IWAE", "LVAE", "VAE", "VLAC", "CaGeM", "GumbelClustering", "ModelError", "SplitMerge", "load"]
