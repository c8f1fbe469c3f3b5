"""The torch engine: torch.nn's numbers bit for bit, the cells it recognises, and what it refuses."""

import itertools
from dataclasses import replace

import pytest
import torch
from tests.engines.cpu.calls import make_call
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence
from torch.overrides import TorchFunctionMode

from tidegate import cells
from tidegate.calculus import trace
from tidegate.cells.functions import sigmoid, tanh
from tidegate.engines import choose, eager
from tidegate.engines import torch as engine
from tidegate.engines.call import Call, Weights
from tidegate.engines.stack import Stack
from tidegate.errors import EngineError, IndicesError
from tidegate.verification.problem import random_problem

T, B, D, H = 6, 3, 4, 5
KINDS = {
    "tanh": (nn.RNN, cells.RNN, {"nonlinearity": "tanh"}),
    "relu": (nn.RNN, cells.ReluRNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, cells.GRU, {}),
    "lstm": (nn.LSTM, cells.LSTM, {}),
    "projected": (nn.LSTM, cells.LSTM, {"proj_size": 2}),
}
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
OPTIONS = {
    "plain": {},
    "no bias": {"bias": False},
    "stacked": {"num_layers": 3, "bidirectional": True, "dropout": 0.5},
}
each_kind = pytest.mark.parametrize("kind", KINDS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: str(dtype).removeprefix("torch."))
# torch's own forward-mode formulas still script a function, which torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")


def tensors(tree) -> list[Tensor]:
    return [t for t in torch.utils._pytree.tree_leaves(tree) if t is not None]


def module(kind: str, dtype: torch.dtype = torch.float32, **options) -> nn.RNNBase:
    torch.manual_seed(0)
    twin, _, own = KINDS[kind]
    return twin(D, H, dtype=dtype, **own, **options)


def state(m: nn.RNNBase, batch: int = B) -> tuple[Tensor, ...]:
    """Random initial states, as leaves."""
    count = m.num_layers * (1 + m.bidirectional)
    widths = [m.proj_size or H, *([H] if isinstance(m, nn.LSTM) else [])]
    return tuple(torch.randn(count, batch, w, dtype=m.weight_ih_l0.dtype).requires_grad_() for w in widths)


def stack_of(kind: str, m: nn.RNNBase, x: Tensor | PackedSequence, states: tuple[Tensor, ...], **options) -> Stack:
    weights = []
    for names in m._all_weights:
        found = {name.rsplit("_l", 1)[0]: getattr(m, name) for name in names}
        order = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "vector", "weight_hr")
        weights.append(Weights(*(found.get(name) for name in order)))
    step, directions = trace(KINDS[kind][1]), 1 + m.bidirectional
    return Stack(step, x, states, tuple(weights), directions, m.dropout, m.training, **options)


def as_hx(states: tuple[Tensor, ...]):
    return states if len(states) > 1 else states[0]


@each_dtype
@each_kind
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_stack_has_the_bits_of_torch_nn(kind, dtype, options, training):
    m = module(kind, dtype, **OPTIONS[options]).train(training)
    x = torch.randn(T, B, D, dtype=dtype, requires_grad=True)
    states = state(m)
    wanted = [x, *states, *m.parameters()]
    for given in (lambda: x, lambda: pack_padded_sequence(x, torch.tensor([6, 4, 1]))):
        torch.manual_seed(7)
        expected = tensors(m(given(), as_hx(states)))
        torch.manual_seed(7)
        found = engine.run_stack(stack_of(kind, m, given(), states))
        got = tensors((found.outputs, as_hx(found.states)))
        assert all(map(torch.equal, expected, got))
        gradients = [torch.autograd.grad(sum(t.sum() for t in r if t.requires_grad), wanted) for r in (expected, got)]
        assert all(map(torch.equal, *gradients))


