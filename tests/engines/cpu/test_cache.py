"""Compiled kernels on disk: found again, rebuilt when damaged, and not needed."""

import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from tidegate.calculus import trace
from tidegate.cells import GRU
from tidegate.engines.cpu import backward, cache, forward, kernels, runtime, target, tile

PROGRAM = "define i64 @answer() {\n  ret i64 42\n}\n"


def answer() -> bytes:
    return runtime.object_code("answer", lambda: PROGRAM, target.host())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def compiled(monkeypatch) -> list[str]:
    """Notes each compilation."""
    seen, right = [], runtime.optimize
    monkeypatch.setattr(runtime, "optimize", lambda text, where: seen.append(text) or right(text, where))
    return seen


def test_the_second_time_nothing_is_compiled(folder, monkeypatch):
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


def test_a_folder_that_cannot_be_written_changes_nothing_else(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("TIDEGATE_CACHE", str(blocked / "kernels"))
    assert answer()


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
    assert answer()
    assert not any(tmp_path.iterdir())


def test_kernels_on_disk_are_found_without_writing_their_programs(folder, monkeypatch):
    def link() -> list:
        made = (kernels.shared, kernels.forward_kernel, kernels.backward_kernel)
        for function in made:
            function.cache_clear()
        flags = {"ragged": False, "traced": False}
        kernels.forward_kernel(trace(GRU), kernels.here(), "float", save=True, **flags)
        kernels.backward_kernel(trace(GRU), kernels.here(), "float", **flags)
        return sorted(path.name for path in folder.iterdir())

    first = link()
    assert len(first) == 3
    for module, name in ((tile, "emit"), (forward, "emit"), (backward, "emit"), (runtime, "optimize")):
        monkeypatch.setattr(module, name, None)
    assert link() == first


def test_with_its_kernels_on_disk_a_process_loads_nothing_that_writes_them(folder):
    program = (
        "import sys, torch, tidegate\n"
        "tidegate.GRU(5, 7, engine='cpu')(torch.zeros(3, 2, 5))[0].sum().backward()\n"
        "print('tidegate.engines.cpu.vector' in sys.modules)"
    )
    environment = {**os.environ, "TIDEGATE_CACHE": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program]
    runs = [subprocess.run(command, env=environment, capture_output=True, text=True, check=True) for _ in range(2)]
    assert [run.stdout.strip() for run in runs] == ["True", "False"]


def test_parts_of_a_key_do_not_run_together():
    assert cache.key("a", "b") != cache.key("a", "c") != cache.key("ab", "")


def test_writers_in_several_processes_leave_a_whole_file(folder, tmp_path):
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
