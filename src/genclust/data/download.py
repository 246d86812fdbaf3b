"""Downloading data sets from their sources, with resumption and checked digests."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import pooch
import requests
from tqdm import tqdm

from genclust.data.base import DataError
from genclust.data.catalogue import load, place, read, source_of, verify

# Which file is loaded is said by the progress bar, and what pooch advises on digests is not for our users.
pooch.get_logger().setLevel(logging.WARNING)

TIMEOUT = 30  # seconds without an answer, or without a byte


class ResumingDownloader:
    """Downloader for pooch that collects bytes in a ``.part`` file and resumes an interrupted download.

    Args:
        part: file in which the bytes are collected.
        progress: whether to show a progress bar.
    """

    def __init__(self, part: Path, progress: bool) -> None:
        self.part = part
        self.progress = progress

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        """Download ``url`` to ``output_file``; errors of `requests` are passed on."""
        have = self.part.stat().st_size if self.part.exists() else 0
        # Unencoded, because offsets into a file that is compressed on its way mean nothing.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            if have and response.status_code == requests.codes.requested_range_not_satisfiable:
                self.part.unlink()  # it has all the bytes or too many, and only a fresh start tells which
                return self(url, output_file, pooch)
            response.raise_for_status()
            if response.status_code != requests.codes.partial_content:
                have = 0
            length = response.headers.get("Content-Length")
            with (
                self.part.open("ab" if have else "wb") as file,
                tqdm(
                    desc=url.rsplit("/", 1)[-1],
                    initial=have,
                    total=have + int(length) if length else None,
                    unit="B",
                    unit_scale=True,
                    disable=not self.progress,
                ) as bar,
            ):
                for chunk in response.iter_content(1 << 16):
                    file.write(chunk)
                    bar.update(len(chunk))
        self.part.replace(output_file)


def fetch(name: str, folder: Path | str | None = None, progress: bool = True) -> Path:
    """Download a data set unless a correct copy is in the data folder already.

    Files are collected in a hidden folder and get their final names only when the whole data set
    has been read and its contents are correct.  A download that was interrupted is
    taken up where it stopped, and when one mirror fails the next is tried.

    Args:
        name: one of `genclust.data.names`.
        folder: the data folder; by default `genclust.data.folder`.
        progress: whether to show progress bars.

    Returns:
        The folder of the data set.

    Raises:
        DataError: if the name is unknown, the data set has no public address, or no mirror gave it.
    """
    source = source_of(name)
    target = place(name, folder)
    report = verify(name, folder)
    if report.state in ("ok", "unverified"):
        return target
    if not source.mirrors:
        raise DataError(report.detail)
    faults = []
    for number, mirror in enumerate(source.mirrors):
        staging = target / f".incoming-{number}"  # one per mirror, lest files be stitched together from two
        try:
            for file, known_hash in source.files.items():
                downloader = ResumingDownloader(staging / f"{file}.part", progress)
                pooch.retrieve(mirror + file, known_hash, file, staging, downloader=downloader)
        except (OSError, ValueError) as error:  # no answer, a wrong hash, a full disk
            faults.append(f"{mirror} ({_reason(error)})")
            continue
        try:
            read(name, source, staging)
        except DataError as error:
            faults.append(f"{mirror} ({error})")
            shutil.rmtree(staging)
            continue
        for file in source.files:
            (staging / file).replace(target / file)
        for leftover in target.glob(".incoming-*"):
            shutil.rmtree(leftover)
        load(name, folder)  # a file that was put there by hand may still be wrong
        return target
    raise DataError(
        f"Data set {name!r} could not be fetched to {target} from {', nor from '.join(faults)}; "
        f"run `genclust data fetch {name}` again to go on, or place {', '.join(source.files)} there by hand."
    )


def _reason(error: OSError | ValueError) -> str:
    """Short description of a download error."""
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT} s"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return " ".join(str(error).split())
