"""Texts by corpus name, by path, or from standard input, decoded and named by their hash."""

import difflib
import hashlib
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from tidegate.errors import DataError
from tidegate.text import fetch
from tidegate.text.fetch import Pinned

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
    """What is known of a corpus before it is read: `size` in bytes, `where` it lies here (None: nowhere)."""

    name: str
    title: str
    size: int
    licence: str
    source: str
    where: str | None


def list_corpora() -> list[Listed]:
    """Every corpus that has a name, and whether it is here; nothing is fetched."""
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


@dataclass(frozen=True)
class Text:
    """A decoded text.

    `sha256` (hex) and `size` (bytes) are those of the raw bytes, before decoding: they name the data in
    checkpoints. `origin` says in words where the bytes came from.
    """

    name: str
    text: str
    sha256: str
    size: int
    origin: str


def load_text(source: str, *, encoding: str = "utf-8") -> Text:
    """The text of a corpus (one of NAMES), of the file at a path, or of standard input (`-`).

    A corpus name wins over a file of the same name in the current folder; write `./builtin` for the file. A
    byte order mark at the start is dropped; nothing else is changed, line ends included. Corpora are UTF-8
    whatever `encoding` is.

    Raises DataError where there is no such text, or it is empty, binary, or not in `encoding`.
    """
    if source == BUILTIN:
        return _builtin()
    if source in CORPORA:
        raw, origin = fetch.read(source, CORPORA[source])
        return _decoded(source, raw, "utf-8", origin)
    if source == "-":
        return _decoded("stdin", sys.stdin.buffer.read(), encoding, "standard input")
    raw = _read_file(source)
    return _decoded(Path(source).name, raw, encoding, os.path.abspath(source))


def _builtin() -> Text:
    """The reference manual inside CPython, which `help("for")` prints: English, always there (PSF-2.0)."""
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataError(
            f'the corpus "{BUILTIN}" is the text of Python\'s own help() (pydoc_data.topics), but this '
            "Python was installed without it. Install the full standard library, or name another text."
        ) from error
    raw = "\n".join(topics[name] for name in sorted(topics)).encode()
    return _decoded(BUILTIN, raw, "utf-8", f"pydoc_data.topics of Python {platform.python_version()}")


def _read_file(source: str) -> bytes:
    if not source:
        raise DataError(_not_found(source))
    if os.path.isdir(source):
        raise DataError(
            f'"{source}" is a folder, not a text. Name one file in it, or join them and name - for standard '
            f"input: cat {source}/*.txt | tidegate ..."
        )
    try:
        return Path(source).read_bytes()
    except FileNotFoundError:
        raise DataError(_not_found(source)) from None
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        raise DataError(f"the text cannot be read: {error}. Check the path and its permissions.") from error


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


def _decoded(name: str, raw: bytes, encoding: str, origin: str) -> Text:
    if not raw:
        raise DataError(f"the text {name} ({origin}) is empty: 0 bytes. Name a text with something in it.")
    try:
        text = raw.decode(encoding)
    except LookupError:
        raise DataError(
            f'`encoding` must be one that Python knows (utf-8, latin-1, cp1252, ...), got "{encoding}".'
        ) from None
    except UnicodeDecodeError as error:
        # a codec may report bytes of its own buffer, but the offset into `raw` is the same
        raise DataError(
            f"the text {name} is not {encoding}: byte 0x{raw[error.start]:02x} at offset {error.start} "
            f"({error.reason}). {_encoding_remedy(raw)}"
        ) from None
    if "\0" in text:
        offset = raw.index(0)
        raise DataError(
            f"the text {name} looks binary: it has a NUL byte at offset {offset}. "
            f"{_encoding_remedy(raw) if _wide(raw) else 'Name a plain text file (unpack archives first).'}"
        )
    return Text(name, text.removeprefix("\ufeff"), hashlib.sha256(raw).hexdigest(), len(raw), origin)


def _wide(raw: bytes) -> bool:
    return raw.startswith((b"\xff\xfe", b"\xfe\xff"))


def _encoding_remedy(raw: bytes) -> str:
    if _wide(raw):
        return "It begins with a UTF-16 byte order mark: use --encoding utf-16."
    return "If it is text in another encoding, name it, for example --encoding latin-1 or --encoding cp1252."
