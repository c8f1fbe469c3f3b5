"""A student's file and answer: whatever is wrong with them is said in one sentence."""

import numpy as np
import pytest
import torch
from tests.verification.student.programs import rnn

from tidegate.cells import RNN
from tidegate.errors import ArgumentError
from tidegate.verification import judge
from tidegate.verification.student.function import load_function

SIZES = (3, 2, 4, 5)


def changed(**changes):
    return lambda arrays: rnn(arrays) | changes


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda arrays: 1 / 0, r"the function raised ZeroDivisionError: division by zero \(line \d+\)"),
        (lambda arrays: arrays["hidden"], r"raised KeyError: 'hidden' \(line \d+\)"),
        (lambda arrays: exit(3), "raised SystemExit: 3"),
        (lambda arrays: None, "must return a dictionary of gradients by name, .* got NoneType"),
        (lambda arrays: (arrays["x"],), "got tuple"),
        (lambda arrays: {}, "empty dictionary"),
        (changed(dW_hh=np.ones((5, 5))), "'dW_hh', which is no gradient of this cell. Known: .*dweight_hh"),
        (changed(dweights_hh=np.ones((5, 5))), "Did you mean dweight_hh"),
        (lambda arrays: {"dx": torch.ones(3, 2, 4)}, r"dx must be a NumPy array, got a torch.Tensor. Return dx.detach"),
        (lambda arrays: {"dx": [torch.ones(2, 4)] * 3}, "got a list of torch.Tensors"),
        (lambda arrays: {"dx": [np.ones(2), np.ones(3)]}, "dx must be one array of numbers; its rows differ in shape"),
        (lambda arrays: {"dx": 1j * arrays["x"]}, "dx must be an array of real numbers, got dtype complex128"),
        (lambda arrays: {"dx": None}, "dx must be an array of real numbers, got NoneType"),
    ],
)
def test_an_answer_that_cannot_be_judged_is_refused_in_a_sentence(function, message):
    with pytest.raises(ArgumentError, match=message) as refused:
        judge(RNN, function, sizes=SIZES)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("`student`: ")


def test_a_wrong_shape_is_reported_with_what_would_make_it_right():
    right = rnn

    def wrong(arrays):
        found = right(arrays)
        T = len(arrays["x"])
        return found | {
            "dx": found["dx"][0], "dweight_ih": found["dweight_ih"].T, "dh_0": found["dh_0"].ravel(),
            "dbias_ih": np.stack([found["dbias_ih"] / T] * T), "dbias_hh": np.stack([found["dbias_hh"]] * T),
        }  # fmt: skip

    found = judge(RNN, wrong, sizes=SIZES)
    problems = {finding.name: finding.problem for finding in found.findings}
    assert problems["dx"] == "its shape is (2, 4), it must be (3, 2, 4)"
    assert problems["dweight_ih"].endswith("it must be (5, 4): transpose it")
    assert problems["dh_0"].endswith("reshape it")
    assert problems["dbias_ih"].endswith("sum it over the first axis, then it is right")
    assert problems["dbias_hh"].endswith("sum it over the first axis")
    assert not found.passed
    assert "dx                     -  WRONG  its shape is (2, 4)" in str(found)


def test_a_gradient_that_is_not_finite_is_reported_with_its_place():
    def wrong(arrays):
        found = rnn(arrays)
        found["dweight_hh"][1, 2:4] = np.nan
        return found

    found = judge(RNN, wrong, sizes=SIZES)
    assert not found.passed
    assert "dweight_hh[1, 2] and 1 more is not finite: nan" in str(found)


def test_gradients_that_are_not_returned_are_listed_and_the_others_judged():
    found = judge(RNN, lambda arrays: {"dx": rnn(arrays)["dx"], "dh_0": rnn(arrays)["dh_0"]}, sizes=SIZES)
    assert not found.passed
    assert found.missing == ("dweight_ih", "dweight_hh", "dbias_ih", "dbias_hh")
    assert str(found).splitlines()[-1] == (
        "The 2 tensors that you returned are right. Not returned, but required: dweight_ih, dweight_hh, dbias_ih, "
        "dbias_hh."
    )
    wrong = judge(RNN, lambda arrays: {"dx": -rnn(arrays)["dx"], "dh_0": rnn(arrays)["dh_0"]}, sizes=SIZES)
    assert "Not returned, but required: dweight_ih, dweight_hh, dbias_ih, dbias_hh." in str(wrong).splitlines()
    assert "are right" not in str(wrong)


def test_float32_gradients_and_lists_of_steps_are_accepted_and_the_arrays_are_copies():
    def single(arrays):
        found = {name: array.astype(np.float32) for name, array in rnn(arrays).items()}
        found["dx"] = list(found["dx"])
        arrays["x"][:] = 0
        return found

    found = judge(RNN, single, sizes=SIZES)
    assert found.passed, str(found)
    assert max(finding.error for finding in found.findings) > 1e-9


def test_a_function_that_works_for_one_length_only_is_judged_all_the_same():
    def fixed(arrays):
        assert len(arrays["x"]) == 3, "three steps only"
        return rnn(arrays, "no recurrence")

    found = judge(RNN, fixed, sizes=SIZES)
    assert found.diagnosis.found[0].mistake.kind == "missing recurrent term"
    assert "On shorter sequences the function cannot be called" in str(found)


def test_a_file_is_loaded_with_the_files_beside_it_and_each_time_again(tmp_path):
    (tmp_path / "helper.py").write_text("def double(x): return 2 * x\n")
    file = tmp_path / "mine.py"
    file.write_text("from helper import double\nprint('loaded')\ndef gradients(arrays): return double(1)\n")
    assert load_function(f"{file}:gradients")({}) == 2
    file.write_text("def gradients(arrays): return 3\n")
    assert load_function(f"{file}:gradients")({}) == 3


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("x = 1/0", "mine.py:f", r"mine.py cannot be imported: ZeroDivisionError: division by zero \(line 1\)"),
        ("\ndef f(:\n  pass", "mine.py:f", r"cannot be imported: SyntaxError: .* \(line 2\)"),
        ("import sys; sys.exit()", "mine.py:f", "cannot be imported: SystemExit"),
        ("def gradient(a): pass", "mine.py:gradients", "has no function gradients. Did you mean gradient"),
        ("f = 3", "mine.py:f", "is not a function, but int"),
        ("", "mine.txt:f", "must be FILE.py:FUNCTION"),
        ("", "mine.py", "must be FILE.py:FUNCTION"),
        ("", "absent.py:f", "there is no file"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_a_sentence(text, name, message, tmp_path):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ArgumentError, match=message):
        load_function(f"{tmp_path}/{name}")
