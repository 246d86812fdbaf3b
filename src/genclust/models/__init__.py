"""The models, by the names that declarations use."""

from __future__ import annotations

from genclust.models.auxiliary import ADGM, AVAE, ADGMSettings, AVAESettings
from genclust.models.base import BernoulliModel, Labelled, Model, Terms
from genclust.models.baselines import GaussianMixtureSettings, KMeansSettings
from genclust.models.cagem import CaGeM, CaGeMSettings
from genclust.models.explicit import ExplicitGMVAE, ExplicitSettings
from genclust.models.gmvae import GMVAE, GMVAESettings
from genclust.models.gumbel import GumbelClustering, GumbelSettings
from genclust.models.iwae import IWAE, IWAESettings
from genclust.models.ladder import LVAE, LVAESettings
from genclust.models.vlac import GMDGM, VLAC, VLAE, GMDGMSettings, VLACSettings, VLAESettings

#: Models that train in the loop: name -> (module, its settings).
MODELS: dict[str, tuple[type[Model], type]] = {
    "gumbel": (GumbelClustering, GumbelSettings),
    "gmvae": (GMVAE, GMVAESettings),
    "gmvae_explicit": (ExplicitGMVAE, ExplicitSettings),
    "cagem": (CaGeM, CaGeMSettings),
    "iwae": (IWAE, IWAESettings),
    "lvae": (LVAE, LVAESettings),
    "avae": (AVAE, AVAESettings),
    "adgm": (ADGM, ADGMSettings),
    "vlac": (VLAC, VLACSettings),
    "vlae": (VLAE, VLAESettings),
    "gmdgm": (GMDGM, GMDGMSettings),
}

#: Baselines that scikit-learn fits: name -> settings.
BASELINES: dict[str, type] = {"kmeans": KMeansSettings, "gmm": GaussianMixtureSettings}

__all__ = ["BASELINES", "MODELS", "BernoulliModel", "Labelled", "Model", "Terms"]
