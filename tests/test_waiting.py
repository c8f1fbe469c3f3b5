"""How long torch's OpenMP threads spin: set only before torch is loaded, never against the user, not for children."""

import os
import subprocess
import sys

import pytest

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


def run(program: str, **given: str) -> subprocess.CompletedProcess:
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | given
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)


def spins_read_by_openmp(program: str, **given: str) -> str:
    """What GNU's OpenMP says that it has read."""
    lines = run(program, OMP_DISPLAY_ENV="VERBOSE", **given).stderr.splitlines()
    found = [line.split("'")[1] for line in lines if "GOMP_SPINCOUNT" in line]
    if not found:
        pytest.skip("torch does not use GNU's OpenMP here")
    return found[0]


@pytest.mark.parametrize(
    ("program", "given", "expected"),
    [
        ("import tidegate, torch", {}, "12000"),
        ("import tidegate; tidegate.GRU", {}, "12000"),
        ("import torch, tidegate", {}, "300000"),
        ("import tidegate, torch", {"GOMP_SPINCOUNT": "7"}, "7"),
        ("import tidegate, torch", {"OMP_WAIT_POLICY": "passive"}, "0"),
        ("import tidegate, os; os.environ['GOMP_SPINCOUNT'] = '9'; import torch", {}, "9"),
    ],
)
def test_threads_spin_briefly_unless_set_by_the_user_or_torch(program, given, expected):
    assert spins_read_by_openmp(program, **given) == expected


SHOW = f"import os; print(*map(os.environ.get, {NAMES}), flush=True)"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SHOW!r}])"


@pytest.mark.parametrize("given", [{}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "active"}])
def test_the_environment_and_that_of_a_child_process_are_not_changed(given):
    program = f"import tidegate\n{SHOW}\nimport torch\n{SHOW}\n{CHILD}"
    expected = " ".join(str(given.get(name)) for name in NAMES)
    assert run(program, **given).stdout.splitlines() == [expected] * 3


def test_an_import_of_torch_that_fails_leaves_the_environment_as_it_was_and_may_be_repeated(tmp_path):
    (tmp_path / "torch.py").write_text(
        "import os\n"
        "print(os.environ.get('GOMP_SPINCOUNT'))\n"
        "if 'READY' not in os.environ: raise ImportError('not ready')"
    )
    program = (
        f"import os, sys; sys.path.insert(0, {str(tmp_path)!r}); import tidegate\n"
        "sys.modules['tidegate.engines'] = os  # which would not work with this torch\n"
        "try: import torch\n"
        "except ImportError as error: print(error)\n"
        "print(os.environ.get('GOMP_SPINCOUNT'))\n"
        "os.environ['READY'] = ''; import torch\n"
        "print(os.environ.get('GOMP_SPINCOUNT'))"
    )
    assert run(program).stdout.split("\n") == ["12000", "not ready", "None", "12000", "None", ""]


def test_torch_has_its_usual_loader():
    program = (
        "import importlib.util, sys, tidegate\n"
        "spec = importlib.util.find_spec('torch')\n"
        "loader = spec.loader; print('torch' in sys.modules, loader.is_package('torch'), loader.path == spec.origin)\n"
        "import torch, tidegate.waiting\n"
        "print(type(torch.__loader__).__name__, type(torch.__spec__.loader).__name__, torch.__file__ == spec.origin)"
    )
    assert run(program).stdout.splitlines() == ["False True True", "SourceFileLoader SourceFileLoader True"]


def test_torch_is_not_loaded_by_the_package_before_its_spins_are_set():
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "try: from tidegate import GRU\n"
        "except ImportError: print('tidegate.waiting' in sys.modules)"
    )
    assert run(program).stdout.strip() == "True"
