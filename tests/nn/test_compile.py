"""Layers in programs that torch.compile makes: numbers, gradients and errors are those of the plain call."""

import warnings

import pytest
import torch
import torch._dynamo
import torch._inductor.config
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

import tidegate

# torch's compiler itself scripts functions, which torch deprecates.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`torch.jit:DeprecationWarning", "ignore:LSTM with projections is not supported with oneDNN"
)
B, T, D, H = 3, 6, 4, 5


@pytest.fixture(autouse=True)
def _fresh_compiler():
    """torch.compile refuses every instance of torch.nn.GRU unless a switch of its own is set, and would start a pool of
    processes for the few kernels of these tests."""
    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=True), torch._inductor.config.patch(compile_threads=1):
        yield
    torch._dynamo.reset()


def tensors(tree) -> list[torch.Tensor]:
    return torch.utils._pytree.tree_leaves(tree)


def assert_near(found, expected, tolerance: float = 1e-6) -> None:
    found, expected = tensors(found), tensors(expected)
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert a.dtype == b.dtype
        assert torch.allclose(a, b, rtol=tolerance, atol=tolerance)


class Model(nn.Module):
    """An embedding, whose gradient the layer must give, the layer, and a head on all of its results."""

    def __init__(self, layer: nn.Module, *, embedding: bool = True):
        super().__init__()
        self.embedding = nn.Embedding(7, D, dtype=layer.weight_ih_l0.dtype) if embedding else None
        self.layer = layer

    def forward(self, x, hx=None, **options):
        y, state = self.layer(x if self.embedding is None else self.embedding(x), hx, **options)
        return y.tanh(), *tensors(state)


def trained(model: nn.Module, *arguments, **options) -> tuple:
    """What the model returns, and the gradients of all of its parameters and of the arguments that need one."""
    found = model(*arguments, **options)
    leaves = [*model.parameters(), *(t for t in tensors(arguments) if t is not None and t.requires_grad)]
    return found, torch.autograd.grad(sum(y.square().sum() for y in found), leaves)


def indices(*size: int) -> torch.Tensor:
    return torch.randint(7, size)


def states(count: int, batch: int = B, width: int = H) -> torch.Tensor:
    return torch.randn(count, batch, width, requires_grad=True)


MASKS = {"lengths": torch.tensor([2, 6, 5]), "resets": torch.rand(B, T) < 0.3}
AOT = {
    "RNN": lambda: (Model(tidegate.RNN(D, H, nonlinearity="relu")), indices(T, B)),
    "GRU": lambda: (Model(tidegate.GRU(D, H)), indices(T, B), states(1)),
    "LSTM": lambda: (Model(tidegate.LSTM(D, H, 2)), indices(T, B), (states(2), states(2))),
    "ResetBeforeGRU": lambda: (Model(tidegate.ResetBeforeGRU(D, H)), indices(T, B)),
    "PeepholeLSTM": lambda: (Model(tidegate.PeepholeLSTM(D, H, 2, bidirectional=True)), indices(T, B)),
    "ResidualRNN": lambda: (Model(tidegate.ResidualRNN(D, H)), indices(T, B)),
    "Recurrent": lambda: (Model(tidegate.Recurrent(MinimalGatedUnit, D, H)), indices(T, B)),
    "batch_first": lambda: (Model(tidegate.GRU(D, H, 2, batch_first=True, bidirectional=True)), indices(B, T)),
    "unbatched": lambda: (Model(tidegate.GRU(D, H, bias=False)), indices(T)),
    "lengths": lambda: (Model(tidegate.LSTM(D, H, 2, bidirectional=True)), indices(T, B), None, MASKS),
    "proj_size": lambda: (Model(tidegate.LSTM(D, H, 2, proj_size=2, batch_first=True)), indices(B, T)),
    "recompute": lambda: (Model(tidegate.GRU(D, H, recompute=True)), indices(T, B)),
    "dropout": lambda: (Model(tidegate.GRU(D, H, 2, dropout=0.5)), indices(T, B)),
    "float64": lambda: (Model(tidegate.GRU(D, H, dtype=torch.float64, batch_first=True)), indices(B, T)),
    "bfloat16": lambda: (Model(tidegate.GRU(D, H, dtype=torch.bfloat16)), indices(T, B)),
    "class indices": lambda: (Model(tidegate.GRU(7, H, batch_first=True), embedding=False), indices(B, T)),
    "engine eager": lambda: (Model(tidegate.GRU(D, H, engine="eager", batch_first=True)), indices(B, T)),
    "engine cpu": lambda: (Model(tidegate.GRU(D, H, engine="cpu", batch_first=True)), indices(B, T)),
}
# Transposed inputs, masks, a projection, a state that needs a gradient: the C++ compiler takes seconds for each.
INDUCTOR = {
    "batch_first": lambda: (Model(tidegate.GRU(D, H, batch_first=True)), indices(B, T), states(1)),
    "everything": lambda: (
        Model(tidegate.LSTM(D, H, proj_size=2, recompute=True, bidirectional=True, dtype=torch.float64)),
        indices(T, B), None, MASKS,
    ),
}  # fmt: skip


