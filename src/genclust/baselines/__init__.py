"""Registry of the baselines: clustering methods as other libraries have them, each behind an adapter of a few lines.

An adapter is a frozen dataclass of settings whose ``fit(x, seed)`` returns something with ``cluster_posterior(x)``, the
log-probabilities ``[N, K]`` of the clusters.  Its ``needs`` are the libraries that ``make baselines`` installs; all are
imported when something is fitted, and not before.
"""

import importlib.util

from genclust.baselines.autoencoder import AutoencoderSettings, N2DSettings
from genclust.baselines.classical import GaussianMixtureSettings, KMeansSettings, SpectralSettings
from genclust.baselines.deep import DCNSettings, DECSettings, IDECSettings, VaDESettings
from genclust.baselines.libraries import PACKAGES, MissingLibrary
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


def packages(model: str) -> tuple[str, ...]:
    """Names of the packages that a model needs beyond those of the library itself; none if it is no baseline."""
    return tuple(PACKAGES[module] for module in getattr(BASELINES.get(model), "needs", ()))


def refuse_missing(model: str) -> None:
    """Raise an error if a library that a model needs is not installed; nothing is imported.

    Raises:
        MissingLibrary: with the command that installs it.
    """
    for module in getattr(BASELINES.get(model), "needs", ()):
        if importlib.util.find_spec(module) is None:
            raise MissingLibrary(
                f"The model {model} needs {PACKAGES[module]}, which is not installed; `make baselines` installs it."
            )


__all__ = ["BASELINES", "GaussianMixtureSettings", "KMeansSettings", "MissingLibrary", "packages", "refuse_missing"]
