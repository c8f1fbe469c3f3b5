"""Texts by name, by path and from standard input, and every error."""

import hashlib
import io
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from tidegate.errors import DataError
from tidegate.text import corpora, fetch, source
from tidegate.text.corpora import CORPORA, NAMES, list_corpora, load_text


@pytest.fixture
def write(tmp_path):
    def write(raw: bytes, name: str = "text.txt") -> str:
        (tmp_path / name).write_bytes(raw)
        return str(tmp_path / name)

    return write


def test_a_file_is_named_by_its_bytes(write):
    raw = "Grüße,\r\nWelt\n".encode()
    text = load_text(write(raw))
    assert (text.name, text.text, text.size) == ("text.txt", "Grüße,\r\nWelt\n", len(raw))
    assert text.sha256 == hashlib.sha256(raw).hexdigest()
    assert text.origin.endswith("text.txt")


def test_a_byte_order_mark_is_not_part_of_the_text(write):
    assert load_text(write("\ufeffab".encode())).text == "ab"
    assert load_text(write("ab".encode("utf-16")), encoding="utf-16").text == "ab"


def test_the_named_encoding_is_used(write):
    assert load_text(write("café".encode("latin-1")), encoding="latin-1").text == "café"


def test_a_text_can_be_read_from_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"from a pipe")))
    text = load_text("-")
    assert (text.name, text.text) == ("stdin", "from a pipe")


def test_the_builtin_corpus_is_long_english_text():
    text = load_text("builtin")
    assert text.size > 300_000
    assert " the " in text.text
    assert text == load_text("builtin")


def test_a_python_without_its_help_texts_is_an_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(DataError, match="Install the full standard library"):
        load_text("builtin")


def test_a_corpus_name_has_precedence_over_a_file_of_that_name(write, tmp_path, monkeypatch):
    write(b"mine", "builtin")
    monkeypatch.chdir(tmp_path)
    assert load_text("builtin").text != "mine"
    assert load_text("./builtin").text == "mine"


@pytest.mark.parametrize(
    ("source", "suggestion"),
    [
        ("tiny-shakespear", "Did you mean tiny-shakespeare?"),
        ("Time-Machine", "Did you mean time-machine?"),
        (
            "xyzzy",
            "A text is a corpus (builtin, time-machine, tiny-shakespeare), a path, or - for standard input",
        ),
    ],
)
def test_the_error_of_an_unknown_corpus_names_the_nearest(source, suggestion):
    with pytest.raises(DataError) as caught:
        load_text(source)
    assert f'no corpus and no file is named "{source}"' in str(caught.value)
    assert suggestion in str(caught.value)


def test_the_error_of_a_missing_file_names_the_nearest_files(write, tmp_path):
    write(b"x", "moby-dick.txt")
    with pytest.raises(DataError, match=r"Did you mean .*moby-dick\.txt\?"):
        load_text(str(tmp_path / "mobydick.txt"))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"is a folder, not a text.*cat .*\*\.txt"):
        load_text(str(tmp_path))


@pytest.mark.parametrize("source", ["a\0b", "x" * 5000], ids=["NUL", "long"])
def test_a_path_that_no_system_accepts_is_refused(source):
    with pytest.raises(DataError, match=r"cannot be read: .*Check the path"):
        load_text(source)


def test_an_empty_file_is_refused(write):
    with pytest.raises(DataError, match="is empty: 0 bytes"):
        load_text(write(b""))


def test_a_binary_file_is_refused_with_the_offset(write):
    with pytest.raises(DataError, match="looks binary: it has a NUL byte at offset 3"):
        list(load_text(write(b"PK\x03\0\x01\x02")).pieces())


def test_utf_16_is_recognised(write):
    with pytest.raises(DataError, match=r"byte 0xff at offset 0.*--encoding utf-16"):
        list(load_text(write("ab".encode("utf-16"))).pieces())


