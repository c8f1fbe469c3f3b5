"""Files of known hash: found on this machine, or downloaded into the cache folder with resumption."""

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tidegate.errors import DataError
from tidegate.text.cache import cache_folder

FOLDER = "TIDEGATE_DATA"
ATTEMPTS = 4
TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 16


@dataclass(frozen=True)
class Pinned:
    """A public file whose size (bytes) and hashes (hex) are known; `sha1` is the one that its publishers state."""

    file: str
    url: str
    size: int
    sha256: str
    sha1: str
    licence: str
    title: str


def folder() -> Path:
    """Where fetched files are kept."""
    return cache_folder("data")


def find(pinned: Pinned) -> Path | None:
    """The path of the file: in the folder that TIDEGATE_DATA names, under any file name, else in the cache folder."""
    for path in _candidates(pinned):
        if path.stat().st_size == pinned.size and _sha256(path.read_bytes()) == pinned.sha256:
            return path
    return None


def read(name: str, pinned: Pinned) -> tuple[bytes, str]:
    """The file's bytes, downloaded if there is no copy on this machine, and the path of the copy."""
    path = find(pinned)
    if path is None:
        path = folder() / pinned.file
        _download(name, pinned, path)
    return path.read_bytes(), str(path)


def _candidates(pinned: Pinned) -> Iterator[Path]:
    named = os.environ.get(FOLDER)
    if named:
        if not Path(named).is_dir():
            raise DataError(f'{FOLDER} must name a folder, got "{named}". Create it, or unset {FOLDER}.')
        yield from (path for path in sorted(Path(named).rglob("*")) if path.is_file())
    cached = folder() / pinned.file
    if cached.is_file():
        yield cached


def _download(name: str, pinned: Pinned, path: Path) -> None:
    """Download the file to `path`, unless another process has just done so."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock"):  # runs started together would write into one .part file
            if find(pinned) is None:
                _download_locked(name, pinned, path)
    except OSError as error:
        raise DataError(f'{name} cannot be stored in "{path.parent}": {error}. {_by_hand(pinned)}') from error


def _download_locked(name: str, pinned: Pinned, path: Path) -> None:
    """Download into `path`.part, resuming it after an interruption, and rename it to `path` if the hash is right."""
    part = path.with_name(path.name + ".part")
    failure = _fetch(pinned, part)
    have = _size(part)
    if failure:
        kept = f" {have} of {pinned.size} bytes are kept: run the same command again to continue." if have else ""
        raise DataError(f"{name} could not be fetched from {pinned.url}: {failure}.{kept} {_by_hand(pinned)}")
    got = _sha256(part.read_bytes())
    if got != pinned.sha256:
        part.unlink()
        raise DataError(
            f"{name} from {pinned.url} has the wrong hash: expected {pinned.size} bytes with SHA-256 "
            f"{pinned.sha256}, got {have} bytes with {got}. It was removed. Run the same command again; if that "
            f"does not help, the file at that place has changed. {_by_hand(pinned)}"
        )
    part.replace(path)


def _fetch(pinned: Pinned, part: Path) -> str | None:
    """Download into `part`, repeating the request while bytes arrive; returns None or the reason of the failure."""
    why = None
    for _ in range(ATTEMPTS):
        have = _size(part)
        if have >= pinned.size:
            return None
        try:
            if _append(pinned, part):
                return None
            why = f"the connection was cut after byte {_size(part)}"
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == 416:  # the server's file is shorter than the part: they are different files
                part.unlink(missing_ok=True)
            why = f"HTTP {error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
            why = str(getattr(error, "reason", error)) or type(error).__name__
        if _size(part) == have:  # no bytes came: no connection, or no such file
            return why
    return why


def _append(pinned: Pinned, part: Path) -> bool:
    """Request the bytes that `part` lacks and write them; returns whether the server sent the file to its end.

    A server without range requests sends the file from its start, and `part` is then overwritten.
    """
    have = _size(part)
    request = urllib.request.Request(pinned.url, headers={"User-Agent": "tidegate"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        sent = response.headers.get("Content-Range", "")
        resumed = response.status == 206 and sent.startswith(f"bytes {have}-")
        promised = response.headers.get("Content-Length")
        with part.open("ab" if resumed else "wb") as file:
            start = file.tell()
            while file.tell() <= pinned.size and (chunk := response.read(CHUNK)):  # a longer file is not the pinned one
                file.write(chunk)
            got = file.tell() - start
            return file.tell() >= pinned.size or (promised is not None and got == int(promised))


def _by_hand(pinned: Pinned) -> str:
    return (
        f"Or put the file {pinned.file} ({pinned.size} bytes, SHA-1 {pinned.sha1}) in {folder()}, "
        f"or, under any name, in a folder named by {FOLDER}."
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
