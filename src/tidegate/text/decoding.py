"""Bytes to characters, piece by piece, in every encoding that Python supports."""

import codecs
from collections.abc import Iterable, Iterator
from contextlib import suppress

from tidegate.errors import DataError


def codec(encoding: str) -> codecs.CodecInfo:
    """The codec named `encoding`. Raises DataError where Python has no text encoding of that name."""
    try:
        with suppress(UnicodeError):  # a single byte is incomplete in utf-16
            b"a".decode(encoding)  # rejects codecs that are not text encodings, such as hex
        found = codecs.lookup(encoding)
    except LookupError:
        found = None
    if found is None or found.incrementaldecoder is None:
        raise DataError(f'`encoding` must be one that Python supports (utf-8, latin-1, cp1252, ...), got "{encoding}".')
    return found


def decoded(chunks: Iterable[bytes], encoding: str, name: str) -> Iterator[str]:
    """The characters of the text `name`, whose bytes come in `chunks` that may end inside a character.

    A byte order mark at the start is dropped. Raises DataError for bytes that are not in `encoding` and for NUL.
    """
    decoder = codecs.getincrementaldecoder(codec(encoding).name)()
    start, head, fed = True, b"", 0
    for chunk, last in _with_last(chunks):
        head = head or chunk[:2]
        fed += len(chunk)
        try:
            piece = decoder.decode(chunk, final=last)
        except UnicodeDecodeError as error:
            offset = fed - len(error.object) + error.start  # the decoder's buffer ends where the chunk ends
            raise DataError(
                f"the text {name} is not {encoding}: byte 0x{error.object[error.start]:02x} at offset {offset} "
                f"({error.reason}). {_remedy(head)}"
            ) from None
        except UnicodeError as error:  # codecs such as idna
            raise DataError(f"the text {name} is not {encoding}: {error}. {_remedy(head)}") from None
        if "\0" in piece:
            offset = fed - len(chunk) + max(chunk.find(0), 0)
            raise DataError(
                f"the text {name} looks binary: it has a NUL byte at offset {offset}. "
                f"{_remedy(head) if _wide(head) else 'Name a text file (unpack archives first), or use --tokens byte.'}"
            )
        if start and piece:
            start, piece = False, piece.removeprefix("\ufeff")
        if piece:
            yield piece


def _with_last(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each chunk with False, then an empty one with True."""
    for chunk in chunks:
        yield chunk, False
    yield b"", True


def _wide(head: bytes) -> bool:
    return head in (b"\xff\xfe", b"\xfe\xff")


def _remedy(head: bytes) -> str:
    if _wide(head):
        return "It begins with a UTF-16 byte order mark: use --encoding utf-16."
    return (
        "If it is text in another encoding, name it, for example --encoding latin-1 or --encoding cp1252; "
        "training with --tokens byte accepts any file."
    )
