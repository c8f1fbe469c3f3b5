"""What the threads of torch are told about waiting: by us only before torch is there, and never against the user."""

import os
import subprocess
import sys

import pytest

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")


@pytest.mark.parametrize(
    ("given", "statement", "expected"),
    [
        ({}, "import tidegate", "12000 None"),
        ({}, "import torch, tidegate", "None None"),
        ({"GOMP_SPINCOUNT": "7"}, "import tidegate", "7 None"),
        ({"OMP_WAIT_POLICY": "active"}, "import tidegate", "None active"),
    ],
)
def test_threads_spin_shortly_unless_the_user_or_torch_came_first(given, statement, expected):
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | given
    code = f"{statement}; import os; print(*map(os.environ.get, {NAMES}))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == expected


def test_torch_is_not_loaded_before_it_is_told():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "try: from tidegate import GRU\n"
        "except ImportError: print('tidegate.waiting' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "True"