def test_a_wrong_encoding_names_the_byte_and_its_offset(write):
    with pytest.raises(DataError, match=r"not utf-8: byte 0xe9 at offset 3 .*--encoding latin-1"):
        list(load_text(write("café crème".encode("latin-1"))).pieces())


@pytest.fixture
def large(monkeypatch):
    """Texts of more than 10 bytes are large, and read 7 bytes at a time."""
    for module in (corpora, source):
        monkeypatch.setattr(module, "LARGE", 10)
        monkeypatch.setattr(module, "CHUNK", 7)


RAW = "Grüße,\r\nWelt\n".encode() * 5


def test_a_large_file_is_read_in_place(write, large):
    path = write(RAW)
    text = load_text(path)
    assert text.content == Path(path)
    assert (text.size, text.sha256) == (len(RAW), hashlib.sha256(RAW).hexdigest())
    assert b"".join(text.chunks()) == b"".join(text.chunks()) == RAW
    assert text.text == RAW.decode()


def test_a_large_text_from_a_pipe_is_written_to_a_temporary_file(monkeypatch, large):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(RAW)))
    text = load_text("-")
    assert (text.size, text.sha256) == (len(RAW), hashlib.sha256(RAW).hexdigest())
    assert b"".join(text.chunks()) == b"".join(text.chunks()) == RAW


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
@pytest.mark.parametrize("repeat", [1, 5])
def test_a_text_can_be_read_from_a_named_pipe(tmp_path, large, repeat):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=[b"ab\ncd\n" * repeat])
    writer.start()
    text = load_text(str(tmp_path / "pipe"))
    writer.join()
    assert text.text == "ab\ncd\n" * repeat


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"a", lambda raw: raw.replace(b"W", b"w")])
def test_a_large_file_that_changes_is_refused(write, large, change):
    path = write(RAW)
    text = load_text(path)
    write(change(RAW))
    with pytest.raises(DataError, match=r"text\.txt .* changed while it was read"):
        list(text.chunks())


def test_a_large_file_that_was_deleted_is_an_error(write, large):
    text = load_text(write(RAW))
    Path(text.origin).unlink()
    with pytest.raises(DataError, match="cannot be read"):
        list(text.chunks())


def test_an_unknown_encoding_is_refused(write):
    with pytest.raises(DataError, match=r'one that Python supports.*got "klingon"'):
        load_text(write(b"ab"), encoding="klingon")


@pytest.mark.parametrize("encoding", ["hex", "rot13"])
def test_a_codec_that_is_not_a_text_encoding_is_refused(write, encoding):
    with pytest.raises(DataError, match="one that Python supports"):
        load_text(write(b"ab"), encoding=encoding)


def test_a_named_corpus_is_fetched_from_its_place(serve, monkeypatch):
    body = b"The Time Traveller"
    pinned = CORPORA["time-machine"]
    local = fetch.Pinned(
        pinned.file,
        serve(body).url,
        len(body),
        hashlib.sha256(body).hexdigest(),
        "",
        pinned.licence,
        pinned.title,
    )
    monkeypatch.setitem(CORPORA, "time-machine", local)
    assert [corpus.where is None for corpus in list_corpora()] == [False, True, True]
    assert load_text("time-machine").text == "The Time Traveller"
    assert [corpus.where is None for corpus in list_corpora()] == [False, False, True]


def test_the_pinned_hashes_are_those_of_the_published_files(reference, monkeypatch):
    folder = reference("SHA1SUMS").parent
    monkeypatch.setenv("TIDEGATE_DATA", str(folder))
    for name, pinned in CORPORA.items():
        text = load_text(name)
        assert text.origin == str(reference(pinned.file))
        assert hashlib.sha1((folder / pinned.file).read_bytes()).hexdigest() == pinned.sha1
        assert f"{pinned.sha1}  {pinned.file}" in (folder / "SHA1SUMS").read_text()
        assert text.size == pinned.size


def test_the_list_has_every_name():
    listed = list_corpora()
    assert tuple(corpus.name for corpus in listed) == NAMES
    assert all(corpus.size > 100_000 and corpus.licence and corpus.source for corpus in listed)
