"""Registry of all models, by the names that experiment declarations use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import is_dataclass
from typing import TypeVar

from genclust.baselines import BASELINES
from genclust.models.auxiliary import ADGM, AVAE, ADGMSettings, AVAESettings
from genclust.models.base import BernoulliModel, Labelled, Model, Terms
from genclust.models.cagem import CaGeM, CaGeMSettings
from genclust.models.explicit import ExplicitGMVAE, ExplicitSettings
from genclust.models.gmvae import GMVAE, GMVAESettings
from genclust.models.gumbel import GumbelClustering, GumbelSettings
from genclust.models.imsat import IMSAT, IMSATSettings
from genclust.models.iwae import IWAE, IWAESettings
from genclust.models.ladder import LVAE, LVAESettings
from genclust.models.splitmerge import SplitMerge, SplitMergeSettings
from genclust.models.vlac import GMDGM, VLAC, VLAE, GMDGMSettings, VLACSettings, VLAESettings
from genclust.settings import SettingError

M = TypeVar("M", bound=type[Model])

#: Trainable models by name, each as the class of the model and the class of its settings.
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
    "imsat": (IMSAT, IMSATSettings),
    "splitmerge": (SplitMerge, SplitMergeSettings),
}


def register(name: str, settings: type) -> Callable[[M], M]:
    """Decorator that registers a model class from outside the library, so that declarations can name it.

    Args:
        name: name of the model in declarations.
        settings: frozen dataclass of its settings.

    Raises:
        SettingError: if the name is taken, or the class or its settings do not keep the contract.
    """

    def add(model: M) -> M:
        if name in MODELS or name in BASELINES:
            raise SettingError(f"There is a model {name!r} already; register {model.__name__} under another name.")
        if fault := _fault(model, settings):
            raise SettingError(f"The model {name!r} cannot be registered: {fault}.")
        MODELS[name] = (model, settings)
        return model

    return add


def _fault(model: type, settings: type) -> str:
    """Short reason why a class and its settings cannot be registered as a model; empty if they can."""
    if not issubclass(model, Model):
        return f"{model.__name__} is not a subclass of genclust.models.Model"
    if not is_dataclass(settings) or not settings.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        return f"its settings, {settings.__name__}, are not a frozen dataclass"
    lacking = [part for part in dir(model) if getattr(getattr(model, part), "__isabstractmethod__", False)]
    return f"{model.__name__} does not define {', '.join(lacking)}" if lacking else ""


__all__ = ["MODELS", "BernoulliModel", "Labelled", "Model", "Terms", "register"]
