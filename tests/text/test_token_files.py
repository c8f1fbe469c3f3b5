"""The cache of tokens: what is kept, under which key, and what is never kept."""

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from filelock import FileLock

from tidegate.errors import DataError
from tidegate.text import source, token_files
from tidegate.text.corpora import load_text
from tidegate.text.dataset import make_dataset
from tidegate.text.progress import Progress
from tidegate.text.source import Text
from tidegate.text.token_files import clear, entries, folder, read_tokens

CONTENT = "The Time Traveller (for so it will be convenient to speak of him)\n" * 3


class Notes(Progress):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.fixture(autouse=True)
def large(monkeypatch):
    """Texts of more than 10 bytes are large."""
    monkeypatch.setattr(source, "LARGE", 10)


@pytest.fixture
def text():
    return Text.of("t", CONTENT)


@pytest.fixture
def encodings(monkeypatch):
    """How often a text was encoded."""
    count = []
    encode = token_files.encode
    monkeypatch.setattr(token_files, "encode", lambda *a: (count.append(1), encode(*a))[1])
    return count


def spelt(tokens) -> str:
    return "".join(tokens.table.tokens[k] for k in tokens.indices[:].tolist())


def kept() -> list[str]:
    return sorted(path.suffix for path in folder().iterdir())


def test_a_large_text_is_encoded_once(text, encodings):
    first, second = (read_tokens(text, "raw", "char", Progress()) for _ in range(2))
    assert encodings == [1]
    assert spelt(first) == spelt(second) == CONTENT
    assert second.indices.pages is not None
    assert (second.table.tokens, second.table.counts.tolist()) == (first.table.tokens, first.table.counts.tolist())
    assert kept() == ["", ".lock"]


def test_the_tokens_are_those_of_the_text_in_memory(text, monkeypatch):
    large = make_dataset(text, tokens="word", min_freq=2)
    monkeypatch.setattr(source, "LARGE", 1000)
    small = make_dataset(text, tokens="word", min_freq=2)
    assert large.vocabulary == small.vocabulary
    for a, b in ((large.train, small.train), (large.heldout, small.heldout)):
        assert torch.equal(a.ids[:], b.ids[:])
        assert (a.characters, a.unknown) == (b.characters, b.unknown)


@pytest.mark.parametrize(
    "other",
    [
        lambda text: (Text.of("t", CONTENT + "x"), "raw", "char"),
        lambda text: (text, "letters", "char"),
        lambda text: (text, "raw", "word"),
        lambda text: (Text.of("t", CONTENT, encoding="latin-1"), "raw", "char"),
    ],
    ids=["text", "preprocessing", "tokens", "encoding"],
)
def test_the_key_covers_the_text_and_its_tokenisation(text, encodings, other):
    read_tokens(text, "raw", "char", Progress())
    read_tokens(*other(text), Progress())
    assert len(encodings) == 2


def test_a_small_text_is_not_cached(monkeypatch, text):
    monkeypatch.setattr(source, "LARGE", 1000)
    assert spelt(read_tokens(text, "raw", "char", Progress())) == CONTENT
    assert not folder().exists()


@pytest.mark.parametrize("file", ["indices.bin", "counts.bin", "tokens.json", "facts.json"])
@pytest.mark.parametrize("damage", [lambda p: p.write_bytes(p.read_bytes()[:-1]), Path.unlink, lambda p: flip(p)])
def test_a_damaged_file_is_not_used(text, encodings, file, damage):
    read_tokens(text, "raw", "char", Progress())
    (place,) = (path for path in folder().iterdir() if not path.suffix)
    damage(place / file)
    assert spelt(read_tokens(text, "raw", "char", Progress())) == CONTENT
    assert spelt(read_tokens(text, "raw", "char", Progress())) == CONTENT
    assert len(encodings) == 2


def flip(path):
    raw = bytearray(path.read_bytes())
    raw[0] ^= 1
    path.write_bytes(raw)


def denied(*arguments, **options):
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("where", ["a file", "not ours"])
def test_without_a_cache_folder_the_tokens_are_in_a_temporary_file(text, tmp_path, monkeypatch, where):
    if where == "a file":
        (tmp_path / "file").touch()
        monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "file"))
    else:
        monkeypatch.setattr("pathlib.Path.mkdir", denied)
    progress = Notes()
    assert spelt(read_tokens(text, "raw", "char", progress)) == CONTENT
    (note,) = progress.notes
    assert "written to a temporary file and not kept" in note
    assert "TIDEGATE_CACHE" in note


def test_in_python_the_note_is_a_warning(text, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="temporary file and not kept"):
        make_dataset(text)


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are of POSIX")
@pytest.mark.parametrize("cached", [True, False])
def test_a_full_disk_is_an_error_and_leaves_no_file(tmp_path, monkeypatch, cached):
    text = Text.of("t", CONTENT * 500)
    if not cached:
        (tmp_path / "file").touch()
        monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "file"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises(DataError, match=r"the tokens of t .* cannot be written in .*Free space there, or name"):
            read_tokens(text, "raw", "char", Notes())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    if cached:
        assert kept() == [".lock"]
        assert spelt(read_tokens(text, "raw", "char", Progress())) == CONTENT * 500


