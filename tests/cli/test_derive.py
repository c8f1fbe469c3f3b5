import subprocess
import sys

import pytest

from tidegate.cli import main
from tidegate.cli.app import app

testing = pytest.importorskip("typer.testing")


def run(*arguments):
    return testing.CliRunner().invoke(app, ["derive", *arguments])


def test_text_is_written_to_standard_output():
    done = run("gru")
    assert done.exit_code == 0
    assert "da_n[t] = dn[t] * (1 - n[t]^2)" in done.output
    assert "sum_{t=1..T} sum_{k=1..t}" in done.output


def test_steps_notation_convention_and_language_choose_how_it_is_printed():
    assert "sum_{k=1..t}" not in run("gru", "--steps", "brief").output
    assert "∂ℒ/∂h̃[t]" in run("gru", "--notation", "nndl").output
    assert "H[t] = Z[t] * H̃[t] + (1 - Z[t]) * H[t-1]" in " ".join(
        run("gru", "--notation", "d2l", "--convention", "write").output.split()
    )
    assert "更新门" in run("gru", "--language", "zh").output


def test_jacobian_and_unroll_choose_what_is_printed():
    done = run("residual", "--jacobian", "--unroll", "2")
    assert "2 steps written out" in done.output
    assert "Backward through time" not in done.output


@pytest.mark.parametrize(
    ("format", "begin"), [("html", "<!DOCTYPE html>"), ("latex", r"\documentclass"), ("markdown", "# LSTM")]
)
def test_a_format_may_be_written_to_a_file(format, begin, tmp_path):
    path = tmp_path / "derivation"
    done = run("lstm", "--format", format, "--out", str(path))
    assert done.exit_code == 0
    assert path.read_text(encoding="utf-8").startswith(begin)


@pytest.mark.parametrize(
    ("ending", "begin"),
    [(".html", "<!DOCTYPE html>"), (".HTM", "<!DOCTYPE html>"), (".tex", r"\documentclass"), (".md", "# GRU"),
     (".txt", "GRU: the derivation"), ("", "GRU: the derivation")],
)  # fmt: skip
def test_the_ending_of_the_file_chooses_the_format(ending, begin, tmp_path):
    path = tmp_path / f"derivation{ending}"
    assert run("gru", "--out", str(path)).exit_code == 0
    assert path.read_text(encoding="utf-8").startswith(begin)


def test_a_format_that_is_given_may_repeat_the_ending_or_replace_an_unknown_one(tmp_path):
    for name in ("a.html", "a.page"):
        assert run("gru", "--format", "html", "--out", str(tmp_path / name)).exit_code == 0
        assert (tmp_path / name).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_deriving_loads_neither_torch_nor_numpy():
    code = (
        "import sys; from tidegate.cli.derive import derive; derive('gru'); "
        "print(sorted({'torch', 'numpy', 'llvmlite'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.endswith("[]\n")


def test_a_custom_cell_is_derived(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from tidegate import Cell\n\nclass Leak(Cell):\n    gates = ('n',)\n    state = ('h',)\n\n"
        "    def equations(a, U, h):\n        n = (a.n + U.n(h)).tanh()\n        return (h / 2 + n,), (n,)\n"
    )
    assert "J[t] = 0.5 I" in run(f"{path}:Leak").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gru", "--format", "pdf"], "--format must be one of"),
        (["gru", "--unroll", "12"], "--unroll"),
        (["gru", "--steps", "some"], "--steps must be one of full, brief"),
        (["gru", "--notation", "book"], "--notation must be one of tidegate, nndl, d2l"),
        (["gru", "--language", "fr"], "--language must be one of en, zh"),
        (["lstm", "--convention", "write"], "--convention is about gates that alone keep or replace a state"),
        (["x"], "CELL"),
        (["GRU"], "Did you mean gru?"),
        (["gru", "--out", "x.pdf"], "--out x.pdf: the ending must be one of .txt"),
        (["gru", "--format", "latex", "--out", "x.html"], "--format is latex and the ending of --out x.html means"),
    ],
)
def test_a_wrong_argument_exits_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["derive", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--out", "{}.html"], ["--diagram", "--out", "{}.svg"]])
def test_a_file_that_cannot_be_written_is_refused_in_a_sentence(options, tmp_path, capsys):
    target = tmp_path / "no folder" / "gru"
    with pytest.raises(SystemExit) as done:
        main(["derive", "gru", *(option.format(target) for option in options)])
    assert done.value.code == 2
    assert f"--out must be a file that can be written, got {target}" in capsys.readouterr().err
