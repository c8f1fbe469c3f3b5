"""Undocumented names of torch: in one file, with a clear failure, and with the range of releases that is tested."""

import re
import runpy
import tomllib
from pathlib import Path

import pytest
import torch
from torch.torch_version import TorchVersion

from tidegate.engines import torch_private

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "tidegate"
PRIVATE = re.compile(
    r"\b(?:torch|forward_ad)(?:\.\w+)*\._(?!_)\w+|\bfrom torch(?:\.\w+)*\._\w+|\bfrom torch\S* import _\w+"
)


def test_the_pattern_matches_private_names():
    for text in (
        "torch._C._functorch.x",
        "from torch._C import a",
        "from torch import _VF",
        "forward_ad._current_level",
    ):
        assert PRIVATE.search(text), text
    for text in ("torch.nn.Module.__init__", "from torch.nn import functional as F", "torch.ops.tidegate.sequence"):
        assert not PRIVATE.search(text), text


def test_no_other_file_uses_private_names():
    files = sorted(SOURCE.rglob("*.py"))
    users = {str(p.relative_to(SOURCE)) for p in files if PRIVATE.search(p.read_text())}
    assert users == {"engines/torch_private.py"}


def test_a_missing_name_is_reported_with_both_versions(monkeypatch):
    monkeypatch.delattr(torch._C, "_dispatch_keys")
    with pytest.raises(ImportError, match=r"tested with torch>=.*, and torch .* lacks .*_dispatch_keys.*pip install"):
        runpy.run_path(torch_private.__file__)


def test_the_range_of_torch_is_the_one_that_is_tested():
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert torch_private.TESTED in dependencies
    (lowest, beyond) = re.findall(r"\d+\.\d+", torch_private.TESTED)
    assert TorchVersion(lowest) <= TorchVersion(torch.__version__.partition("+")[0]) < TorchVersion(beyond)
    assert f"torch=={torch.__version__.partition('+')[0]}" in (ROOT / "constraints.txt").read_text()
