"""The tokens of large texts, in files of the cache folder, so that a text is tokenised once.

One folder per text and tokenisation, `tokens/<key>/`; the key covers the SHA-256 of the text's bytes, the encoding, the
preprocessing, the kind of token and FORMAT. It does not cover `min_freq`, since the file holds all tokens in the order
of their counts. In it

    indices.bin    (N,) the index of every token, in the smallest unsigned type    memory-mapped
    counts.bin     (V,) int64, how often each token of the table occurs
    tokens.json    the table's tokens
    facts.json     what the text is, and the CRC-32 of the other files

A folder is written as `<key>.part` under the lock `<key>.lock` and renamed when it is complete, so what a killed
process or a full disk leaves is never read; the next process with this text, or `clear`, removes it.
"""

import hashlib
import json
import mmap
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from filelock import FileLock, Timeout

from tidegate.errors import DataError
from tidegate.text import source
from tidegate.text.cache import VARIABLE, cache_folder
from tidegate.text.decoding import codec
from tidegate.text.encoded import Table, check, decodes, encode
from tidegate.text.progress import Progress
from tidegate.text.source import Text
from tidegate.text.token_array import TokenArray

FORMAT = 1
LIMIT = 20 << 30  # bytes that the folder may hold; the least recently used entries are removed first
CHUNK = 1 << 22


@dataclass(frozen=True)
class Tokens:
    """All tokens of a text: indices (N,) into the table of its different tokens."""

    table: Table
    indices: TokenArray


def folder() -> Path:
    """Where the tokens of large texts are kept."""
    return cache_folder("tokens")


def read_tokens(text: Text, preprocessing: str, kind: str, progress: Progress) -> Tokens:
    """The tokens of a text: in memory up to 8 MiB of text, in a memory-mapped file of the cache folder beyond.

    Where the cache folder cannot be written the file is a temporary one, and a note says so. Raises DataError where
    the text does not fit its encoding, where it changes while it is read, and where the disk is full.
    """
    check(preprocessing, kind)
    if text.size <= source.LARGE:
        table, blocks = encode(text, preprocessing, kind, BytesIO(), progress)
        return Tokens(table, TokenArray(np.concatenate(list(blocks))))
    key = _key(text, preprocessing, kind)
    place = folder() / key
    found = _open(place, progress)
    if found is not None:
        return found
    with _locked(place, progress) as lock:
        if lock is None:
            return _temporary(text, preprocessing, kind, progress)
        found = _open(place, progress)  # another process may have written it meanwhile
        return found or _build(text, preprocessing, kind, place, progress)


@dataclass(frozen=True)
class Entry:
    """A text whose tokens are kept: its name, its bytes, the bytes kept, and where."""

    name: str
    kind: str
    preprocessing: str
    text_size: int
    size: int
    where: str


def entries() -> list[Entry]:
    """The texts in the cache folder, the most recently used first."""
    found = []
    for place in reversed(_by_use()):
        with suppress(OSError, ValueError, KeyError):
            facts = json.loads((place / "facts.json").read_text())
            found.append(
                Entry(facts["name"], facts["kind"], facts["preprocessing"], facts["size"], _size(place), str(place))
            )
    return found


def clear() -> tuple[int, int]:
    """Remove everything but what another process is writing; returns the numbers of texts and bytes removed."""
    removed = [size for place in _by_use() if (size := _remove(place))]
    count = len(removed)
    removed += [_remove(part) for part in _unfinished()]
    return count, sum(removed)


def _key(text: Text, preprocessing: str, kind: str) -> str:
    encoding = codec(text.encoding).name if decodes(kind, text.encoding) else "bytes"
    parts = (text.sha256, str(text.size), encoding, preprocessing, kind, str(FORMAT))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


