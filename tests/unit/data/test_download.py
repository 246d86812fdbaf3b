"""Fetching, from a server on this machine: good files, bad ones, bad servers and interruptions."""

from __future__ import annotations

import gzip
import hashlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import tiny_data as tiny
from typer.testing import CliRunner

from genclust import data
from genclust.cli_data import app
from genclust.data.source import Source

FILES = ("zip.train.gz", "zip.test.gz")


class Server(ThreadingHTTPServer):
    """Serves `files` by path, with faults on demand, and keeps a log of what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.status: dict[str, int] = {}  # answered instead of the file
        self.cut: dict[str, int] = {}  # bytes after which the connection is dropped
        self.stall: dict[str, int] = {}  # bytes after which nothing more comes
        self.ranges = True
        self.log: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path, wanted = self.path, self.headers.get("Range")
        self.server.log.append((path, wanted))
        if path not in self.server.files or path in self.server.status:
            return self.send_error(self.server.status.get(path, 404))
        body, status = self.server.files[path], 200
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                return self.send_error(416)
            body, status = body[start:], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.server.cut.get(path, self.server.stall.get(path, len(body)))])
        self.wfile.flush()
        if path in self.server.stall:
            time.sleep(60)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def target(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, and sources that give the small USPS files at two mirrors, the second of which is down."""
    example = tmp_path / "example"
    example.mkdir()
    tiny.write_usps(example)
    server.files = {f"/a/{name}": (example / name).read_bytes() for name in FILES}
    tiny.write_sources(tmp_path / "sources.yaml", "usps", example, mirrors=[f"{server.url}/a/", f"{server.url}/b/"])
    monkeypatch.setenv("GENCLUST_SOURCES", str(tmp_path / "sources.yaml"))
    monkeypatch.setenv("GENCLUST_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


def hashed(tmp_path: Path, server: Server) -> None:
    """Let the sources state the right hashes of the archives."""
    hashes = {name: f"sha256:{hashlib.sha256(server.files[f'/a/{name}']).hexdigest()}" for name in FILES}
    mirrors = [f"{server.url}/a/", f"{server.url}/b/"]
    tiny.write_sources(tmp_path / "sources.yaml", "usps", tmp_path / "example", mirrors=mirrors, files=hashes)


def up(server: Server, mirror: str) -> None:
    server.files |= {f"/{mirror}/{name}": server.files[f"/a/{name}"] for name in FILES}


def found(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def failure(match: str) -> str:
    with pytest.raises(data.DataError, match=match) as caught:
        data.fetch("usps", progress=False)
    assert "\n" not in str(caught.value) and "'usps'" in str(caught.value)
    return str(caught.value)


def test_files_are_fetched_once(server: Server, target: Path) -> None:
    assert data.verify("usps").state == "missing"
    assert data.fetch("usps", progress=False) == target / "usps"
    assert sorted(path.name for path in (target / "usps").iterdir()) == sorted(FILES)
    assert data.verify("usps").state == "ok"
    assert len(server.log) == 2
    data.fetch("usps", progress=False)
    assert len(server.log) == 2


def test_progress_is_shown(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data.fetch("usps")
    shown = capsys.readouterr().err
    assert all(name in shown for name in FILES) and "100%" in shown


@pytest.mark.parametrize("status", [404, 500])
def test_the_next_mirror_is_tried(server: Server, target: Path, status: int) -> None:
    up(server, "b")
    server.status["/a/zip.test.gz"] = status
    data.fetch("usps", progress=False)
    assert data.verify("usps").state == "ok"
    assert [path for path, _ in server.log] == [f"/{m}/{name}" for m in "ab" for name in FILES]
    assert found(target) == sorted(FILES)


@pytest.mark.parametrize("status", [404, 500])
def test_all_mirrors_down(server: Server, target: Path, status: int) -> None:
    server.status |= {"/a/zip.train.gz": status, "/b/zip.train.gz": status}
    message = failure(f"/a/ .*{status}.* nor from .*/b/ .*{status}")
    assert str(target / "usps") in message and "genclust data fetch usps" in message
    assert found(target) == []


def test_no_server_at_all(server: Server, target: Path, tmp_path: Path) -> None:
    tiny.write_sources(tmp_path / "sources.yaml", "usps", tmp_path / "example", mirrors=["http://127.0.0.1:9/"])
    failure("no connection")
    assert found(target) == []


def test_a_wrong_hash_is_refused(server: Server, target: Path, tmp_path: Path) -> None:
    hashed(tmp_path, server)
    good = server.files["/a/zip.test.gz"]
    server.files["/a/zip.test.gz"] = good[:-1] + b"?"
    failure("/a/ .*does not match the known hash")
    assert "zip.test.gz" not in found(target) and "zip.test.gz.part" not in found(target)
    server.files["/a/zip.test.gz"] = good
    data.fetch("usps", progress=False)
    assert data.verify("usps").state == "ok"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"<html>This site has moved</html>", "zip.test.gz is damaged"),
        (gzip.compress(tiny.zipcode_text(slice(10)).encode()), "contents are altered"),
        (gzip.compress(tiny.zipcode_text(slice(9)).encode()), "9 rows instead of 10"),
    ],
)
def test_wrong_contents_never_get_the_final_name(server: Server, target: Path, content: bytes, fault: str) -> None:
    up(server, "b")
    server.files["/a/zip.test.gz"] = content
    server.status["/b/zip.test.gz"] = 503
    failure(f"/a/ .*{fault}.* nor from .*/b/ .*503")
    assert not set(FILES) & {path.name for path in (target / "usps").iterdir()}
    del server.status["/b/zip.test.gz"]
    data.fetch("usps", progress=False)
    assert data.verify("usps").state == "ok" and found(target) == sorted(FILES)


