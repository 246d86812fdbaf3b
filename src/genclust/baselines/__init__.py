"""Registry of the baselines: clustering methods as other libraries have them, each behind an adapter of a few lines.

An adapter is a frozen dataclass of settings whose ``fit(x, seed)`` returns something with ``cluster_posterior(x)``, the
log-probabilities ``[N, K]`` of the clusters.  Its ``needs`` are the libraries that ``make baselines`` installs; all are
imported when something is fitted, and not before.
"""

from genclust.baselines.autoencoder import AutoencoderSettings, N2DSettings
from genclust.baselines.classical import GaussianMixtureSettings, KMeansSettings, SpectralSettings
from genclust.baselines.deep import DCNSettings, DECSettings, IDECSettings, VaDESettings
from genclust.baselines.libraries import MissingLibrary, packages, refuse_missing
from genclust.baselines.manifold import UMAPSettings

#: Baselines by the names that experiment declarations use, each as the class of its settings.
BASELINES: dict[str, type] = {
    "kmeans": KMeansSettings,
    "gmm": GaussianMixtureSettings,
    "spectral": SpectralSettings,
    "umap": UMAPSettings,
    "autoencoder": AutoencoderSettings,
    "n2d": N2DSettings,
    "dec": DECSettings,
    "idec": IDECSettings,
    "dcn": DCNSettings,
    "vade": VaDESettings,
}

__all__ = ["BASELINES", "GaussianMixtureSettings", "KMeansSettings", "MissingLibrary", "packages", "refuse_missing"]
