"""Folders of the declarations, of the published records and of a user's own files."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genclust.settings import SettingError


def root() -> Path:
    """Folder that contains ``experiments/`` (the declarations) and ``results/`` (the published records).

    The present folder, or the nearest above it with a YAML file in ``experiments/``; else the repository of this
    installation.

    Raises:
        SettingError: if the library is used without its repository, outside of a folder with declarations.
    """
    for folder in (Path.cwd(), *Path.cwd().parents, *Path(__file__).resolve().parents):
        if next((folder / "experiments").glob("*.yaml"), None):
            return folder
    raise SettingError(
        "No folder experiments/ with declarations was found here or above; "
        "work in a clone of the repository or in a folder of your own that has one."
    )


def expanded(path: Path | None) -> Path | None:
    """A path of the command line with the home folder for ``~``, which shells leave in ``--out=~/m``."""
    return None if path is None else Path(os.path.expanduser(path))


def cache_folder() -> Path:
    """Folder of a user's runs, records and data: ``GENCLUST_CACHE``, or ``genclust`` in the user's cache folder.

    Raises:
        SettingError: if it should be in the home folder of a user who does not exist.
    """
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genclust"
    folder = Path(os.environ.get("GENCLUST_CACHE") or default)
    try:
        return folder.expanduser()
    except RuntimeError:
        raise SettingError(f"The cache folder {folder} is in the home folder of a user who does not exist.") from None


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Context manager that adds the file name to an error in writing, which the error of a full disk lacks."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(error.filename or path)) from error


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that a reader, also after an interruption, sees the old content or the new one."""
    prepared(path, content).replace(path)


def prepared(path: Path, content: bytes) -> Path:
    """A temporary file beside ``path`` with the content that ``path`` is to have, ready to be renamed.

    Raises:
        OSError: if it cannot be written; nothing is left of it then.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with naming(path), os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return Path(temporary)


def probe_folder(folder: Path) -> None:
    """Check that files can be written in a folder, or in its nearest parent that exists; no file is left there.

    Raises:
        OSError: if not.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    with naming(existing), tempfile.TemporaryFile(dir=existing) as file:
        file.write(bytes(4096))
