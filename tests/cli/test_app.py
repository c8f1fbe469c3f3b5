import os
import re
import subprocess
import sys

import pytest
import typer

import tidegate as library
from tidegate.cli.app import app
from tidegate.engines import choose

HEAVY = ("torch", "numpy", "matplotlib", "llvmlite", "sympy", "rich")


def test_the_version_is_the_librarys(tidegate):
    assert tidegate("--version").out == f"tidegate {library.__version__}\n"


@pytest.mark.parametrize("command", ["train", "eval", "sample"])
def test_help_names_every_engine(tidegate, command):
    named = re.search(r"--engine\s+<str>\s+([^.\[]*)", tidegate(command, "--help").out)
    assert named is not None
    assert sorted(re.split(r",\s+|\s+or\s+", named[1].strip())) == sorted(choose.NAMES)


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_the_commands_and_how_to_begin(tidegate, arguments):
    outcome = tidegate(*arguments)
    for word in ("train", "eval", "sample", "data", "tidegate train builtin"):
        assert word in outcome.out + outcome.err


def test_every_option_of_every_command_has_help():
    verbs = typer.main.get_command(app).commands
    assert verbs.keys() == {"train", "eval", "sample", "inspect", "compare", "verify", "derive", "data", "kernels"}
    bare = [(verb, p.name) for verb, command in verbs.items() for p in command.params if not getattr(p, "help", "")]
    assert bare == []


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("verb", [None, "train", "eval", "sample", "compare", "verify", "derive", "data"])
def test_help_is_complete_at_every_width(tidegate, monkeypatch, verb, width):
    """No description ends in three dots, no line is wider than the terminal, and no word is lost."""
    monkeypatch.setenv("COLUMNS", str(width))
    shown = tidegate(*filter(None, [verb]), "--help").out
    assert [line for line in shown.splitlines() if line.endswith("...") and "ARGS" not in line] == []
    assert max(map(len, shown.splitlines())) <= width
    group = typer.main.get_command(app)
    described = (
        [command.short_help for command in group.commands.values()]
        if verb is None
        else [getattr(p, "help", "") or "" for p in group.commands[verb].params]
    )
    words = "".join(shown.split())
    assert [text for text in described if "".join(text.split()) not in words] == []


def started(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own, which prints the heavy packages that it loaded at its end."""
    code = (
        "import atexit, sys\n"
        f"heavy = {HEAVY}\n"
        "atexit.register(lambda: print([name for name in heavy if name in sys.modules]))\n"
        "from tidegate.cli import main\n"
        "sys.argv[0] = 'tidegate'\n"
        "main()"
    )
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("train", "--help"), ("verify", "--help"), ()])
def test_help_and_version_import_no_heavy_package(arguments):
    done = started(*arguments)
    assert "tidegate" in done.stdout.lower() + done.stderr.lower()
    assert done.stdout.splitlines()[-1] == "[]"


def test_completion_imports_no_heavy_package():
    words = {"COMP_WORDS": "tidegate tr", "COMP_CWORD": "1"}
    done = started(**words, _TIDEGATE_COMPLETE="complete_bash")
    assert done.stdout.splitlines() == ["train", "[]"]


def test_a_command_imports_torch():
    assert "torch" in started("data").stdout.splitlines()[-1]


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to oneself")
@pytest.mark.parametrize("package", ["torch", "typer"])
def test_ctrl_c_during_an_import_prints_no_traceback(package, tmp_path):
    (tmp_path / f"{package}.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = started("data", PYTHONPATH=path)
    assert done.returncode == 130
    assert done.stderr == ""