def test_a_text_that_changes_while_it_is_read_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr("tidegate.text.corpora.LARGE", 10)
    path = tmp_path / "t.txt"
    path.write_text(CONTENT)
    text = load_text(str(path))
    path.write_text(CONTENT.replace("Time", "time"))
    with pytest.raises(DataError, match="changed while it was read"):
        read_tokens(text, "raw", "char", Progress())
    assert kept() == [".lock"]


KILLED = """
import os, signal, sys
from tidegate.text import source, token_files
from tidegate.text.progress import Progress
from tidegate.text.source import Text
source.LARGE = 10
where = sys.argv[1]
real = getattr(token_files, where)
calls = []
def die(*arguments, **options):
    calls.append(1)
    if len(calls) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments, **options)
setattr(token_files, where, die)
token_files.read_tokens(Text.of("t", sys.argv[3]), "raw", "char", Progress())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is of POSIX")
@pytest.mark.parametrize(("where", "call"), [("encode", 1), ("_write", 2), ("_write", 4), ("_prune", 1)])
def test_an_incomplete_file_of_a_killed_process_is_not_used(text, encodings, where, call):
    done = subprocess.run([sys.executable, "-c", KILLED, where, str(call), CONTENT], timeout=100)
    assert done.returncode == -signal.SIGKILL
    assert spelt(read_tokens(text, "raw", "char", Progress())) == CONTENT
    assert len(encodings) == (where != "_prune")  # by then the tokens were complete
    assert kept() == ["", ".lock"]


def read_in_child(queue, cache):
    os.environ["TIDEGATE_CACHE"] = cache
    source.LARGE = 10
    encode, count = token_files.encode, []

    def slow(*arguments):
        count.append(1)
        time.sleep(0.2)
        return encode(*arguments)

    token_files.encode = slow
    queue.put((spelt(read_tokens(Text.of("t", CONTENT), "raw", "char", Notes())), len(count)))


def test_of_several_processes_one_encodes_and_all_read(tmp_path):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    children = [context.Process(target=read_in_child, args=(queue, str(tmp_path / "cache"))) for _ in range(3)]
    for child in children:
        child.start()
    found = [queue.get(timeout=100) for _ in children]
    for child in children:
        child.join()
    assert {text for text, _ in found} == {CONTENT}
    assert sum(count for _, count in found) == 1


def test_the_folder_has_a_limit_and_keeps_the_files_used_last(monkeypatch, encodings):
    texts = [Text.of(f"t{k}", CONTENT + str(k)) for k in range(4)]
    for text in texts[:3]:
        read_tokens(text, "raw", "char", Progress())
    for age, entry in enumerate(entries()):
        os.utime(entry.where, (1000 - age, 1000 - age))  # t2 was used last
    read_tokens(texts[0], "raw", "char", Progress())
    size = entries()[0].size
    monkeypatch.setattr(token_files, "LIMIT", 2 * size + 10)
    read_tokens(texts[3], "raw", "char", Progress())
    assert {entry.name for entry in entries()} == {"t0", "t3"}
    assert len(encodings) == 4


def test_entries_lists_the_cached_files_and_clear_removes_them(text):
    assert (entries(), clear()) == ([], (0, 0))
    read_tokens(text, "letters", "word", Progress())
    (folder() / "0123.part").mkdir()
    (entry,) = entries()
    assert (entry.name, entry.kind, entry.preprocessing, entry.text_size) == ("t", "word", "letters", len(CONTENT))
    assert entry.size == sum(file.stat().st_size for file in Path(entry.where).iterdir())
    assert clear() == (1, entry.size)
    assert entries() == []
    assert set(kept()) == {".lock"}


def test_clear_keeps_a_file_that_another_process_is_writing(text):
    read_tokens(text, "raw", "char", Progress())
    (entry,) = entries()
    with FileLock(f"{entry.where}.lock"):
        assert clear() == (0, 0)
    assert [found.name for found in entries()] == ["t"]


def test_removed_tokens_stay_readable_where_they_are_open(text):
    tokens = read_tokens(text, "raw", "char", Progress())
    clear()
    assert spelt(tokens) == CONTENT


def test_an_entry_of_another_format_is_rewritten(text, encodings):
    read_tokens(text, "raw", "char", Progress())
    facts = Path(entries()[0].where) / "facts.json"
    facts.write_text(json.dumps(json.loads(facts.read_text()) | {"format": 0}))
    assert spelt(read_tokens(text, "raw", "char", Progress())) == CONTENT
    assert len(encodings) == 2
