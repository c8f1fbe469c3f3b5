import json
from pathlib import Path

import numpy
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


def test_show_prints_numpy_torch_nn_and_autograd_side_by_side():
    done = run("rnn", "--show", "--dtype", "float64", *SMALL)
    lines = done.output.splitlines()
    title = next(i for i, line in enumerate(lines) if line.startswith("dW_hh[n]: "))
    assert lines[title + 2].split() == ["j", "k", "NumPy", "BPTT", "torch.nn", "torch", "autograd", "difference"]
    values = [float(v) for v in lines[title + 3].split()[2:5]]
    assert values == pytest.approx([values[0]] * 3, rel=1e-8)
    assert "Largest difference between two columns" in lines[-1]


def test_show_with_json_prints_every_number():
    done = run("lstm", "--show", "--json", "--dtype", "float64", *SMALL)
    numbers = json.loads(done.output)["numbers"]
    assert numbers["Forward, step by step"]["f"].keys() == {"equation", "NumPy BPTT", "torch autograd"}
    assert len(numbers["Gradients"]["dx"]["torch.nn"]) == 3


def test_a_template_is_written_described_filled_and_used(tmp_path):
    file = tmp_path / "mine.npz"
    done = run("gru", "--template", str(file), "--sizes", "2,1,3,4")
    assert done.exit_code == 0
    assert "weight_hh  (12, 4)      U, rows in the order of the gates r, z, n" in done.output
    arrays = dict(numpy.load(file))
    arrays["x"] = numpy.arange(6.0).reshape(2, 1, 3) / 7
    numpy.savez(file, **arrays)
    done = run("gru", "--arrays", str(file), "--show")
    assert done.exit_code == 0
    assert done.output.startswith("GRU: T 2, B 1, D 3, H 4, given arrays")
    assert "0.1428571" in done.output
    assert "float32" not in done.output
    assert "cpu float32" in run("gru", "--arrays", str(file), "--dtype", "float32").output


def test_a_students_file_is_judged_and_its_mistake_named(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        f"import sys\nsys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "from tests.verification.student.programs import rnn\n"
        "def right(arrays):\n    print('hello')\n    return rnn(arrays)\n"
        "def wrong(arrays): return rnn(arrays, 'no recurrence')\n"
    )
    sizes = ["--sizes", "3,2,2,3"]
    done = run("rnn", "--student", f"{file}:right", *sizes, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["passed"] is True
    done = run("rnn", "--student", f"{file}:wrong", *sizes)
    assert done.exit_code == 1
    assert "Likely mistake: missing recurrent term" in done.stdout
    template = tmp_path / "a.npz"
    assert run("rnn", "--template", str(template), *sizes).exit_code == 0
    done = run("rnn", "--student", f"{file}:wrong", "--arrays", str(template))
    assert done.stdout.startswith("RNN, your gradients: T 3, B 2, D 2, H 3, given arrays")


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
        (["rnn", "--student", "absent.py:f"], "--student 'absent.py:f': there is no file absent.py"),
        (["rnn", "--student", "a.py:f", "--plant", "dn"], "--plant has no meaning with --student"),
        (["--all", "--student", "a.py:f"], "--student is for one cell, without --all"),
        (["gpu"], "CELL must be one of"),
        (["gru", "--arrays", "absent.npz"], "--arrays absent.npz cannot be read"),
        (["gru", "--arrays", "a.npz", "--sizes", "1,2,3,4"], "--sizes is for random numbers, without --arrays"),
        (["gru", "--arrays", "a.npz", "--option", "reverse"], "--option is for random numbers, without --arrays"),
        (["gru", "--template", "a.txt"], "--template must be a file that ends in .npz"),
        (["gru", "--template", "a.npz", "--show"], "--show has no meaning with --template"),
        (["gru", "--template", "a.npz", "--json"], "--template excludes --json"),
    ],
)
def test_a_wrong_argument_exits_with_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["verify", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
