import pytest

from tidegate.cli import main
from tidegate.cli.app import app

testing = pytest.importorskip("typer.testing")


def run(*arguments):
    return testing.CliRunner().invoke(app, ["derive", *arguments])


def test_text_goes_to_standard_output():
    done = run("gru")
    assert done.exit_code == 0
    assert "da_n[t] = dn[t] * (1 - n[t]^2)" in done.output


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


def test_a_cell_of_ones_own_is_derived(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from tidegate import Cell\n\nclass Leak(Cell):\n    gates = ('n',)\n    state = ('h',)\n\n"
        "    def equations(a, U, h):\n        n = (a.n + U.n(h)).tanh()\n        return (h / 2 + n,), (n,)\n"
    )
    assert "J[t] = diag(0.5)" in run(f"{path}:Leak").output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gru", "--format", "pdf"], "--format must be one of"),
        (["gru", "--unroll", "12"], "--unroll"),
        (["x"], "CELL"),
    ],
)
def test_a_wrong_argument_exits_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["derive", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
