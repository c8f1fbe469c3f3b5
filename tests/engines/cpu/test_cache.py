"""Compiled kernels on disk: found again, rebuilt when damaged, not executed where others could have written them."""

import functools
import os
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import platformdirs
import pytest
from tests.engines.cpu.conftest import OTHER_USER

from tidegate.calculus import trace
from tidegate.cells import GRU
from tidegate.engines.cpu import backward, cache, forward, kernels, runtime, target, tile

PROGRAM = "define i64 @answer() {{\n  ret i64 {value}\n}}\n"

needs_owners = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="this system has no user numbers")
needs_root = pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root can do that")


def answer(name: str = "answer", value: int = 42) -> bytes:
    return runtime.object_code(name, lambda: PROGRAM.format(value=value), target.host())


@pytest.fixture(autouse=True)
def no_warning_yet():
    cache.warn_once.cache_clear()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def compiled(monkeypatch) -> list[str]:
    """Notes each compilation."""
    seen, right = [], runtime.optimize
    monkeypatch.setattr(runtime, "optimize", lambda text, where: seen.append(text) or right(text, where))
    return seen


def test_the_second_process_compiles_nothing(folder, monkeypatch):
    seen = compiled(monkeypatch)
    first = answer()
    assert answer() == first
    assert len(seen) == 1
    assert [path.suffix for path in folder.iterdir()] == [".o"]


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:40] + b"?" + b[41:], lambda b: b""])
def test_damaged_files_are_rebuilt(folder, monkeypatch, damage):
    seen = compiled(monkeypatch)
    first = answer()
    (file,) = folder.iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert answer() == first
    assert len(seen) == 2
    assert cache.read(file.stem) == first


def test_files_with_exchanged_names_are_rebuilt(folder, monkeypatch):
    seen = compiled(monkeypatch)
    codes = {name: answer(name, value) for name, value in (("one", 1), ("two", 2))}
    files = {name: folder / f"{name}.o" for name in codes}
    contents = {name: file.read_bytes() for name, file in files.items()}
    files["one"].write_bytes(contents["two"])
    files["two"].write_bytes(contents["one"])
    assert {name: answer(name, value) for name, value in (("one", 1), ("two", 2))} == codes
    assert len(seen) == 4
    assert {name: file.read_bytes() for name, file in files.items()} == contents


@needs_owners
def test_folder_and_files_are_for_this_user_alone(folder):
    before = os.umask(0)
    try:
        answer()
    finally:
        os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "answer.o")] == [0o700, 0o600]


def twice_in_memory(monkeypatch, reason: str) -> None:
    """The answer is compiled at each request, with one warning of this reason."""
    seen = compiled(monkeypatch)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        assert answer() == answer()
    assert len(seen) == 2
    (warning,) = warned
    assert warning.category is RuntimeWarning
    assert reason in str(warning.message)
    assert "TIDEGATE_CACHE can name a folder" in str(warning.message)


@needs_owners
@pytest.mark.parametrize("writable_by", [stat.S_IWGRP, stat.S_IWOTH], ids=["group", "others"])
def test_a_folder_that_others_can_write_is_not_used_and_one_warning_says_so(folder, monkeypatch, writable_by):
    answer()
    folder.chmod(0o700 | writable_by)
    before = (folder / "answer.o").stat()
    twice_in_memory(monkeypatch, f"`chmod go-w {folder}` revokes that")
    assert [path.name for path in folder.iterdir()] == ["answer.o"]
    assert (folder / "answer.o").stat().st_mtime_ns == before.st_mtime_ns


@needs_root
def test_a_folder_of_another_user_is_not_used_even_by_root(folder, monkeypatch):
    answer()
    os.chown(folder, OTHER_USER, OTHER_USER)
    twice_in_memory(monkeypatch, f"{folder} belongs to user {OTHER_USER}")


@needs_owners
@pytest.mark.parametrize("replace", ["group can write it", "link", pytest.param("other owner", marks=needs_root)])
def test_a_file_that_others_could_have_written_is_rebuilt_and_replaced(folder, monkeypatch, replace):
    right = answer()
    file, elsewhere = folder / "answer.o", folder.parent / "elsewhere.o"
    if replace == "group can write it":
        file.chmod(0o660)
    elif replace == "link":
        elsewhere.write_bytes(file.read_bytes())
        file.unlink()
        file.symlink_to(elsewhere)
    else:
        os.chown(file, OTHER_USER, OTHER_USER)
    seen = compiled(monkeypatch)
    assert answer() == answer() == right
    assert len(seen) == 1
    status = file.lstat()
    assert (stat.S_ISREG(status.st_mode), stat.S_IMODE(status.st_mode)) == (True, 0o600)
    assert status.st_uid == os.geteuid()


