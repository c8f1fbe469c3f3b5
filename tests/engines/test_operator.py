"""The operator of compiled programs: torch.library's rules, the numbers of a plain call, and what it refuses."""

from dataclasses import replace

import pytest
import torch
from tests.engines.cpu.calls import EVERY, leaves, make_call, run

from tidegate.calculus import serial
from tidegate.engines import choose, operator
from tidegate.engines.call import Call, Result
from tidegate.errors import ArgumentError, EngineError

OPTIONS = {
    "plain": {},
    "reverse": {"reverse": True},
    "ragged": {"lengths": True, "resets": True},
    "ragged reverse": {"lengths": True, "resets": True, "reverse": True},
    "class indices": {"indexed": True},
    "no bias": {"bias": False},
    "recompute": {"recompute": True},
}
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
each_option = pytest.mark.parametrize("option", OPTIONS)
each_cell = pytest.mark.parametrize("cell", ["gru", "lstm", "three-stages"])


def projected(call: Call, P: int = 2) -> Call:
    """The call with a projection of its output state to P columns."""
    w = call.weights
    weights = replace(w, w_hh=w.w_hh[:, :P].detach().requires_grad_(), w_hr=torch.randn(P, call.H, requires_grad=True))
    return replace(call, weights=weights, states=(call.states[0][:, :P].detach().requires_grad_(), *call.states[1:]))


def arguments(call: Call, engine: str = "auto") -> tuple:
    """The arguments of tidegate::sequence."""
    return (
        serial.dumps(call.step), engine, call.reverse, call.recompute, call.precision, call.x, list(call.states),
        *call.weights.tensors(), call.lengths, call.resets,
    )  # fmt: skip


def by_operator(call: Call, engine: str = "auto") -> Result:
    found, *states = torch.ops.tidegate.sequence(*arguments(call, engine))
    return Result(found, tuple(states))


class ByOperator:
    """The operator in the place of an engine, for `run`."""

    run = staticmethod(by_operator)


class ByDispatch:
    run = staticmethod(choose.dispatch)


@each_cell
@each_option
def test_the_operator_passes_opcheck(cell, option):
    call = make_call(EVERY[cell], 4, 2, 3, 5, **OPTIONS[option])
    torch.library.opcheck(torch.ops.tidegate.sequence, arguments(call))


@each_option
def test_the_gradient_of_the_operator_passes_opcheck(option):
    call = make_call(EVERY["lstm"], 4, 2, 3, 5, **OPTIONS[option])
    x = call.x.detach().transpose(0, 1).contiguous().transpose(0, 1)  # as of a layer with batch_first
    plain = [t if not isinstance(t, torch.Tensor) else t.detach() for t in arguments(replace(call, x=x))]
    plain[6] = [s.detach() for s in call.states]
    d = [torch.randn(4, 2, 5), torch.ones(()).expand(2, 5), torch.randn(5, 2).t()]
    for need_x in {False, not call.indexed}:
        torch.library.opcheck(torch.ops.tidegate.sequence_backward, (*plain, d, need_x))


@pytest.mark.parametrize("engine", ["auto", "eager"])
def test_the_operator_with_a_projected_output_passes_opcheck(engine):
    call = projected(make_call(EVERY["lstm"], 4, 2, 3, 5))
    torch.library.opcheck(torch.ops.tidegate.sequence, arguments(call, engine))


@each_cell
@each_option
def test_the_operator_gives_the_results_of_the_engine(cell, option):
    call = make_call(EVERY[cell], 6, 3, 4, 5, **OPTIONS[option])
    found, expected = run(call, ByOperator), run(call, ByDispatch)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def test_the_results_of_the_operator_are_contiguous_and_share_no_memory():
    call = make_call(EVERY["lstm"], 4, 2, 3, 5, lengths=True)
    with torch.no_grad():
        found = torch.ops.tidegate.sequence(*arguments(replace(call, lengths=torch.zeros(2, dtype=torch.int64))))
    assert all(t.is_contiguous() for t in found)
    assert len({t.untyped_storage().data_ptr() for t in (*found, *call.states)}) == 5


def test_autocast_does_not_change_the_operator():
    call = make_call(EVERY["gru"], 4, 2, 3, 5)
    for engine in ("auto", "eager"):
        expected = by_operator(call, engine).outputs
        with torch.autocast("cpu", torch.bfloat16):
            y = by_operator(call, engine).outputs
            (d,) = torch.autograd.grad(y.sum(), call.weights.w_hh)
        assert torch.equal(y, expected)
        assert torch.equal(d, torch.autograd.grad(expected.sum(), call.weights.w_hh)[0])


def test_a_gradient_that_is_not_needed_is_not_computed(monkeypatch):
    call = make_call(EVERY["gru"], 4, 2, 3, 5)
    call = replace(call, x=call.x.detach())
    needed = []
    whole = torch.ops.tidegate.sequence_backward

    def watched(*given):
        needed.append(given[-1])
        return whole(*given)

    monkeypatch.setattr(torch.ops.tidegate, "sequence_backward", watched)
    by_operator(call).outputs.sum().backward()
    assert needed == [False]
    assert call.weights.w_ih.grad is not None


@pytest.mark.parametrize("lengths", [[0, 5], [-1, 2]])
@pytest.mark.parametrize("engine", ["auto", "eager"])
def test_lengths_out_of_range_are_refused(lengths, engine):
    call = replace(make_call(EVERY["gru"], 4, 2, 3, 5), lengths=torch.tensor(lengths))
    with pytest.raises(ArgumentError, match=rf"`lengths` must be in 0..T = 0..4, got {lengths[0]}..{lengths[1]}"):
        by_operator(call, engine)


def test_a_named_engine_that_cannot_run_the_call_raises():
    with pytest.raises(EngineError, match='engine "cpu" cannot run this LSTM'):
        by_operator(projected(make_call(EVERY["lstm"], 4, 2, 3, 5)), "cpu")


def test_a_program_identifies_the_step_by_its_content():
    text = serial.dumps(make_call(EVERY["gru"], 1, 1, 1, 1).step)
    assert operator.text_of(EVERY["gru"], id(EVERY["gru"])) == text
    assert operator.text_of(serial.loads(text), 0) == text


@each_option
def test_vmap_maps_the_operator_over_every_argument(option):
    calls = [make_call(EVERY["lstm"], 4, 2, 3, 5, seed=seed, **OPTIONS[option]) for seed in range(3)]
    tensors = [[t.detach() for t in (*leaves(c).values(),)] for c in calls]

    def function(*given):
        named = dict(zip(leaves(calls[0]), given))
        return tuple(torch.ops.tidegate.sequence(*with_tensors(calls[0], named)))

    stacked = [torch.stack(ts) for ts in zip(*tensors)]
    found = torch.vmap(function)(*stacked)
    for i, given in enumerate(tensors):
        for a, b in zip(found, function(*given), strict=True):
            assert torch.equal(a[i], b)
    shared = torch.vmap(function, (0, *[None] * (len(stacked) - 1)))(stacked[0], *tensors[1][1:])
    assert torch.equal(shared[0][2], function(tensors[2][0], *tensors[1][1:])[0])


def with_tensors(call: Call, named: dict) -> tuple:
    """The arguments of the operator with some tensors replaced, by the names of `leaves`."""
    whole = list(arguments(call))
    whole[5] = named.get("x", call.x)
    whole[6] = [named[f"state {s}"] for s in call.step.state]
    for i, name in enumerate(("w_ih", "w_hh", "b_ih", "b_hh", "vectors", "w_hr")):
        whole[7 + i] = named.get(name)
    return tuple(whole)
