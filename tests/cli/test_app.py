import pytest

import tidegate as library


def test_the_version_is_the_librarys(tidegate):
    assert tidegate("--version").out == f"tidegate {library.__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_the_verbs_and_where_to_begin(tidegate, arguments):
    outcome = tidegate(*arguments)
    for word in ("train", "eval", "sample", "data", "tidegate train builtin"):
        assert word in outcome.out + outcome.err


def test_every_option_of_train_has_a_word_of_help(tidegate):
    import re

    text = tidegate("train", "--help").out
    bare = [line for line in text.splitlines() if re.fullmatch(r"\s+--[a-z-]+( [A-Z]+)?\s*", line)]
    following = [text.splitlines()[text.splitlines().index(line) + 1] for line in bare]
    assert all(line.startswith(" " * 10) for line in following)


def test_the_command_line_starts_without_the_heavy_libraries():
    """matplotlib, llvmlite and sympy cost seconds; --help must not wait for them."""
    import subprocess
    import sys

    code = "import sys, tidegate.cli; print([m for m in ('matplotlib', 'llvmlite', 'sympy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout == "[]\n"