def test_a_folder_that_cannot_be_made_changes_nothing_else(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("TIDEGATE_CACHE", str(blocked / "kernels"))
    twice_in_memory(monkeypatch, f"Not a directory: '{blocked}'")


def test_a_folder_that_cannot_be_written_changes_nothing_else(other_user, monkeypatch):
    other_user.chmod(0o500)
    monkeypatch.setenv("TIDEGATE_CACHE", str(other_user))
    twice_in_memory(monkeypatch, f"Permission denied: '{other_user}'")


FULL_DISK = """
import resource
from tests.engines.cpu.test_cache import answer
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
assert answer() == answer()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit to the size of files")
def test_a_full_disk_changes_nothing_else_and_leaves_no_file(folder):
    environment = {**os.environ, "TIDEGATE_CACHE": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "always", "-c", FULL_DISK]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr.count("RuntimeWarning: Compiled kernels cannot be kept on disk") == 1
    assert "File too large" in done.stderr
    assert not any(folder.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="the cache folder is another on this system")
def test_the_folder_is_in_the_user_s_cache_folder_unless_it_is_chosen(tmp_path, monkeypatch):
    monkeypatch.setenv("TIDEGATE_CACHE", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache.folder() == tmp_path / "caches" / "tidegate"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.folder() == tmp_path / ".cache" / "tidegate"
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "mine"))
    assert cache.folder() == tmp_path / "mine"


def test_a_user_without_a_home_keeps_no_kernels(tmp_path, monkeypatch):
    monkeypatch.delenv("TIDEGATE_CACHE", raising=False)
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: Path("~/.cache/tidegate"))
    monkeypatch.chdir(tmp_path)
    twice_in_memory(monkeypatch, "this user has no home folder")
    assert not any(tmp_path.iterdir())


def test_kernels_on_disk_are_found_without_generating_their_programs(folder, monkeypatch):
    def link() -> (
        list
    ):  # the kernels made before stay: launch plans still call them, and they call the shared functions
        monkeypatch.setattr(kernels, "shared", functools.cache(kernels.shared.__wrapped__))
        for function in (kernels.forward_kernel, kernels.backward_kernel):
            monkeypatch.setattr(function, "_made", {})
        flags = {"ragged": False, "traced": False}
        kernels.forward_kernel(trace(GRU), kernels.here(), "float", save=True, **flags)
        kernels.backward_kernel(trace(GRU), kernels.here(), "float", **flags)
        return sorted(path.name for path in folder.iterdir())

    first = link()
    assert len(first) == 3
    for module, name in ((tile, "emit"), (forward, "emit"), (backward, "emit"), (runtime, "optimize")):
        monkeypatch.setattr(module, name, None)
    assert link() == first


def test_a_process_with_all_kernels_on_disk_does_not_import_the_code_generator(folder):
    program = (
        "import sys, torch, tidegate\n"
        "tidegate.GRU(5, 7, engine='cpu')(torch.zeros(3, 2, 5))[0].sum().backward()\n"
        "print('tidegate.engines.cpu.vector' in sys.modules)"
    )
    environment = {**os.environ, "TIDEGATE_CACHE": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program]
    runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    assert [run.stdout.strip() for run in runs] == ["True", "False"]


def test_the_parts_of_a_key_are_separated():
    assert cache.key("a", "b") != cache.key("a", "c") != cache.key("ab", "")


def test_writers_in_several_processes_leave_a_complete_file(folder, tmp_path):
    stop = tmp_path / "stop"
    program = (
        "import os, sys\n"
        "from tidegate.engines.cpu import cache\n"
        "while not os.path.exists(sys.argv[1]): cache.write('k', b'x' * 5000)"
    )
    environment = {**os.environ, "TIDEGATE_CACHE": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [subprocess.Popen([sys.executable, "-c", program, stop], env=environment) for _ in range(2)]
    try:
        while not (folder / "k.o").exists():
            assert all(writer.poll() is None for writer in writers)
        for _ in range(500):
            assert cache.read("k") == b"x" * 5000
    finally:
        stop.touch()
        codes = [writer.wait() for writer in writers]
    assert codes == [0, 0]
    assert [path.name for path in folder.iterdir()] == ["k.o"]
