"""Check of the device on which a training runs."""

from __future__ import annotations

import torch

from genclust.settings import SettingError


def checked_device(device: str) -> str:
    """Short name of a device, after a check that the device exists.

    Args:
        device: name such as ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        SettingError: if it does not exist.
    """
    try:
        requested = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise SettingError(f"There is no device {device!r}; give cpu, cuda or cuda:1.") from error
    if requested.type not in ("cpu", "cuda"):
        raise SettingError(f"The device {device!r} is not supported; give cpu, cuda or cuda:1.")
    if requested.type == "cpu":
        if requested.index:
            raise SettingError(f"There is no device {device!r}; give cpu, which is all cores together.")
        return "cpu"
    if not torch.cuda.is_available():
        raise SettingError("No CUDA device was found; give cpu.")
    if (requested.index or 0) >= torch.cuda.device_count():
        raise SettingError(
            f"There is no device {device!r}, only {torch.cuda.device_count()} of its kind, from cuda:0 on; "
            "give one of them, or cpu."
        )
    return device
