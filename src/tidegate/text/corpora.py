"""Texts by corpus name, by path, or from standard input, identified by their hash."""

import difflib
import hashlib
import os
import platform
import stat
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tidegate.errors import DataError
from tidegate.text import fetch
from tidegate.text.cache import temporary_file
from tidegate.text.decoding import codec
from tidegate.text.fetch import Pinned
from tidegate.text.progress import Progress
from tidegate.text.source import CHUNK, LARGE, Text

BUILTIN = "builtin"
CORPORA = {
    "time-machine": Pinned(
        file="timemachine.txt",
        url="http://d2l-data.s3-accelerate.amazonaws.com/timemachine.txt",
        size=178_979,
        sha256="8424dbd9532ac81f7e5f0b6add90e6952baea29158309d7d1bf3884f4e12c516",
        sha1="090b5e7e70c295757f55df93cb0a180b9691891a",
        licence="public domain",
        title="H. G. Wells, The Time Machine (1895), as in Dive into Deep Learning",
    ),
    "tiny-shakespeare": Pinned(
        file="tinyshakespeare.txt",
        url="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        size=1_115_394,
        sha256="86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        sha1="04486597058d11dcc2c556b1d0433891eb639d2e",
        licence="public domain",
        title="W. Shakespeare, 40,000 lines of the plays, as in char-rnn",
    ),
}
NAMES = (BUILTIN, *CORPORA)


@dataclass(frozen=True)
class Listed:
    """A corpus before it is read: `size` in bytes, `where` its copy on this machine is (None: there is none)."""

    name: str
    title: str
    size: int
    licence: str
    source: str
    where: str | None


def list_corpora() -> list[Listed]:
    """Every corpus that has a name, and where its copy on this machine is; nothing is fetched."""
    builtin = _builtin()
    listed = [
        Listed(
            BUILTIN,
            "The Python language reference, as help() shows it",
            builtin.size,
            "PSF-2.0",
            "CPython's pydoc_data.topics",
            builtin.origin,
        )
    ]
    for name, pinned in CORPORA.items():
        path = fetch.find(pinned)
        where = None if path is None else str(path)
        listed.append(Listed(name, pinned.title, pinned.size, pinned.licence, pinned.url, where))
    return listed


def load_text(source: str, *, encoding: str = "utf-8", progress: Progress | None = None) -> Text:
    """The text of a corpus (one of NAMES), of the file at a path, or of standard input (`-`).

    A corpus name takes precedence over a file of that name in the current folder; write `./builtin` for the file.
    Corpora are UTF-8 whatever `encoding` is. A file of more than 8 MiB is read once, to hash it, and not copied; a
    larger pipe is copied to a temporary file. Nothing is decoded yet: `Text.pieces` does that.

    Raises DataError where there is no such text, where it is empty, and where Python has no such `encoding`.
    """
    progress = progress or Progress()
    if source == BUILTIN:
        return _builtin()
    if source in CORPORA:
        raw, origin = fetch.read(source, CORPORA[source])
        return Text.of(source, raw, origin=origin)
    codec(encoding)
    if source == "-":
        return _stream("stdin", sys.stdin.buffer, "standard input", encoding)
    return _file(source, encoding, progress)


def _builtin() -> Text:
    """The Python language reference, which CPython includes and `help("for")` prints: English, PSF-2.0."""
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataError(
            f'the corpus "{BUILTIN}" is the text of Python\'s own help() (pydoc_data.topics), but this '
            "Python was installed without it. Install the full standard library, or name another text."
        ) from error
    raw = "\n".join(topics[name] for name in sorted(topics))
    return Text.of(BUILTIN, raw, origin=f"pydoc_data.topics of Python {platform.python_version()}")


def _file(path: str, encoding: str, progress: Progress) -> Text:
    """The text in the file at `path`, which may be a pipe (`<(zcat text.gz)`)."""
    if not path:
        raise DataError(_not_found(path))
    if os.path.isdir(path):
        raise DataError(
            f'"{path}" is a folder, not a text. Name one file in it, or join them and name - for standard '
            f"input: cat {path}/*.txt | tidegate ..."
        )
    name, origin = Path(path).name, os.path.abspath(path)
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size <= LARGE or not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return _stream(name, file, origin, encoding)
            sha, read = hashlib.sha256(), 0
            with progress.track(f"Hashing {name}", size) as advance:
                while chunk := file.read(CHUNK):
                    sha.update(chunk)
                    read += len(chunk)
                    advance(len(chunk))
        return Text(name, Path(origin), sha.hexdigest(), read, origin, encoding)
    except FileNotFoundError:
        raise DataError(_not_found(path)) from None
    except DataError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise DataError(f"the text cannot be read: {error}. Check the path and its permissions.") from error


def _stream(name: str, stream: BinaryIO, origin: str, encoding: str) -> Text:
    """All that `stream` holds, in memory or, where that is more than LARGE bytes, in a temporary file."""
    raw = stream.read(LARGE + 1)
    if not raw:
        raise DataError(f"the text {name} ({origin}) is empty: 0 bytes. Name another text.")
    if len(raw) <= LARGE:
        return Text.of(name, raw, origin=origin, encoding=encoding)
    sha, size = hashlib.sha256(), 0
    try:
        file = temporary_file()
        while raw:
            file.write(raw)
            sha.update(raw)
            size += len(raw)
            raw = stream.read(CHUNK)
        file.flush()
    except OSError as error:
        raise DataError(
            f"the text {name} ({origin}) cannot be copied to a temporary file: {error.strerror or error}. Free some "
            "space, or save the text as a file and give its path."
        ) from error
    text = Text(name, file, sha.hexdigest(), size, origin, encoding)
    weakref.finalize(text, file.close)
    return text


def _not_found(source: str) -> str:
    path = Path(source)
    nearby = [p.name for p in path.parent.iterdir() if p.is_file()] if path.parent.is_dir() else []
    names = difflib.get_close_matches(source.lower(), NAMES, n=1)
    files = [str(path.parent / name) for name in difflib.get_close_matches(path.name, nearby, n=2)]
    guess = f" Did you mean {' or '.join(names + files)}?" if names or files else ""
    return (
        f'no corpus and no file is named "{source}".{guess} '
        f"A text is a corpus ({', '.join(NAMES)}), a path, or - for standard input."
    )
