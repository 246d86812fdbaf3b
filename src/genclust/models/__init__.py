"""The models, by the names that declarations use."""

from __future__ import annotations

from genclust.models.base import Model, Terms
from genclust.models.baselines import GaussianMixtureSettings, KMeansSettings
from genclust.models.explicit import ExplicitGMVAE, ExplicitSettings
from genclust.models.gmvae import GMVAE, GMVAESettings
from genclust.models.gumbel import GumbelClustering, GumbelSettings

#: Models that train in the loop: name -> (module, its settings).
MODELS: dict[str, tuple[type[Model], type]] = {
    "gumbel": (GumbelClustering, GumbelSettings),
    "gmvae": (GMVAE, GMVAESettings),
    "gmvae_explicit": (ExplicitGMVAE, ExplicitSettings),
}

#: Baselines that scikit-learn fits: name -> settings.
BASELINES: dict[str, type] = {"kmeans": KMeansSettings, "gmm": GaussianMixtureSettings}

__all__ = ["BASELINES", "MODELS", "Model", "Terms"]
