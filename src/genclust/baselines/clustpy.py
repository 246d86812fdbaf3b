"""Import of ClustPy without torchvision, which it imports and fully connected networks do not use."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

from genclust.baselines.libraries import quiet

#: Modules and classes of torchvision that importing ClustPy asks for.
NAMES: dict[str, tuple[str, ...]] = {
    "torchvision": (),
    "torchvision.datasets": ("VisionDataset",),
    "torchvision.transforms": (),
    "torchvision.models": (),
    "torchvision.models._api": ("Weights", "WeightsEnum"),
}


def deep() -> ModuleType:
    """ClustPy's module of deep clustering, imported in silence."""
    stand_in_for_torchvision()
    limit = sys.getrecursionlimit()
    with quiet():
        module = import_module("clustpy.deep")
    sys.setrecursionlimit(limit)  # it sets a thousand million, with which an endless recursion ends the process
    return module


def stand_in_for_torchvision() -> None:
    """Insert empty modules with which ClustPy can be imported where torchvision is not installed.

    ClustPy imports torchvision for its data loaders and for pretrained image networks. The stand-in has the names that
    importing asks for and nothing behind them, and lives in this process only.
    """
    try:
        import_module("torchvision")
    except (ImportError, RuntimeError):  # a torchvision built for another torch fails with RuntimeError
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for name, classes in NAMES.items():
            module = ModuleType(name)
            module.__spec__ = ModuleSpec(name, None, is_package=True)
            module.__path__ = []
            for attribute in classes:
                setattr(module, attribute, type(attribute, (), {}))
            sys.modules[name] = module
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, module)
