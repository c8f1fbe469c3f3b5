"""The names of the package: all of them found, and none imported before its first use."""

import subprocess
import sys

import pytest

import tidegate
from tidegate import public


def run(statements: str) -> str:
    command = [sys.executable, "-c", statements]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout.strip()


def test_every_public_name_is_found_listed_and_imported_by_a_star():
    given: dict = {}
    exec("from tidegate import *", given)
    for name in public.__all__:
        assert getattr(tidegate, name) is getattr(public, name) is given[name]


def test_dir_lists_what_is_public_and_nothing_else():
    code = "import tidegate; {}; print(*(n for n in dir(tidegate) if not n.startswith('__')))"
    for use in ("pass", "tidegate.GRU", "import tidegate.cli, tidegate.train.loop"):
        assert run(code.format(use)).split() == sorted([*public.__all__, "cells", "nn", "tasks"])


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tidegate' has no attribute 'GRV'"):
        tidegate.GRV  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'GRV'"):
        from tidegate import GRV  # noqa: F401
    assert not hasattr(tidegate, "__wrapped__")


def test_torch_is_imported_with_the_first_name_and_not_before():
    shown = run("import sys, tidegate; print('torch' in sys.modules); tidegate.GRU; print('torch' in sys.modules)")
    assert shown.split() == ["False", "True"]


@pytest.mark.parametrize(
    "folder", ["calculus", "cells", "engines", "errors", "nn", "verification", "text", "tasks", "train"]
)
def test_a_subpackage_is_found_without_its_own_import(folder):
    assert run(f"import tidegate; print(tidegate.{folder}.__name__)") == f"tidegate.{folder}"
