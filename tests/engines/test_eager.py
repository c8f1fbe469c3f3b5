"""The eager engine against the reference, and its second derivatives."""

from dataclasses import replace

import pytest
import torch

from tidegate.calculus import trace
from tidegate.cells import CELLS, GRU, PeepholeLSTM, ReluRNN, ResetBeforeGRU, ResidualRNN
from tidegate.engines import choose
from tidegate.verification.direct import unroll
from tidegate.verification.problem import options_of, random_problem

CASES = [
    pytest.param(cell, options, id=f"{name} {' '.join(options)}")
    for name, cell in CELLS.items()
    for every in [options_of(trace(cell))]
    for options in [(), *((option,) for option in every), every]
]


def gradients(problem, result):
    leaves = problem.leaves()
    return dict(zip(leaves, torch.autograd.grad(problem.loss(result), list(leaves.values()))))


def error(got, expected):
    got, expected = got.detach().double(), expected.detach().double()
    return float((got - expected).norm() / expected.norm()) if expected.norm() else float(got.norm())


@pytest.mark.parametrize(("cell", "options"), CASES)
@pytest.mark.parametrize(("dtype", "forward", "backward"), [(torch.float64, 1e-13, 1e-12), (torch.float32, 1e-6, 1e-5)])
def test_results_equal_those_of_the_reference_engine(cell, options, dtype, forward, backward):
    problem = random_problem(trace(cell), dtype=dtype, options=options, seed=21)
    problem = replace(problem, call=replace(problem.call, keep_gates=True))
    exact = problem.to(torch.float64)
    ours, expected = choose.dispatch(problem.call, "eager"), choose.dispatch(exact.call, "reference")
    assert ours.outputs.dtype == dtype
    assert error(ours.outputs, expected.outputs) < forward
    pairs = [*zip(ours.states, expected.states, strict=True)]
    pairs += [(ours.sequences[s], expected.sequences[s]) for s in expected.sequences]
    pairs += [(ours.gates[g], expected.gates[g]) for g in expected.gates]
    assert len(pairs) == 2 * len(cell.state) + len(cell.gates)
    assert all(error(got, want) < forward for got, want in pairs)
    found, wanted = gradients(problem, ours), gradients(exact, expected)
    for name in wanted:
        assert error(found[name], wanted[name]) < backward, name


@pytest.mark.parametrize("cell", [GRU, ResetBeforeGRU, PeepholeLSTM, ResidualRNN], ids=lambda cell: cell.__name__)
def test_second_derivatives_are_those_of_the_equations(cell):
    problem = random_problem(trace(cell), sizes=(3, 2, 2, 3), seed=22)
    second = []
    for run in (lambda call: choose.dispatch(call, "eager"), lambda call: unroll(call, cell)):
        (d,) = torch.autograd.grad(problem.loss(run(problem.call)), problem.call.weights.w_hh, create_graph=True)
        second.append(torch.autograd.grad(d.square().sum(), problem.call.x)[0])
    assert error(*second) < 1e-12
    assert second[0].any()


def test_gates_are_returned_only_on_request():
    result = choose.dispatch(random_problem(trace(GRU)).call, "eager")
    assert not result.gates
    assert not result.sequences


@pytest.mark.parametrize("engine", ["eager", "reference"])
def test_nan_spreads_to_later_steps_of_its_own_sequence_only(engine):
    problem = random_problem(trace(ReluRNN), seed=23)
    x = problem.call.x.detach().clone()
    x[2, 1, 0] = float("nan")
    y = choose.dispatch(replace(problem.call, x=x), engine).outputs
    assert y[2:, 1].isnan().all()
    assert not y[:2].isnan().any()
    assert not y[:, [0, 2]].isnan().any()
