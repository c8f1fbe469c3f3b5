"""Folders and files that other users could change are refused, with the path and the reason."""

import os
import re
import stat
from pathlib import Path

import pytest
from tests.engines.cpu.conftest import OTHER_USER

from tidegate.engines.cpu import ownership
from tidegate.engines.cpu.ownership import own_folder, read_own_file

pytestmark = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no user numbers")
needs_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root can change owners")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_missing_folders_are_made_for_this_user_alone(tmp_path):
    before = os.umask(0)
    try:
        assert own_folder(tmp_path / "a" / "b", create=True) == tmp_path / "a" / "b"
    finally:
        os.umask(before)
    assert [mode(tmp_path / "a"), mode(tmp_path / "a" / "b")] == [0o700, 0o700]


def test_without_create_a_missing_folder_is_not_made(tmp_path):
    with pytest.raises(FileNotFoundError):
        own_folder(tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("bits", [0o770, 0o707, 0o720, 0o702])
def test_a_folder_that_others_can_write_is_refused(tmp_path, bits):
    place = tmp_path / "kernels"
    place.mkdir()
    place.chmod(bits)
    with pytest.raises(PermissionError, match=re.escape(f"write {place} (mode {bits:04o}; `chmod go-w {place}`")):
        own_folder(place)
    place.chmod(bits & ~0o022)
    assert own_folder(place) == place


@pytest.mark.parametrize("sticky", [True, False])
def test_a_folder_inside_one_that_others_can_write_is_accepted_only_under_the_sticky_bit(tmp_path, sticky):
    shared, place = tmp_path / "shared", tmp_path / "shared" / "kernels"
    place.mkdir(parents=True)
    shared.chmod(0o1777 if sticky else 0o777)
    if sticky:
        assert own_folder(place) == place
    else:
        with pytest.raises(PermissionError, match=f"write {shared} "):
            own_folder(place, create=True)


def test_the_sticky_bit_does_not_apply_to_the_folder_itself(tmp_path):
    tmp_path.chmod(0o1777)
    with pytest.raises(PermissionError, match=f"write {tmp_path} "):
        own_folder(tmp_path)


@needs_root
@pytest.mark.parametrize("depth", [0, 1])
def test_root_does_not_use_the_folder_of_another_user_nor_write_there(tmp_path, depth):
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, OTHER_USER, OTHER_USER)
    with pytest.raises(
        PermissionError, match=f"{theirs} belongs to user {OTHER_USER}, and this process runs as user 0"
    ):
        own_folder(theirs / "kernels" if depth else theirs, create=True)
    assert not any(theirs.iterdir())


def test_a_user_accepts_folders_and_files_of_their_own_and_of_root_but_of_no_other(other_user):
    place = own_folder(other_user / "kernels", create=True)
    (place / "k.o").write_bytes(b"code")
    assert read_own_file(place / "k.o") == b"code"
    for owner, accepted in ((0, True), (OTHER_USER + 1, False)):
        os.seteuid(0)
        (place / "k.o").chmod(0o644)
        place.chmod(0o755)
        os.chown(place / "k.o", owner, owner)
        os.chown(place, owner, owner)
        os.seteuid(OTHER_USER)
        if accepted:
            assert own_folder(place) == place
            assert read_own_file(place / "k.o") == b"code"
        else:
            with pytest.raises(PermissionError, match=f"kernels belongs to user {owner}"):
                own_folder(place)
            with pytest.raises(PermissionError, match=f"k.o belongs to user {owner}"):
                read_own_file(place / "k.o")


def test_links_are_followed_and_their_targets_checked(tmp_path):
    (tmp_path / "real" / "kernels").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "absolute").symlink_to(tmp_path / "link")
    (tmp_path / "up").symlink_to("real/../link/kernels")
    for path in ("link/kernels", "absolute/kernels", "up", "real/../link/kernels"):
        assert own_folder(tmp_path / path) == tmp_path / "real" / "kernels"
    (tmp_path / "real").chmod(0o777)
    with pytest.raises(PermissionError, match=f"write {tmp_path / 'real'} "):
        own_folder(tmp_path / "absolute" / "kernels")


@needs_root
def test_a_link_that_another_user_made_is_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    os.chown(tmp_path / "link", OTHER_USER, OTHER_USER, follow_symlinks=False)
    with pytest.raises(PermissionError, match=f"{tmp_path / 'link'} belongs to user {OTHER_USER}"):
        own_folder(tmp_path / "link")


def test_links_in_a_circle_end_with_an_error(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        own_folder(tmp_path / "a", create=True)


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    for path in ("file", "file/kernels"):
        with pytest.raises(NotADirectoryError):
            own_folder(tmp_path / path, create=True)


def test_only_regular_files_that_nobody_else_can_write_are_read(tmp_path):
    file = tmp_path / "k.o"
    file.write_bytes(b"code")
    assert read_own_file(file) == b"code"
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(OSError, match="symbolic links"):
        read_own_file(tmp_path / "link")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(PermissionError, match="not a regular file"):
        read_own_file(tmp_path / "pipe")
    for bits in (0o620, 0o602):
        file.chmod(bits)
        with pytest.raises(PermissionError, match=f"mode {bits:04o}"):
            read_own_file(file)


@needs_root
def test_owner_and_content_are_of_the_same_file_even_if_it_is_replaced_while_it_is_examined(tmp_path, monkeypatch):
    file, planted = tmp_path / "k.o", tmp_path / "planted"
    file.write_bytes(b"code")
    planted.write_bytes(b"planted")
    os.chown(planted, OTHER_USER, OTHER_USER)
    examine = ownership._check_owner

    def replace_then_examine(*arguments) -> None:
        planted.replace(file)
        monkeypatch.setattr(ownership, "_check_owner", examine)
        examine(*arguments)

    monkeypatch.setattr(ownership, "_check_owner", replace_then_examine)
    assert read_own_file(file) == b"code"
    with pytest.raises(PermissionError, match=f"belongs to user {OTHER_USER}"):
        read_own_file(file)


@needs_root
def test_inside_a_user_namespace_folders_of_the_owner_of_the_root_folder_are_accepted_on_the_way(tmp_path, monkeypatch):
    place = tmp_path / "kernels"
    place.mkdir()
    os.chown(tmp_path, OTHER_USER, OTHER_USER)
    with pytest.raises(PermissionError, match=f"{tmp_path} belongs"):
        own_folder(place)
    real = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: real(tmp_path) if str(path) == "/" else real(path))
    assert own_folder(place) == place
    os.chown(place, OTHER_USER, OTHER_USER)
    with pytest.raises(PermissionError, match=f"{place} belongs"):
        own_folder(place)


def test_without_user_numbers_nothing_is_examined(tmp_path, monkeypatch):
    """As on Windows."""
    monkeypatch.delattr(os, "geteuid")
    place = tmp_path / "a" / "kernels"
    assert own_folder(place, create=True) == place
    place.chmod(0o777)
    assert own_folder(place) == place
    (place / "k.o").write_bytes(b"code")
    assert read_own_file(place / "k.o") == b"code"
