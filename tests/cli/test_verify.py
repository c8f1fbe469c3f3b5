import json

import pytest

from tidegate.cli import main
from tidegate.cli.app import app

typer_testing = pytest.importorskip("typer.testing")
SMALL = ["--sizes", "3,2,2,3", "--engine", "eager"]


def run(*arguments):
    return typer_testing.CliRunner().invoke(app, ["verify", *arguments])


def test_a_right_cell_exits_with_0_and_prints_its_table():
    done = run("gru", *SMALL)
    assert done.exit_code == 0
    assert "dW_hh[z]" in done.output
    assert "All 108 comparisons agree" in done.output


def test_a_planted_error_exits_with_1_and_names_the_gate():
    done = run("gru", "--plant", "dn", *SMALL)
    assert done.exit_code == 1
    assert "The first wrong gradient of the backward pass: dn (gate n)" in done.output


def test_json_is_the_same_comparison():
    done = run("gru", "--json", "--dtype", "float64", *SMALL)
    found = json.loads(done.output)
    assert found["passed"] is True
    assert found["comparisons"][0]["sizes"] == {"T": 3, "B": 2, "D": 2, "H": 3}


def test_show_prints_the_arrays_side_by_side():
    done = run("rnn", "--show", "--dtype", "float64", *SMALL)
    header = next(line for line in done.output.splitlines() if line.startswith("dW_hh  "))
    columns = "dW_hh derived autograd differences reference RTRL torch.nn eager float64"
    assert header.split() == columns.split()
    row = done.output.splitlines()[done.output.splitlines().index(header) + 1]
    values = row.split("]")[1].split()
    assert len(values) == 7
    assert len({round(float(v), 8) for v in values}) == 1


def test_an_option_may_be_given_several_times():
    done = run("rnn", "--option", "reverse", "--option", "no bias", *SMALL)
    assert "reverse, no bias" in done.output
    assert "db_ih" not in done.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "needs a cell"),
        (["gru", "--all", "--show"], "--show is for one cell"),
        (["gru", "--sizes", "3,2"], "--sizes must be T,B,D,H"),
        (["gru", "--dtype", "half"], "--dtype must be float32 or float64"),
        (["gpu"], "CELL must be one of"),
    ],
)
def test_a_wrong_argument_exits_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["verify", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
