"""docs/findings.md: its commands are those of the script that makes its tables, and all of them run."""

import re
import subprocess
import sys
from pathlib import Path

from measured.comparisons.sections import SECTIONS

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "docs" / "findings.py"
PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")


def in_page(name):
    return PAGE.split(f"<!-- measured: {name} -->\n")[1].split("<!-- end -->")[0]


def test_every_section_of_the_script_has_its_place_in_the_page_and_the_reverse():
    assert re.findall(r"<!-- measured: ([\w-]+) -->", PAGE) == list(SECTIONS)


def test_the_commands_above_each_table_are_those_that_make_it():
    for name, section in SECTIONS.items():
        commands = [line for line in in_page(name).splitlines() if line.startswith("tidegate ")]
        assert commands == [f"tidegate compare {c} --out runs/findings/{k}" for k, c in section.commands.items()]
        assert "| --- |" in in_page(name)


def test_every_command_runs_and_every_table_can_be_made():
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--quick"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in SECTIONS:
        assert f"\n{name}\n" in done.stdout


def rows(name):
    """The cells of each row of the table of a section, without its header."""
    lines = [line for line in in_page(name).splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def test_the_tables_agree_with_the_recommendations_of_the_page():
    lag = {(cell, start): last for cell, start, *_, last in rows("lag")}
    gated = [cell for cell, start in lag if start == "chrono"]
    assert len(gated) == 5
    assert all("(5 of 5" in lag[cell, "chrono"] for cell in gated)
    assert sum(int(re.findall(r"\((\d) of 5", lag[cell, "default"])[0]) for cell in gated) == 2
    assert all("(5 of 5" in cell for row in rows("lag") if row[0] == "residual" for cell in row[2:])
    assert all("(5 of 5" in cell for row in rows("lag") if row[0] == "update-only-gru" for cell in row[2:4])
    assert "reset-only-gru is better than gru" in in_page("gates-characters")
    assert "gru is better than update-only-gru" in in_page("gates-characters")
    solved = {row[0]: row[4].partition(" of ")[0] for row in rows("counting")}
    assert (solved["lstm"], solved["gru"]) == ("10", "5")
    assert "gru is better than lstm on this task at this budget: both always solved it, gru in 600" in in_page("adding")
    for name in ("parity", "characters", "counting-short"):
        assert "gru and lstm: no difference seen" in in_page(name)
    rates = {row[0]: row[1:] for row in rows("rates")}
    assert rates["gru"] == ["0", "0", "9", "2"]
    assert rates["lstm"][0] == "0"
    clipping = {row[0]: row[1:] for row in rows("clipping")}
    assert clipping["gru"][1] == clipping["gru"][3]
    assert "diverged" in clipping["residual"][3]
    batches = {tuple(row[:3]): row[4] for row in rows("batches")}
    assert batches["512", "100", "1"] == "4.292"
    assert batches["512", "1,600", "1"] == "2.947"