class MinimalGatedUnit(tidegate.Cell):
    gates = ("f", "n")
    state = ("h",)

    def equations(a, U, h):
        f = tidegate.sigmoid(a.f + U.f(h))
        n = tidegate.tanh(a.n + U.n(f * h))
        return ((1 - f) * h + f * n,), (f, n)


def assert_trains_the_same(case, backend: str, tolerance: float = 1e-6) -> None:
    model, x, *more = case()
    hx, options = (more + [None, {}][len(more) :]) if len(more) < 2 else more
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    torch.manual_seed(1)
    found = trained(compiled, x, hx, **options)
    torch.manual_seed(1)
    assert_near(found, trained(model, x, hx, **options), tolerance)


@pytest.mark.parametrize("case", AOT)
def test_training_with_aot_autograd(case):
    assert_trains_the_same(AOT[case], "aot_eager", 1e-2 if case == "bfloat16" else 1e-6)


@pytest.mark.parametrize("case", INDUCTOR)
def test_training_with_inductor(case):
    assert_trains_the_same(INDUCTOR[case], "inductor")


@pytest.mark.parametrize("kind", [tidegate.GRUCell, tidegate.LSTMCell])
def test_training_a_cell(kind):
    cell, x = kind(D, H), torch.randn(B, D, requires_grad=True)

    def model(x):
        return tensors(cell(x))

    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    leaves = [x, *cell.parameters()]
    found, expected = compiled(x), model(x)
    assert_near(found, expected)
    assert_near(
        torch.autograd.grad(found[0].square().sum(), leaves), torch.autograd.grad(expected[0].square().sum(), leaves)
    )


def test_autocast_around_a_compiled_layer():
    model, x = Model(tidegate.GRU(D, H)), indices(T, B)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.autocast("cpu", torch.bfloat16):
        assert_near(trained(compiled, x), trained(model, x))


def test_another_size_and_another_cell_compile_again():
    layer = tidegate.Recurrent(tidegate.cells.GRU, D, H)
    compiled = torch.compile(lambda layer, x: layer(x), fullgraph=True, backend="aot_eager")
    for t in (T, T + 3, 2):
        x = torch.randn(t, B, D)
        assert_near(compiled(layer, x), layer(x))
    other = tidegate.Recurrent(tidegate.cells.ResetBeforeGRU, D, H)
    other.load_state_dict(layer.state_dict())
    assert_near(compiled(other, x), other(x))
    assert not torch.allclose(compiled(other, x)[0], layer(x)[0])


def test_an_ensemble_under_vmap():
    layers = [tidegate.Recurrent(tidegate.cells.GRU, D, H) for _ in range(3)]
    parameters, _ = torch.func.stack_module_state(layers)
    x = torch.randn(T, B, D)

    def model(parameters):
        return torch.vmap(lambda p: torch.func.functional_call(layers[0], p, (x,))[0])(parameters)

    found = torch.compile(model, fullgraph=True, backend="aot_eager")(parameters)
    assert_near(list(found), [layer(x)[0] for layer in layers])


# -- errors that a plain call has too ---------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_class_indices_out_of_range_raise_in_the_forward_pass(backend, dtype):
    layer, x = tidegate.GRU(7, H), indices(T, B).to(dtype)
    compiled = torch.compile(layer, fullgraph=True, backend=backend)
    assert_near(compiled(x), layer(x))
    for index in (7, 10, 2_000_000, -1, -2_000_000):
        wrong = x.clone()
        wrong[2, 1] = index
        with pytest.raises(IndexError, match=rf"must be in 0\.\.6 .*got .*{index}"):
            compiled(wrong)