@contextmanager
def _locked(place: Path, progress: Progress) -> Iterator[FileLock | None]:
    """Holds the lock of an entry; yields None, after a note, where the folder cannot be written."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{place}.lock")
        try:
            lock.acquire(timeout=1)
        except Timeout:
            progress.note("Another process is reading the same text: waiting for its tokens.")
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        progress.note(
            f"The tokens are written to a temporary file and not kept, because the cache folder {place.parent} cannot "
            f"be written ({error}). {VARIABLE} can name another folder."
        )
        yield None
        return
    try:
        yield lock
    finally:
        lock.release()


def _build(text: Text, preprocessing: str, kind: str, place: Path, progress: Progress) -> Tokens:
    """Write the tokens to `place` and open them. Called with the lock of `place`."""
    part = place.with_name(place.name + ".part")
    try:
        shutil.rmtree(part, ignore_errors=True)  # left by a process that was killed
        part.mkdir()
        with tempfile.TemporaryFile(dir=place.parent) as spool:
            table, blocks = encode(text, preprocessing, kind, spool, progress)
            facts: dict[str, Any] = {
                "format": FORMAT, "name": text.name, "size": text.size, "sha256": text.sha256, "kind": kind,
                "preprocessing": preprocessing, "is_utf8": table.is_utf8,
                "dtype": np.min_scalar_type(len(table.tokens) - 1).newbyteorder("<").str,
            }  # fmt: skip
            dtype = np.dtype(facts["dtype"])
            facts["crc"] = {
                "indices.bin": _write(part / "indices.bin", (block.astype(dtype, copy=False) for block in blocks)),
                "counts.bin": _write(part / "counts.bin", [table.counts.astype("<i8")]),
                "tokens.json": _write(part / "tokens.json", [json.dumps(table.tokens).encode()]),
            }
        _write(part / "facts.json", [json.dumps(facts, indent=2).encode()])
        shutil.rmtree(place, ignore_errors=True)  # damaged, or it would have been opened
        os.replace(part, place)
        found = _open(place, progress)
    except OSError as error:
        raise _no_space(text, str(place.parent), f"or name a folder on another disk with {VARIABLE}", error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    if found is None:
        raise DataError(f"the tokens of {text.name} were written to {place} and cannot be read back: check the disk.")
    _prune(keep=place)
    return found


def _temporary(text: Text, preprocessing: str, kind: str, progress: Progress) -> Tokens:
    """The tokens in a file without a name, which the system removes when the process ends."""
    try:
        with tempfile.TemporaryFile() as spool, tempfile.TemporaryFile() as file:
            table, blocks = encode(text, preprocessing, kind, spool, progress)
            for block in blocks:
                file.write(block.data)
            file.flush()
            return Tokens(table, _mapped(file, np.min_scalar_type(len(table.tokens) - 1)))
    except OSError as error:
        remedy = "or name a folder on another disk with TMPDIR"
        raise _no_space(text, tempfile.gettempdir(), remedy, error) from error


def _no_space(text: Text, where: str, remedy: str, error: OSError) -> DataError:
    return DataError(
        f"the tokens of {text.name} ({text.size:,} bytes) cannot be written in {where}: {error.strerror or error}. "
        f"Free space there, {remedy}."
    )


def _write(path: Path, blocks: Iterable[np.ndarray | bytes]) -> int:
    """Write the file to the disk; returns its CRC-32."""
    crc = 0
    with open(path, "wb") as file:
        for block in blocks:
            raw = block if isinstance(block, bytes) else block.data.cast("B")
            file.write(raw)
            crc = zlib.crc32(raw, crc)
        file.flush()
        os.fsync(file.fileno())
    return crc


def _open(place: Path, progress: Progress) -> Tokens | None:
    """The tokens in `place`; None where there are none or a file is damaged."""
    try:
        facts = json.loads((place / "facts.json").read_text())
        if facts["format"] != FORMAT:
            return None
        total = sum((place / name).stat().st_size for name in facts["crc"])
        with progress.track("Checking the cached tokens", total) as advance:
            for name, crc in facts["crc"].items():
                found = 0
                with open(place / name, "rb") as file:
                    while chunk := file.read(CHUNK):
                        found = zlib.crc32(chunk, found)
                        advance(len(chunk))
                if found != crc:
                    return None
        tokens = tuple(json.loads((place / "tokens.json").read_text()))
        counts = np.fromfile(place / "counts.bin", "<i8")
        with open(place / "indices.bin", "rb") as file:
            indices = _mapped(file, np.dtype(facts["dtype"]))
        table = Table(facts["kind"], tokens, counts, facts["is_utf8"])
    except (OSError, ValueError, KeyError):
        return None
    with suppress(OSError):  # the cache may belong to another user
        os.utime(place)
    return Tokens(table, indices)


def _mapped(file: BinaryIO, dtype: np.dtype) -> TokenArray:
    if not os.fstat(file.fileno()).st_size:  # an empty file cannot be mapped
        return TokenArray(np.zeros(0, dtype))
    pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return TokenArray(np.frombuffer(pages, dtype), pages=pages)


def _prune(keep: Path) -> None:
    """Remove the least recently used entries until the folder holds at most LIMIT bytes."""
    for part in _unfinished():
        _remove(part)
    places = _by_use()
    total = sum(map(_size, places))
    for place in places:
        if total > LIMIT and place != keep:
            total -= _remove(place)


def _remove(place: Path) -> int:
    """Remove an entry, unless another process is writing it; returns the bytes removed."""
    lock = FileLock(place.with_suffix(".lock"), timeout=0)
    size = _size(place)
    try:
        with lock:
            shutil.rmtree(place)
    except (Timeout, OSError):
        return 0
    return size


def _by_use() -> list[Path]:
    """The complete entries, the most recently used last."""
    with suppress(OSError):
        return sorted(
            (path.parent for path in folder().glob("*/facts.json") if path.parent.suffix != ".part"), key=_used
        )
    return []


def _unfinished() -> list[Path]:
    return list(folder().glob("*.part"))


def _used(place: Path) -> float:
    return place.stat().st_mtime


def _size(place: Path) -> int:
    return sum(file.stat().st_size for file in place.glob("*"))