def lengthen(server: Server) -> None:
    """Blanks between lines make the first file long, but no other data."""
    text = tiny.zipcode_text(slice(20)).replace("\n", " " * 10_000 + "\n")
    server.files["/a/zip.train.gz"] = gzip.compress(text.encode(), compresslevel=0)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_cut_download_is_taken_up_again(server: Server, target: Path, ranges: bool) -> None:
    lengthen(server)
    server.ranges = ranges
    server.cut["/a/zip.train.gz"] = 150_000
    failure("/a/ .*connection broke off")
    assert found(target) == ["zip.train.gz.part"]
    have = next(target.rglob("*.part")).stat().st_size
    assert 0 < have <= 150_000
    server.cut.clear()
    server.log.clear()
    data.fetch("usps", progress=False)
    assert server.log == [("/a/zip.train.gz", f"bytes={have}-"), ("/a/zip.test.gz", None)]
    assert found(target) == sorted(FILES) and data.verify("usps").state == "ok"


def test_a_part_that_is_too_long_is_dropped(server: Server, target: Path) -> None:
    part = target / "usps" / ".incoming-0" / "zip.train.gz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.files["/a/zip.train.gz"] + b"more")
    data.fetch("usps", progress=False)
    assert data.verify("usps").state == "ok"


def test_a_part_of_another_file_is_found_out(server: Server, target: Path) -> None:
    part = target / "usps" / ".incoming-0" / "zip.train.gz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 100)
    failure("zip.train.gz is damaged")
    data.fetch("usps", progress=False)  # afresh
    assert data.verify("usps").state == "ok"


def test_a_killed_download_is_taken_up_again(server: Server, target: Path) -> None:
    lengthen(server)
    server.stall["/a/zip.train.gz"] = 150_000
    part = target / "usps" / ".incoming-0" / "zip.train.gz.part"
    code = "from genclust import data; data.fetch('usps', progress=False)"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        deadline = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    have = part.stat().st_size
    assert 0 < have <= 150_000 and not [path for path in (target / "usps").iterdir() if path.is_file()]
    server.stall.clear()
    server.log.clear()
    data.fetch("usps", progress=False)
    assert server.log[0] == ("/a/zip.train.gz", f"bytes={have}-")
    assert data.verify("usps").state == "ok" and found(target) == sorted(FILES)


def test_a_damaged_file_is_replaced_but_not_before_its_successor_is_right(server: Server, target: Path) -> None:
    data.fetch("usps", progress=False)
    damaged = target / "usps" / "zip.test.gz"
    damaged.write_bytes(b"?")
    assert data.verify("usps").state == "altered"
    server.status["/a/zip.train.gz"] = 500
    failure("500")
    assert damaged.read_bytes() == b"?"
    server.status.clear()
    data.fetch("usps", progress=False)
    assert data.verify("usps").state == "ok"


def test_a_folder_that_cannot_be_written_is_named(target: Path) -> None:
    target.write_text("a file, not a folder")
    failure(re.escape(str(target / "usps")))


def test_what_needs_no_file_or_has_no_address(target: Path) -> None:
    data.fetch("digits", progress=False)
    with pytest.raises(data.DataError, match=r"place rcv1_10k\.npz there by hand"):
        data.fetch("rcv1_10k", progress=False)
    with pytest.raises(data.DataError, match="did you mean 'mnist'"):
        data.fetch("mnits", progress=False)


def test_command_line(server: Server, target: Path) -> None:
    run = CliRunner(env={"COLUMNS": "200"}).invoke
    listing = run(app, ["list"])
    assert listing.exit_code == 0
    assert set(data.names()) <= {word for line in listing.output.splitlines() for word in line.split()}
    assert re.search(r"usps .* 20 \+ 10 .* no ", listing.output)
    assert re.search(r"rcv1_10k .* reuters10k", listing.output)

    assert run(app, ["verify", "usps"]).exit_code == 1
    fetched = run(app, ["fetch", "usps"])
    assert fetched.exit_code == 0 and "usps is ready" in fetched.stdout
    assert re.search(r"usps .* yes ", run(app, ["list"]).output)
    assert run(app, ["verify", "usps"]).stdout.startswith("ok")
    assert run(app, ["verify"]).exit_code == 0  # missing ones are only listed

    (target / "usps" / "zip.test.gz").write_bytes(b"?")
    verified = run(app, ["verify"])
    assert verified.exit_code == 1 and "zip.test.gz is damaged" in verified.stderr
    for command, name in (("fetch", "mnits"), ("verify", "mnits"), ("fetch", "rcv1_10k")):
        failed = run(app, [command, name])
        assert failed.exit_code == 1 and failed.stdout == ""
        assert failed.stderr.count("\n") == 1 and name in failed.stderr


@pytest.mark.parametrize(
    ("about", "cure"),
    [
        ({"obtain": "ask its authors", "files": {"a.npz": None}}, "ask its authors"),
        ({"files": {"a.npz": None}}, "place the right a.npz there, or correct the digest in sources.yaml"),
        ({}, "it needs no file, so the library that makes it has changed"),
    ],
)
def test_what_to_do_about_wrong_data_without_an_address(tmp_path, about, cure):
    about = {"title": "Blobs", "what": "points", "citation": "ours", "splits": {"train": 2}, "digest": None} | about
    assert Source(**about).cure("blobs", tmp_path) == cure
