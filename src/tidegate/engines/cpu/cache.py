"""Compiled kernels on disk, so that a program is compiled once per machine.

One file per kernel, `<key>.o`: the SHA-256 of the object code, then the object code. The key covers the program's text,
the processor, and the versions of llvmlite, LLVM and this package. A file is written under another name and then
renamed, so readers and writers in other processes never see half of one; a damaged file fails its checksum and is
replaced; a folder that cannot be written leaves the cache empty and everything else as it was.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path

import platformdirs

DIGEST = hashlib.sha256().digest_size


def folder() -> Path:
    """$TIDEGATE_CACHE, or `tidegate` in the user's cache folder; FileNotFoundError for a user without a home."""
    chosen = os.environ.get("TIDEGATE_CACHE")
    if chosen:
        return Path(chosen)
    found = platformdirs.user_cache_path("tidegate", appauthor=False)
    if not found.is_absolute():
        raise FileNotFoundError(f"no home folder is known, so {found} would be anywhere")
    return found


def key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def read(name: str) -> bytes | None:
    """The object code stored under `name`, or None when there is none or it is damaged."""
    try:
        content = (folder() / f"{name}.o").read_bytes()
    except OSError:
        return None
    digest, code = content[:DIGEST], content[DIGEST:]
    return code if code and hashlib.sha256(code).digest() == digest else None


def write(name: str, code: bytes) -> None:
    """Store object code under `name`; where the folder cannot be written, nothing happens."""
    with suppress(OSError):
        place = folder()
        place.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=place, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            os.replace(temporary, place / f"{name}.o")
        except OSError:
            os.unlink(temporary)
            raise
