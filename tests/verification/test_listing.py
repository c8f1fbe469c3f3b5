"""The tables of `verify --show`: every number, the columns that exist, and the largest difference."""

import json

import numpy as np
import pytest
import torch
from tests.verification.test_arrays import EVERY

from tidegate.cells import GRU, LSTM
from tidegate.errors import ArgumentError
from tidegate.verification import verify, verify_all
from tidegate.verification.arrays import as_arrays, as_problem
from tidegate.verification.listing import COLUMNS, MOST_ROWS, list_numbers
from tidegate.verification.problem import options_of, random_problem

SIZES = (3, 2, 2, 4)


def tables(listing):
    return {table.name: table for section in listing.sections.values() for table in section}


@pytest.mark.parametrize("cell", EVERY)
def test_every_number_of_the_problem_is_in_a_table_and_all_columns_agree(cell):
    problem = random_problem(cell, sizes=SIZES, seed=2)
    listing = list_numbers(problem)
    shown = tables(listing)
    assert {"x", "dy", "dx", *problem.call.step.gates, *problem.call.step.state} <= shown.keys()
    given = np.concatenate([t.columns["given"].ravel() for t in shown.values() if "given" in t.columns])
    every = [*problem.leaves().values(), problem.d_outputs, *problem.d_final]
    assert np.array_equal(np.sort(given), np.sort(np.concatenate([t.detach().numpy().ravel() for t in every])))
    gradients = sum(t.columns[COLUMNS[0]].size for t in listing.sections["Gradients"])
    assert gradients == sum(tensor.numel() for tensor in problem.leaves().values())
    assert listing.largest.differences.max() < 1e-13


@pytest.mark.parametrize("cell", EVERY)
def test_a_listing_can_be_printed_and_written_as_json_with_every_option(cell):
    for options in (
        ("reverse", "lengths", "resets"),
        ("no bias", "indexed"),
        options_of(random_problem(cell).call.step),
    ):
        listing = list_numbers(random_problem(cell, sizes=SIZES, seed=2, options=options))
        assert max(map(len, str(listing).splitlines())) < 180
        assert json.loads(json.dumps(listing.as_dict())).keys() == listing.sections.keys()


def test_a_column_is_left_out_where_there_is_no_such_number():
    shown = tables(list_numbers(random_problem(LSTM, sizes=SIZES)))
    assert tuple(shown["dW_hh[f]"].columns) == COLUMNS
    assert tuple(shown["h"].columns) == tuple(shown["c"].columns) == tuple(shown["dh"].columns) == COLUMNS
    assert tuple(shown["f"].columns) == tuple(shown["dc"].columns) == (COLUMNS[0], COLUMNS[2])
    for table in tables(list_numbers(random_problem(EVERY[-2], sizes=SIZES))).values():
        assert "torch.nn" not in table.columns


def test_every_row_has_its_own_values_and_their_difference():
    table = tables(list_numbers(random_problem(GRU, sizes=SIZES), "dh: d_h * z"))["dh"]
    lines = list(table.lines())
    assert lines[1].startswith("largest difference ")
    assert lines[2].replace("torch autograd", "torch-autograd").replace("NumPy BPTT", "NumPy-BPTT").split() == [
        "t", "b", "j", "NumPy-BPTT", "torch.nn", "torch-autograd", "difference"
    ]  # fmt: skip
    assert len(lines) == 3 + 3 * 2 * 4
    for line in lines[3:]:
        t, b, j, *values, difference = line.split()
        right = [array[int(t), int(b), int(j)] for array in table.columns.values()]
        assert [float(v) for v in values] == pytest.approx(right, rel=1e-8)
        assert float(difference) == pytest.approx(max(right) - min(right), rel=0.1, abs=1e-15)
    assert float(lines[-1].split()[-1]) < 1e-12 < max(float(line.split()[-1]) for line in lines[3:])


def test_a_large_table_is_abbreviated_and_keeps_the_row_of_the_largest_difference():
    problem = random_problem(GRU, sizes=(9, 5, 3, 12), seed=1)
    table = tables(list_numbers(problem, "dh: d_h * z"))["dh"]
    lines = list(table.lines())
    assert table.columns[COLUMNS[0]].size > MOST_ROWS > len(lines)
    worst = [str(i) for i in table.largest]
    assert any(line.split()[:3] == worst for line in lines)
    assert any(line.split()[:3] == ["8", "4", "11"] for line in lines)
    assert len(list(tables(list_numbers(problem))["x"].lines())) < 30


def test_the_numbers_of_a_verification_are_those_of_its_problem():
    found = verify(GRU, sizes=SIZES, seed=4, engine="eager", dtype=torch.float64)
    shown = tables(found.comparisons[0].side_by_side())
    problem = random_problem(GRU, sizes=SIZES, seed=4, dtype=torch.float32)
    assert np.array_equal(shown["x"].columns["given"], problem.call.x.detach().double().numpy())
    with pytest.raises(ArgumentError, match="were not kept"):
        verify_all([EVERY[0]], engine="eager", dtype=torch.float64).comparisons[0].side_by_side()


@pytest.mark.parametrize("cell", EVERY)
def test_a_final_state_is_listed_only_if_the_loss_depends_on_it(cell):
    problem = random_problem(cell, sizes=SIZES, seed=5)
    states = problem.call.step.state
    shown = tables(list_numbers(problem))
    for s in states:
        assert shown[f"d{s}"].equation.endswith(f"step t + 1 (last step: d{s}_T)")
    first = states[0]
    for column in shown[f"d{first}"].columns.values():
        later = column[-1] - shown["dy"].columns["given"][-1] - shown[f"d{first}_T"].columns["given"]
        assert np.abs(later).max() < 1e-12
    alone = tables(list_numbers(as_problem(cell, as_arrays(problem))))
    assert not {f"d{s}_T" for s in states} & alone.keys()
    for column in alone[f"d{first}"].columns.values():
        assert np.abs(column[-1] - alone["dy"].columns["given"][-1]).max() < 1e-12
    assert all(alone[f"d{s}"].equation.endswith("step t + 1") for s in states)
