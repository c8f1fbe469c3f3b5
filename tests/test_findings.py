"""docs/findings.md: its commands are those of the script that makes its tables, and all of them run."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "docs" / "findings"
PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sections():
    sys.path.insert(0, str(FOLDER))
    try:
        return importlib.import_module("sections").SECTIONS
    finally:
        sys.path.remove(str(FOLDER))


def in_page(name):
    return PAGE.split(f"<!-- measured: {name} -->\n")[1].split("<!-- end -->")[0]


def test_every_section_of_the_script_has_its_place_in_the_page_and_the_reverse(sections):
    assert re.findall(r"<!-- measured: ([\w-]+) -->", PAGE) == list(sections)


def test_the_commands_above_each_table_are_those_that_make_it(sections):
    for name, section in sections.items():
        commands = [line for line in in_page(name).splitlines() if line.startswith("tidegate ")]
        assert commands == [f"tidegate compare {c} --out runs/findings/{k}" for k, c in section.commands.items()]
        assert "| --- |" in in_page(name)


def test_every_command_runs_and_every_table_can_be_made(sections):
    done = subprocess.run(
        [sys.executable, str(FOLDER), "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in sections:
        assert f"\n{name}\n" in done.stdout
