"""A text before it is decoded: its bytes, in memory or in a file, and the hash that identifies them."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tidegate.errors import DataError
from tidegate.text.decoding import decoded

CHUNK = 1 << 20  # bytes read at once
LARGE = 1 << 23  # bytes: larger texts are not loaded into memory, and their tokens are written to a file


@dataclass(frozen=True)
class Text:
    """A text that is read in chunks.

    `sha256` (hex) and `size` (bytes) are those of the raw bytes, before decoding: they identify the data in
    checkpoints and in the cache. `content` is the bytes themselves, the path of a file, or a temporary file that
    only this process has. `origin` says in words where the bytes came from.
    """

    name: str
    content: bytes | Path | BinaryIO = field(repr=False)
    sha256: str
    size: int
    origin: str
    encoding: str = "utf-8"

    @classmethod
    def of(cls, name: str, text: str | bytes, *, origin: str = "memory", encoding: str = "utf-8") -> "Text":
        """A text whose content is `text`; a str is encoded as UTF-8."""
        raw = text.encode() if isinstance(text, str) else text
        return cls(name, raw, hashlib.sha256(raw).hexdigest(), len(raw), origin, encoding)

    def chunks(self) -> Iterator[bytes]:
        """The raw bytes. Raises DataError where a file no longer holds the bytes that `sha256` identifies."""
        if isinstance(self.content, bytes):
            yield from (self.content[begin : begin + CHUNK] for begin in range(0, len(self.content), CHUNK))
            return
        digest = hashlib.sha256()
        try:
            with _opened(self.content) as file:
                while chunk := file.read(CHUNK):
                    digest.update(chunk)
                    yield chunk
        except OSError as error:
            raise DataError(f"the text cannot be read: {error}. Check the path and its permissions.") from error
        if digest.hexdigest() != self.sha256:
            raise DataError(
                f"the text {self.name} ({self.origin}) changed while it was read. Run the command again once "
                "nothing writes to it."
            )

    def pieces(self) -> Iterator[str]:
        """The decoded characters, without a byte order mark. Raises DataError where the bytes are not `encoding`."""
        return decoded(self.chunks(), self.encoding, self.name)

    @property
    def text(self) -> str:
        """All characters at once: for texts that fit in memory."""
        return "".join(self.pieces())


@contextmanager
def _opened(content: Path | BinaryIO) -> Iterator[BinaryIO]:
    if isinstance(content, Path):
        with open(content, "rb") as file:
            yield file
    else:
        content.seek(0)
        yield content