def test_class_indices_that_change_before_the_backward_pass_raise():
    model, x = Model(tidegate.GRU(7, H), embedding=False), indices(T, B)
    y, _ = torch.compile(model, fullgraph=True, backend="aot_eager")(x)
    x.fill_(2_000_000)
    with pytest.raises((IndexError, RuntimeError), match=r"must be in 0\.\.6|modified by an inplace operation"):
        y.sum().backward()


@pytest.mark.parametrize("lengths", [[0, T + 1, 2], [-1, 2, 3]])
def test_lengths_out_of_range_raise(lengths):
    layer, x = tidegate.GRU(D, H), torch.randn(T, B, D)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    assert_near(compiled(x, lengths=torch.tensor([1, 2, 3])), layer(x, lengths=[1, 2, 3]))
    for run in (layer, compiled):
        with pytest.raises(tidegate.ArgumentError, match=rf"`lengths` must be in 0\.\.T = 0\.\.{T}, got"):
            run(x, lengths=torch.tensor(lengths))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"resets": torch.zeros(B, T)}, "resets.bool"), ({"lengths": torch.zeros(B + 1).long()}, "must have shape")],
)
def test_arguments_that_a_plain_call_refuses_raise_the_same(options, message):
    layer, x = tidegate.Recurrent(tidegate.cells.GRU, D, H), torch.randn(T, B, D)
    compiled = torch.compile(layer, backend="aot_eager")
    with pytest.raises(tidegate.TidegateError, match=message):
        compiled(x, **options)


def test_a_named_engine_that_cannot_run_the_call_raises():
    layer, x = tidegate.LSTM(D, H, proj_size=2, engine="cpu"), torch.randn(T, B, D)
    with pytest.raises(tidegate.EngineError, match='engine "cpu" cannot run this LSTM'):
        torch.compile(layer, fullgraph=True, backend="aot_eager")(x)


# -- programs with graph breaks ---------------------------------------------------------------------------------------


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, D)
        self.layer = tidegate.LSTM(D, H, 2, dropout=0.5, bidirectional=True, batch_first=True)
        self.head = nn.Linear(2 * H, 3)

    def forward(self, x, lengths):
        packed = pack_padded_sequence(self.embedding(x), lengths, batch_first=True, enforce_sorted=False)
        y, _ = self.layer(packed)
        return self.head(pad_packed_sequence(y, batch_first=True)[0])


@pytest.mark.parametrize("allow_rnn", [False, True])
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_packed_sequence_runs_without_a_warning_and_with_the_same_dropout(allow_rnn, backend, caplog):
    caplog.set_level("WARNING")
    tagger, x, lengths = Tagger(), indices(B, T), torch.tensor([6, 2, 5])
    compiled = torch.compile(tagger, backend=backend)
    with torch._dynamo.config.patch(allow_rnn=allow_rnn), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for seed in range(2):
            results = []
            for model in (tagger, compiled):
                torch.manual_seed(seed)
                y = model(x, lengths)
                results.append((y, torch.autograd.grad(y.square().sum(), list(tagger.parameters()))))
            assert_near(*results)
    assert not [w for w in caught if "torch.jit" not in str(w.message)]
    assert not [r for r in caplog.records if r.levelname == "WARNING"]


@pytest.mark.parametrize("packed", [False, True])
def test_a_twin_runs_uncompiled_without_a_warning_unless_torch_allows_rnns(packed, caplog):
    caplog.set_level("WARNING")
    layer, x = tidegate.GRU(D, H, 2, batch_first=True), torch.randn(B, T, D)
    given = pack_padded_sequence(x, [6, 5, 5], batch_first=True) if packed else x

    def model(x):
        y = layer(x)[0]
        return (y.data if isinstance(y, PackedSequence) else y) * 2

    with torch._dynamo.config.patch(allow_rnn=False), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert_near(torch.compile(model, backend="aot_eager")(given), model(given))
    assert not [w for w in caught if "torch.jit" not in str(w.message)]
    assert not [r for r in caplog.records if r.levelname == "WARNING"]