@each_dtype
@pytest.mark.parametrize(
    ("ours", "twin", "options"),
    [
        (cells.RNN, nn.RNNCell, {}),
        (cells.ReluRNN, nn.RNNCell, {"nonlinearity": "relu"}),
        (cells.GRU, nn.GRUCell, {}),
        (cells.LSTM, nn.LSTMCell, {"bias": False}),
    ],
)
def test_one_step_has_the_bits_of_torch_nns_cell(ours, twin, options, dtype):
    torch.manual_seed(0)
    m = twin(D, H, dtype=dtype, **options)
    x, *states = (torch.randn(B, n, dtype=dtype, requires_grad=True) for n in (D, *[H] * len(ours.state)))
    w = Weights(m.weight_ih, m.weight_hh, m.bias_ih, m.bias_hh)
    result = engine.run(Call(trace(ours), x.unsqueeze(0), tuple(states), w))
    expected = tensors(m(x, as_hx(tuple(states))))
    assert all(map(torch.equal, expected, result.states))
    assert torch.equal(result.outputs[0], expected[0])
    wanted = [x, *states, *m.parameters()]
    gradients = [torch.autograd.grad(sum(t.square().sum() for t in new), wanted) for new in (expected, result.states)]
    assert all(map(torch.equal, *gradients))


@each_kind
def test_under_autocast_a_stack_has_the_bits_of_torch_nn(kind):
    m = module(kind, num_layers=2, bidirectional=True)
    x = torch.randn(T, B, D, requires_grad=True)
    states = state(m)
    with torch.autocast("cpu", torch.bfloat16):
        for given in (x, x.bfloat16()):
            expected = tensors(m(given, as_hx(states)))
            found = engine.run_stack(stack_of(kind, m, given, states))
            got = tensors((found.outputs, as_hx(found.states)))
            assert [t.dtype for t in got] == [t.dtype for t in expected]
            assert all(map(torch.equal, expected, got))


@each_kind
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, [6, 6, 6], [2, 6, 5], [0, 3, 1], [0, 0, 0]], ids=str)
@pytest.mark.parametrize("steps", [T, 1])
def test_one_direction_equals_the_reference_engine(kind, reverse, lengths, steps):
    options = [*["reverse"] * reverse, *["projected"] * (kind == "projected")]
    problem = random_problem(KINDS[kind][1], sizes=(steps, B, D, H), options=options, seed=3)
    given = None if lengths is None else torch.tensor(lengths).clamp(max=steps)
    call = replace(problem.call, lengths=given)
    results = [choose.dispatch(call, name) for name in ("torch", "reference")]
    leaves = list(problem.leaves().values())
    gradients = [torch.autograd.grad(problem.loss(r), leaves) for r in results]
    for got, expected in zip(
        itertools.chain(tensors((results[0].outputs, results[0].states)), gradients[0]),
        itertools.chain(tensors((results[1].outputs, results[1].states)), gradients[1]),
        strict=True,
    ):
        assert (got - expected).abs().max() <= 1e-12 * (1 + expected.abs().max())
    for b in range(B) if given is not None else ():
        n = int(given[b])
        assert not results[0].outputs[n:, b].any()
        if n == 0:
            assert all(map(torch.equal, (s[b] for s in results[0].states), (s[b] for s in call.states)))


@each_kind
def test_a_stack_with_lengths_is_the_stack_of_a_packed_sequence(kind):
    m = module(kind, torch.float64, num_layers=2, bidirectional=True)
    x, states, lengths = torch.randn(T, B, D, dtype=torch.float64), state(m), torch.tensor([2, 6, 3])
    found = engine.run_stack(stack_of(kind, m, x, states, lengths=lengths))
    packed, final = m(pack_padded_sequence(x, lengths, enforce_sorted=False), as_hx(states))
    expected, _ = nn.utils.rnn.pad_packed_sequence(packed)
    assert torch.equal(found.outputs, expected)
    assert all(map(torch.equal, found.states, tensors(final)))


