"""Tokens as a page shows them."""

import codecs
from collections.abc import Iterable, Iterator

from tidegate.text.vocabulary import UNKNOWN


def shown(tokens: Iterable[str], kind: str) -> Iterator[str]:
    """The text of each token. Together they are the text: a byte that does not complete a character has an empty text,
    and a word that follows another begins with a space. An unknown token is U+FFFD."""
    if kind == "byte":
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        yield from (decoder.decode(token.encode("latin-1")) for token in tokens)
        return
    before = "\n"
    for token in tokens:
        text = "\ufffd" if token == UNKNOWN else token
        yield " " + text if kind == "word" and token != "\n" and before != "\n" else text
        before = token
