"""Fetching pinned files, from a server on this machine."""

import hashlib
import random
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tidegate.errors import DataError
from tidegate.text.fetch import ATTEMPTS, Pinned, find, folder, read

BODY = random.Random(1).randbytes(200_000)


def pinned(url: str, body: bytes = BODY) -> Pinned:
    return Pinned(
        "text.txt",
        url,
        len(body),
        hashlib.sha256(body).hexdigest(),
        hashlib.sha1(body).hexdigest(),
        "public domain",
        "Noise",
    )


def kept(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix != ".lock"]


@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder is another on this system")
def test_the_cache_folder_is_the_user_s(monkeypatch, tmp_path):
    monkeypatch.delenv("TIDEGATE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert folder() == tmp_path / "tidegate" / "data"


def test_a_file_is_fetched_once_and_then_read_from_the_cache(serve, own_cache):
    server = serve(BODY)
    assert read("noise", pinned(server.url)) == (BODY, str(own_cache / "text.txt"))
    assert read("noise", pinned(server.url)) == (BODY, str(own_cache / "text.txt"))
    assert server.asked == [None]
    assert kept(own_cache) == ["text.txt"]


def test_processes_started_together_fetch_once(serve):
    server = serve(BODY)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: read("noise", pinned(server.url))[0], range(4)))
    assert found == [BODY] * 4
    assert server.asked == [None]


def test_an_interrupted_download_is_resumed_where_it_stopped(serve):
    server = serve(BODY, cuts=[70_000, 50_000])
    assert read("noise", pinned(server.url))[0] == BODY
    assert server.asked == [None, "bytes=70000-", "bytes=120000-"]


def test_a_partial_file_of_an_earlier_process_is_continued(serve, own_cache):
    own_cache.mkdir(parents=True)
    (own_cache / "text.txt.part").write_bytes(BODY[:1234])
    server = serve(BODY)
    assert read("noise", pinned(server.url))[0] == BODY
    assert server.asked == ["bytes=1234-"]


def test_a_complete_partial_file_needs_no_request(serve, own_cache):
    own_cache.mkdir(parents=True)
    (own_cache / "text.txt.part").write_bytes(BODY)
    server = serve(BODY)
    assert read("noise", pinned(server.url))[0] == BODY
    assert server.asked == []


def test_repeated_interruptions_keep_the_partial_file_and_report_how_to_continue(serve, own_cache):
    server = serve(BODY, cuts=[10_000] * ATTEMPTS)
    with pytest.raises(DataError, match=r"cut after byte 40000.* 40000 of 200000 bytes are kept: run the same"):
        read("noise", pinned(server.url))
    assert (own_cache / "text.txt.part").stat().st_size == 40_000
    assert read("noise", pinned(server.url))[0] == BODY
    assert server.asked[ATTEMPTS:] == ["bytes=40000-"]


def test_a_download_from_a_server_without_ranges_starts_again(serve):
    server = serve(BODY, cuts=[70_000], ranges=False)
    assert read("noise", pinned(server.url))[0] == BODY
    assert server.asked == [None, "bytes=70000-"]


def test_a_download_without_a_reported_length_is_resumed_too(serve):
    server = serve(BODY, cuts=[70_000], length=False)
    assert read("noise", pinned(server.url))[0] == BODY
    assert server.asked == [None, "bytes=70000-"]


@pytest.mark.parametrize(
    "other",
    [BODY[:-1] + bytes([BODY[-1] ^ 1]), BODY + b"more" * 50_000, BODY[:100]],
    ids=["same size", "longer", "shorter"],
)
def test_a_file_with_another_hash_is_removed_and_the_error_has_both_hashes(serve, own_cache, other):
    expected = pinned(serve(other).url)
    with pytest.raises(DataError) as caught:
        read("noise", expected)
    message = str(caught.value)
    assert f"expected 200000 bytes with SHA-256 {expected.sha256}, got {min(len(other), 262_144)} bytes" in message
    assert "It was removed" in message
    assert kept(own_cache) == []


def test_a_partial_file_longer_than_the_server_s_is_discarded(serve, own_cache):
    own_cache.mkdir(parents=True)
    (own_cache / "text.txt.part").write_bytes(BODY[:5000])
    server = serve(BODY[:100])
    with pytest.raises(DataError, match=r"wrong hash.*got 100 bytes"):
        read("noise", pinned(server.url))
    assert server.asked == ["bytes=5000-", None]


def test_a_damaged_partial_file_is_found_by_the_hash_and_fetched_again(serve, own_cache):
    own_cache.mkdir(parents=True)
    (own_cache / "text.txt.part").write_bytes(b"x" * 5000)
    server = serve(BODY)
    with pytest.raises(DataError, match="wrong hash"):
        read("noise", pinned(server.url))
    assert read("noise", pinned(server.url))[0] == BODY


def test_a_damaged_cached_file_is_fetched_again(serve, own_cache):
    own_cache.mkdir(parents=True)
    (own_cache / "text.txt").write_bytes(BODY[::-1])
    assert read("noise", pinned(serve(BODY).url))[0] == BODY


def test_without_a_network_the_error_says_which_file_to_put_where(own_cache):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/text.txt"
    expected = pinned(url)
    with pytest.raises(DataError) as caught:
        read("noise", expected)
    for piece in (url, "refused", "text.txt (200000 bytes", expected.sha1, str(own_cache), "TIDEGATE_DATA"):
        assert piece in str(caught.value)


@pytest.mark.parametrize("status", [404, 503])
def test_the_http_status_of_a_refusal_is_reported(serve, own_cache, status):
    with pytest.raises(DataError, match=rf"could not be fetched from http.*HTTP {status} .*Or put the file text.txt"):
        read("noise", pinned(serve(BODY, status=status).url))
    assert kept(own_cache) == []


def test_a_cache_folder_that_cannot_be_made_is_an_error(serve, own_cache):
    own_cache.parent.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"cannot be stored in .*cache"):
        read("noise", pinned(serve(BODY).url))


def test_the_data_folder_is_searched_by_hash_whatever_the_name(tmp_path, monkeypatch):
    folder = tmp_path / "mine" / "deeper"
    folder.mkdir(parents=True)
    (folder / "a name of my own").write_bytes(BODY)
    (folder / "text.txt").write_bytes(BODY[::-1])  # the right name and size, the wrong bytes
    monkeypatch.setenv("TIDEGATE_DATA", str(tmp_path / "mine"))
    assert find(pinned("http://nowhere.invalid/")) == folder / "a name of my own"
    assert find(pinned("http://nowhere.invalid/", b"another file")) is None


def test_a_data_folder_that_is_not_a_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TIDEGATE_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError, match="TIDEGATE_DATA must name a folder"):
        find(pinned("http://nowhere.invalid/"))