def test_the_weights_are_passed_without_a_copy():
    class Seen(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.gru:
                seen.append(list(args[2]))
            return func(*args, **(kwargs or {}))

    seen: list[list[Tensor]] = []
    m = module("gru", num_layers=2, bidirectional=True)
    with Seen():
        engine.run_stack(stack_of("gru", m, torch.randn(T, B, D), state(m)))
    assert [id(p) for p in seen[0]] == [id(p) for p in m._flat_weights]


# Cells by their equations.


class Renamed(cells.Cell):
    """The GRU by other names, its sums and products in another order."""

    gates = ("reset", "keep", "new")
    state = ("memory",)

    def equations(a, U, memory):
        reset = sigmoid(U.reset(memory) + a.reset)
        keep = sigmoid(a.keep + U.keep(memory))
        new = tanh(U.new(memory) * reset + a.new)
        return (keep * memory + new * (1 - keep),), (reset, keep, new)


class Reordered(cells.Cell):
    """The GRU with its gates packed in another order: torch's function of these weights is another one."""

    gates = ("z", "r", "n")
    state = ("h",)

    def equations(a, U, h):
        r = sigmoid(a.r + U.r(h))
        z = sigmoid(a.z + U.z(h))
        n = tanh(a.n + r * U.n(h))
        return ((1 - z) * n + z * h,), (z, r, n)


class Named:
    """A cell that is a GRU by name only."""

    class GRU(cells.Cell):
        gates = ("r", "z", "n")
        state = ("h",)

        def equations(a, U, h):
            r = sigmoid(a.r + U.r(h))
            z = sigmoid(a.z + U.z(h))
            n = tanh(a.n + r * U.n(h))
            return ((1 - z) * h + z * n,), (r, z, n)


def test_a_cell_is_recognised_by_its_equations_under_any_name():
    call = make_call(Renamed, T, B, D, H)
    expected = eager.run(call).outputs
    assert engine.refuse(call) is None
    assert torch.allclose(engine.run(call).outputs, expected, atol=1e-6)


@pytest.mark.parametrize(
    "cell",
    [Reordered, Named.GRU, cells.ResetBeforeGRU, cells.PeepholeLSTM, cells.ResidualRNN, cells.SigmoidResidualRNN],
)
def test_another_cell_is_refused(cell):
    assert "no fused function of these equations" in engine.refuse(make_call(cell, T, B, D, H))


# What it refuses.


def test_unsupported_calls_are_refused_with_the_reason():
    call = make_call(cells.GRU, T, B, D, H)
    w = call.weights
    assert engine.refuse(call) is None
    for wrong, reason in (
        (replace(call, keep_gates=True), "do not return gates"),
        (replace(call, resets=torch.zeros(T, B, dtype=torch.bool)), "no resets"),
        (replace(call, recompute=True), "recompute=False"),
        (replace(call, weights=replace(w, b_hh=None)), "both biases or none"),
        (replace(call, x=call.x.double()), "another tensor of the call is torch.float64"),
        (replace(call, x=call.x.to("meta")), "another tensor of the call is on meta"),
        (replace(call, x=call.x.to_sparse()), "dense tensors"),
        (replace(call, x=call.x[:0]), "the call is empty"),
        (replace(call, lengths=torch.ones(B, dtype=torch.long, device="meta")), "no values"),
        (replace(call, weights=replace(w, w_hr=torch.zeros(2, H))), "an LSTM only"),
        (make_call(cells.LSTM, T, B, D, H, dtype=torch.float8_e4m3fn), "the weights are torch.float8_e4m3fn"),
    ):
        assert reason in engine.refuse(wrong)
        with pytest.raises(EngineError, match='engine "torch" cannot run this'):
            choose.dispatch(wrong, "torch")


def test_without_a_gradient_it_runs_a_call_that_would_recompute():
    call = replace(make_call(cells.GRU, T, B, D, H), recompute=True)
    with torch.no_grad():
        assert engine.refuse(call) is None


def test_transforms_and_tangents_are_refused():
    call, seen = make_call(cells.GRU, T, B, D, H), []

    def f(x):
        seen.append(engine.refuse(replace(call, x=x)))
        return x.sum()

    x = call.x.detach()
    torch.func.grad(f)(x)
    torch.func.vmap(f, in_dims=1)(x)
    with torch.autograd.forward_ad.dual_level():
        f(torch.autograd.forward_ad.make_dual(x, x))
    assert ["torch.func" in reason for reason in seen] == [True, True, False]
    assert "tangent" in seen[2]


def test_second_derivatives_on_a_cpu_are_those_of_the_equations():
    for name in ("tanh", "gru", "lstm", "projected"):
        problem = random_problem(KINDS[name][1], options=["projected"] * (name == "projected"), seed=5)
        second = []
        for run in (engine.run, eager.run):
            (d,) = torch.autograd.grad(problem.loss(run(problem.call)), problem.call.weights.w_hh, create_graph=True)
            second.append(torch.autograd.grad(d.square().sum(), problem.call.x)[0])
        assert torch.allclose(*second, rtol=1e-10, atol=1e-12)
        assert second[0].any()


# Class indices.


def test_class_indices_are_one_hot_rows():
    call = make_call(cells.LSTM, T, B, D, H, indexed=True)
    assert engine.refuse(call) is None
    rows = replace(call, x=nn.functional.one_hot(call.x, D).float())
    assert torch.equal(engine.run(call).outputs, engine.run(rows).outputs)


def test_many_classes_are_refused_with_the_remedy():
    call = make_call(cells.GRU, T, B, engine.MOST_CLASSES + 1, H, indexed=True)
    assert "use torch.nn.Embedding" in engine.refuse(call)
    assert engine.refuse(make_call(cells.GRU, T, B, engine.MOST_CLASSES, H, indexed=True)) is None
    assert engine.refuse(make_call(cells.GRU, T, B, engine.MOST_CLASSES + 1, H)) is None


def test_class_indices_out_of_range_are_an_error():
    call = make_call(cells.GRU, T, B, D, H, indexed=True)
    with pytest.raises(IndicesError, match=r"class indices in `input` must be in 0\.\.3"):
        engine.run(replace(call, x=call.x + D))


# On a GPU, which these tests describe and do not have: tensors without values, on cuda.


def on_gpu(call: Call) -> Call:
    def move(t: Tensor | None) -> Tensor | None:
        return None if t is None else torch.empty(t.shape, dtype=t.dtype, device="cuda", requires_grad=t.requires_grad)

    weights = Weights(*map(move, call.weights.tensors()))
    return replace(call, x=move(call.x), states=tuple(map(move, call.states)), weights=weights)


def test_on_a_gpu_a_layer_in_eval_is_called_as_in_training_if_a_gradient_may_be_needed():
    with FakeTensorMode():
        call = on_gpu(make_call(cells.GRU, T, B, D, H))
        stack = Stack(call.step, call.x, call.states, (call.weights,), training=False)
        needs, needs_none = [call.weights.w_hh], [call.weights.w_hh.detach()]
        assert engine.trains(stack, needs)
        assert not engine.trains(stack, needs_none)
        assert engine.trains(replace(stack, training=True), needs_none)
        with torch.no_grad():
            assert not engine.trains(stack, needs)
    call = make_call(cells.GRU, T, B, D, H)
    assert not engine.trains(Stack(call.step, call.x, call.states, (call.weights,), training=False), [call.x])


def test_on_a_gpu_in_eval_there_is_no_dropout_even_if_called_as_in_training():
    class Seen(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.gru:
                seen.append(args[5:7])  # dropout, train
                return args[:2]  # there is no GPU to run it
            return func(*args, **(kwargs or {}))

    seen: list[tuple[float, bool]] = []
    with FakeTensorMode(), Seen():
        call = on_gpu(make_call(cells.GRU, T, B, H, H))
        h = torch.empty(2, B, H, device="cuda")
        stack = Stack(call.step, call.x, (h,), (call.weights, call.weights), dropout=0.5, training=False)
        engine.run_stack(stack)
        engine.run_stack(replace(stack, training=True))
    assert seen == [(0.0, True), (0.5, True)]


def test_calls_on_a_gpu_are_accepted_and_calls_on_two_devices_refused():
    with FakeTensorMode():
        call = on_gpu(make_call(cells.LSTM, T, B, D, H, dtype=torch.float16))
        assert engine.refuse(call) is None
        assert "on cuda:0 and another tensor of the call is on cpu" in engine.refuse(
            replace(call, x=torch.empty(T, B, D, dtype=torch.float16))
        )
