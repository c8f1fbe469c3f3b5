import subprocess
import sys

import pytest
import typer

import tidegate as library
from tidegate.cli.app import app


def test_the_version_is_the_librarys(tidegate):
    assert tidegate("--version").out == f"tidegate {library.__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_the_verbs_and_where_to_begin(tidegate, arguments):
    outcome = tidegate(*arguments)
    for word in ("train", "eval", "sample", "data", "tidegate train builtin"):
        assert word in outcome.out + outcome.err


def test_every_option_of_every_verb_has_a_word_of_help():
    verbs = typer.main.get_command(app).commands
    assert verbs.keys() == {"train", "eval", "sample", "verify", "derive", "data"}
    bare = [(verb, p.name) for verb, command in verbs.items() for p in command.params if not getattr(p, "help", "")]
    assert bare == []


def test_the_command_line_starts_without_the_heavy_libraries():
    """matplotlib, llvmlite and sympy cost seconds; --help must not wait for them."""
    code = "import sys, tidegate.cli; print([m for m in ('matplotlib', 'llvmlite', 'sympy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout == "[]\n"
