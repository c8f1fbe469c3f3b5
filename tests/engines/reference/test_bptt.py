"""The reference engine, against oracles that share no code with it: differences, autograd, torch.nn."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tidegate.calculus import trace
from tidegate.cells import CELLS, GRU, LSTM, Cell
from tidegate.engines import choose
from tidegate.errors import EngineError
from tidegate.verification.direct import unroll
from tidegate.verification.problem import options_of, random_problem

CASES = [
    pytest.param(cell, options, id=f"{name} {' '.join(options)}")
    for name, cell in CELLS.items()
    for every in [options_of(trace(cell))]
    for options in [(), *((option,) for option in every), ("reverse", "lengths", "resets"), every]
]


def gradients(problem, result):
    leaves = problem.leaves()
    return dict(zip(leaves, torch.autograd.grad(problem.loss(result), list(leaves.values()))))


def error(got, expected):
    got, expected = got.detach(), expected.detach()
    return float((got - expected).norm() / expected.norm()) if expected.norm() else float(got.norm())


@pytest.mark.parametrize(("cell", "options"), CASES)
def test_outputs_and_gradients_are_autograd_of_the_equations(cell, options):
    problem = random_problem(cell, options=options, seed=11)
    result, expected = choose.dispatch(problem.call, "reference"), unroll(problem.call, problem.cell)
    assert error(result.outputs, expected.outputs) < 1e-13
    for got, want in zip(result.states, expected.states, strict=True):
        assert error(got, want) < 1e-13
    found, wanted = gradients(problem, result), gradients(problem, expected)
    for name in wanted:
        assert error(found[name], wanted[name]) < 1e-12, name


@pytest.mark.parametrize("options", [(), ("reverse", "lengths", "resets")], ids=" ".join)
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_gradients_equal_finite_differences(cell, options):
    problem = random_problem(cell, sizes=(4, 2, 2, 3), options=options, seed=12)
    call, step, random = problem.call, 1e-6, torch.Generator().manual_seed(0)
    found = gradients(problem, choose.dispatch(call, "reference"))

    def loss(name, moved):
        leaves = problem.leaves() | {name: moved}
        states = tuple(leaves[f"{s}_0"] for s in call.step.state)
        weights = type(call.weights)(*(leaves.get(n) for n in ("W_ih", "W_hh", "b_ih", "b_hh", "v", "W_hr")))
        moved_call = replace(call, x=leaves["x"], states=states, weights=weights)
        return problem.loss(choose.dispatch(moved_call, "reference")).item()

    for name, leaf in problem.leaves().items():
        along = torch.randn(leaf.shape, generator=random, dtype=torch.float64)
        central = (loss(name, leaf + step * along) - loss(name, leaf - step * along)) / (2 * step)
        exact = (found[name] * along).sum().item()
        assert abs(central - exact) < 1e-7 * max(1, abs(exact)), name


TWINS = {"rnn": "RNN", "rnn-relu": "RNN", "gru": "GRU", "lstm": "LSTM"}


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("name", TWINS)
def test_results_equal_those_of_torchs_layer_to_1e_12(name, backwards, bias):
    """Direction, lengths and all: the backwards half of a bidirectional torch layer on a packed batch."""
    options = {"lengths"} | ({"reverse"} if backwards else set()) | (set() if bias else {"no bias"})
    problem = random_problem(CELLS[name], sizes=(6, 4, 3, 5), options=options, seed=13)
    call = replace(problem.call, lengths=problem.call.lengths.clamp(min=1))  # torch packs no empty sequence
    problem = replace(problem, call=call)
    kind = {"nonlinearity": "relu"} if name == "rnn-relu" else {}
    layer = getattr(torch.nn, TWINS[name])(3, 5, bias=bias, bidirectional=True, dtype=torch.float64, **kind)
    suffix = "l0_reverse" if backwards else "l0"
    names = {"W_ih": "weight_ih", "W_hh": "weight_hh"} | ({"b_ih": "bias_ih", "b_hh": "bias_hh"} if bias else {})
    with torch.no_grad():
        for short, long in names.items():
            getattr(layer, f"{long}_{suffix}").copy_(problem.leaves()[short])
    packed = torch.nn.utils.rnn.pack_padded_sequence(call.x, call.lengths, enforce_sorted=False)
    states = tuple(torch.stack([s, s]) for s in call.states)
    y, final = layer(packed, states if len(states) > 1 else states[0])
    y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=6)
    half = slice(5, 10) if backwards else slice(0, 5)
    theirs = type("Theirs", (), {})()
    theirs.outputs = y[..., half]
    theirs.states = tuple(s[int(backwards)] for s in (final if isinstance(final, tuple) else (final,)))
    ours = choose.dispatch(call, "reference")
    assert error(ours.outputs, theirs.outputs) < 1e-12
    for got, want in zip(ours.states, theirs.states, strict=True):
        assert error(got, want) < 1e-12
    found = gradients(problem, ours)
    leaves = {"x": call.x} | {f"{s}_0": t for s, t in zip(call.step.state, call.states)}
    leaves |= {short: getattr(layer, f"{long}_{suffix}") for short, long in names.items()}
    wanted = dict(zip(leaves, torch.autograd.grad(problem.loss(theirs), list(leaves.values()))))
    for key, want in wanted.items():
        assert error(found[key], want) < 1e-12, key


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_returned_gates_and_states_satisfy_the_equations_and_have_gradients(cell):
    problem = random_problem(cell, options={"lengths", "resets"}, seed=14)
    call = replace(problem.call, keep_gates=True)
    ours, theirs = choose.dispatch(call, "reference"), unroll(call, cell)
    random = torch.Generator().manual_seed(1)
    losses = [torch.zeros((), dtype=torch.float64)] * 2
    for kept, expected in ((ours.sequences, theirs.sequences), (ours.gates, theirs.gates)):
        assert kept.keys() == expected.keys()
        for name in expected:
            assert error(kept[name], expected[name]) < 1e-13, name
            d = torch.randn(expected[name].shape, generator=random, dtype=torch.float64)
            losses = [L + (r * d).sum() for L, r in zip(losses, (kept[name], expected[name]))]
    leaves = problem.leaves()
    found, wanted = (torch.autograd.grad(L, list(leaves.values()), allow_unused=True) for L in losses)
    for name, got, want in zip(leaves, found, wanted):
        assert error(got, want) < 1e-12, name


def test_a_cell_of_one_stage_inside_another_and_of_gates_without_input_or_product():
    class Odd(Cell):
        gates = ("k", "m", "n")
        state = ("h", "s")
        vectors = ("w",)

        def equations(a, U, v, h, s):
            k = a.k.sigmoid()
            m = (U.m(h) * v.w).tanh()
            n = (a.n + U.n(k * m + s)).tanh()
            s = k * s + (1 - k) * n
            return (m + n * s, s), (k, m, n)

    problem = random_problem(Odd, seed=15)
    assert problem.call.weights.w_ih.shape == (2 * 5, 4)
    ours, theirs = choose.dispatch(problem.call, "reference"), unroll(problem.call, problem.cell)
    assert error(ours.outputs, theirs.outputs) < 1e-13
    found, wanted = gradients(problem, ours), gradients(problem, theirs)
    assert all(error(found[name], wanted[name]) < 1e-12 for name in wanted)


def test_a_sequence_of_length_zero_keeps_its_state_and_its_gradient():
    problem = random_problem(LSTM, options={"lengths"}, seed=16)
    call = replace(problem.call, lengths=torch.tensor([7, 0, 2]))
    problem = replace(problem, call=call)
    result = choose.dispatch(call, "reference")
    assert all(torch.equal(got[1], start[1]) for got, start in zip(result.states, call.states))
    assert not result.outputs[:, 1].any()
    found = gradients(problem, result)
    assert torch.equal(found["c_0"][1], problem.d_final[1][1])
    assert not found["x"][:, 1].any()


def test_a_reset_cuts_the_gradient_to_the_past():
    problem = random_problem(GRU, seed=17)
    resets = torch.zeros(7, 3, dtype=torch.bool)
    resets[3, 0] = True
    problem = replace(problem, call=replace(problem.call, resets=resets), d_outputs=problem.d_outputs.clone())
    problem.d_outputs[:3, 0] = 0
    found = gradients(problem, choose.dispatch(problem.call, "reference"))
    assert not found["x"][:3, 0].any()
    assert not found["h_0"][0].any()
    assert found["x"][3:, 0].any()
    assert found["h_0"][1].any()


def test_float32_in_gives_float32_out_computed_in_float64():
    problem = random_problem(GRU, seed=18).to(torch.float32)
    result = choose.dispatch(problem.call, "reference")
    assert result.outputs.dtype == torch.float32
    exact = unroll(problem.to(torch.float64).call, GRU).outputs
    assert torch.equal(result.outputs, exact.float())
    assert all(g.dtype == torch.float32 for g in gradients(problem, result).values())


def test_a_second_derivative_is_refused_and_never_taken_for_zero():
    problem = random_problem(GRU, seed=19)
    y = choose.dispatch(problem.call, "reference").outputs
    with pytest.raises(EngineError, match=r'first derivatives only.*engine="eager"'):
        torch.autograd.grad(y.sum(), problem.call.x, create_graph=True)


def test_finite_differences_detect_a_wrong_term_in_the_adjoint():
    """The differences above can fail: with one term's sign turned, the error is not small."""
    problem = random_problem(GRU, sizes=(4, 2, 2, 3), seed=12)
    found = gradients(problem, choose.dispatch(problem.call, "reference"))
    wanted = gradients(problem, unroll(problem.call, problem.cell))
    assert error(found["W_hh"], wanted["W_hh"]) < 1e-12
    changed = found["W_hh"].clone()
    changed[:3] *= -1
    assert error(changed, wanted["W_hh"]) > 1e-2


def test_the_sigmoid_does_not_overflow():
    from tidegate.engines.reference.functions import OPERATIONS

    with np.errstate(all="raise", under="ignore"):
        assert OPERATIONS["sigmoid"](np.array([-800.0, 0.0, 800.0])).tolist() == [0.0, 0.5, 1.0]
