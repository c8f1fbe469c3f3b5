"""Compiled kernels on disk, so that a program is compiled once per machine.

One file per kernel, `<key>.o`: the SHA-256 of key and object code, then the object code. The key covers the program,
the processor and its features, the versions of llvmlite, LLVM and this package, and the source files of the engine (see
`key.py`). A file is written under another name and then renamed, so readers and writers in other processes never see
an incomplete one. A file that is damaged, that has the content of another key, or that another user could have written
is not used, and is replaced.

The code is executed, so a folder that another user could change is neither read nor written (see `ownership.py`). Where
kernels cannot be kept, for this or another reason, each process compiles its own, and a RuntimeWarning says so once.
"""

import hashlib
import os
import tempfile
import warnings
from contextlib import suppress
from functools import cache as once
from pathlib import Path

import platformdirs

from tidegate.engines.cpu.ownership import own_folder, read_own_file

DIGEST = hashlib.sha256().digest_size


def folder() -> Path:
    """$TIDEGATE_CACHE, or `tidegate` in the user's cache folder; FileNotFoundError for a user without a home."""
    chosen = os.environ.get("TIDEGATE_CACHE")
    if chosen:
        return Path(chosen)
    found = platformdirs.user_cache_path("tidegate", appauthor=False)
    if not found.is_absolute():
        raise FileNotFoundError("this user has no home folder")
    return found


def key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]


def read(name: str) -> bytes | None:
    """The object code stored under `name`, or None if there is none, or only a damaged or rejected file."""
    try:
        place = own_folder(folder())
    except FileNotFoundError:
        return None
    except OSError as error:
        warn_once(str(error))
        return None
    try:
        content = read_own_file(place / f"{name}.o")
    except OSError:  # absent, or rejected: `write` then replaces it
        return None
    stored, code = content[:DIGEST], content[DIGEST:]
    return code if code and digest(name, code) == stored else None


def write(name: str, code: bytes) -> None:
    """Store object code under `name`; warns if that is impossible."""
    try:
        place = own_folder(folder(), create=True)
    except OSError as error:
        warn_once(str(error))
        return
    try:
        handle, temporary = tempfile.mkstemp(dir=place, suffix=".part")  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(digest(name, code) + code)
            os.replace(temporary, place / f"{name}.o")
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        warn_once(f"{error.strerror}: '{place}'")  # without the temporary name: one warning per reason


def check_writable(place: Path) -> None:
    """OSError where no file can be written in the folder."""
    handle, temporary = tempfile.mkstemp(dir=place, suffix=".part")
    os.close(handle)
    os.unlink(temporary)


def digest(name: str, code: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + code).digest()


@once
def warn_once(reason: str) -> None:
    """Warn, once for each reason."""
    warnings.warn(
        f"Compiled kernels cannot be kept on disk, so every process compiles its own: {reason}. "
        "TIDEGATE_CACHE can name a folder that belongs to you and that nobody else can write.",
        RuntimeWarning,
        stacklevel=2,
    )
