"""What torch.nn's layers could not do: lengths in any order, restarts inside a sequence, derivatives of every kind."""

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vmap
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import tidegate
from tidegate.engines.choose import ENGINES

CELLS = {
    "rnn": lambda **k: tidegate.RNN(2, 3, **k),
    "gru": lambda **k: tidegate.GRU(2, 3, **k),
    "lstm": lambda **k: tidegate.LSTM(2, 3, **k),
    "projected": lambda **k: tidegate.LSTM(2, 3, proj_size=2, **k),
    "before": lambda **k: tidegate.ResetBeforeGRU(2, 3, **k),
    "peephole": lambda **k: tidegate.PeepholeLSTM(2, 3, **k),
    "residual": lambda **k: tidegate.ResidualRNN(2, 3, **k),
}
each_cell = pytest.mark.parametrize("cell", CELLS)
# torch's own forward-mode formulas still script a function, which torch deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
each_engine = pytest.mark.parametrize("engine", ["auto", *ENGINES])


def make(cell: str, **options):
    torch.manual_seed(0)
    layer = CELLS[cell](dtype=torch.float64, **options)
    if cell == "projected" and layer.engine == "cpu":
        pytest.skip("the CPU engine refuses projections")
    if cell in ("before", "peephole", "residual") and layer.engine == "torch":
        pytest.skip("torch does not have this cell")
    return layer


def leaves(tree) -> list[torch.Tensor]:
    return torch.utils._pytree.tree_leaves(tree)


def assert_near(a, b, tolerance=1e-12) -> None:
    a, b = leaves(a), leaves(b)
    assert len(a) == len(b)
    for s, t in zip(a, b):
        assert s.shape == t.shape
        assert (s - t).abs().max() <= tolerance * (1 + t.abs().max())


@each_engine
@each_cell
@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_give_the_same_results_as_packing(cell, engine, batch_first):
    layer = make(cell, num_layers=2, bidirectional=True, batch_first=batch_first, engine=engine)
    x = torch.randn((4, 6, 2) if batch_first else (6, 4, 2), dtype=torch.float64, requires_grad=True)
    lengths = [3, 6, 1, 5]
    packed, state = layer(pack_padded_sequence(x, torch.tensor(lengths), batch_first, enforce_sorted=False))
    expected, _ = pad_packed_sequence(packed, batch_first)
    wanted = [x, *layer.parameters()]
    gradients = torch.autograd.grad(expected.square().sum() + leaves(state)[-1].sum(), wanted)
    for given in (lengths, torch.tensor(lengths), torch.tensor(lengths, dtype=torch.int32)):
        y, h = layer(x, lengths=given)
        assert_near((y, h), (expected, state))
        assert_near(torch.autograd.grad(y.square().sum() + leaves(h)[-1].sum(), wanted), gradients)


@each_engine
@each_cell
def test_sequences_of_length_zero_do_not_change_the_state(cell, engine):
    layer = make(cell, engine=engine)
    x, state = torch.randn(4, 2, 2, dtype=torch.float64), layer(torch.randn(3, 2, 2, dtype=torch.float64))[1]
    y, after = layer(x, state, lengths=[0, 4])
    assert not y[:, 0].any()
    for s, t in zip(leaves(state), leaves(after)):
        assert torch.equal(s[:, 0], t[:, 0])
        assert not torch.equal(s[:, 1], t[:, 1])


@pytest.mark.parametrize("engine", [name for name in ("auto", *ENGINES) if name != "torch"])
@each_cell
def test_resets_separate_the_pieces_of_a_sequence(cell, engine):
    """Each piece alone is the independent statement: hx starts the first piece forwards, the last backwards."""
    layer = make(cell, bidirectional=True, engine=engine)
    x = torch.randn(7, 3, 2, dtype=torch.float64, requires_grad=True)
    begins = [[0, 3], [0, 1, 5], [0]]
    lengths = [7, 6, 7]
    resets = torch.zeros(3, 7, dtype=torch.bool)
    for b, at in enumerate(begins):
        resets[b, at[1:]] = True
    resets[1, 6] = True  # beyond the end of sequence 1: of no effect
    with torch.no_grad():
        hx = layer(torch.randn(2, 3, 2, dtype=torch.float64))[1]
    y, state = layer(x, hx, lengths=lengths, resets=resets)
    alone, final = torch.zeros_like(y), [torch.zeros_like(s) for s in leaves(state)]
    for b, at in enumerate(begins):
        ends = [*at[1:], lengths[b]]
        for k, (s, e) in enumerate(zip(at, ends)):
            start = [torch.zeros_like(h[:, b : b + 1]) for h in leaves(hx)]
            for direction, mine in ((0, k == 0), (1, k == len(at) - 1)):
                if mine:
                    for one, h in zip(start, leaves(hx)):
                        one[direction] = h[direction, b]
            out, last = layer(x[s:e, b : b + 1], tuple(start) if len(start) > 1 else start[0])
            alone[s:e, b] = out[:, 0]
            for direction, mine in ((0, k == len(at) - 1), (1, k == 0)):
                if mine:
                    for whole, h in zip(final, leaves(last)):
                        whole[direction, b] = h[direction, 0]
    assert_near((y, leaves(state)), (alone, final))
    wanted = [x, *layer.parameters()]
    assert_near(
        torch.autograd.grad(y.square().sum() + leaves(state)[0].sum(), wanted),
        torch.autograd.grad(alone.square().sum() + final[0].sum(), wanted),
    )


@each_cell
def test_class_indices_give_the_same_results_as_one_hot_rows(cell):
    layer, ids = make(cell, bidirectional=True), torch.randint(2, (5, 3))
    one_hot = torch.nn.functional.one_hot(ids, 2).double()
    for given in (ids, ids.int()):
        assert_near(layer(given), layer(one_hot))
    assert_near(layer(ids[:, 0]), layer(one_hot[:, 0]))
    lengths = torch.tensor([2, 5, 1])
    packed = pack_padded_sequence(ids, lengths, enforce_sorted=False)
    assert_near(pad_packed_sequence(layer(packed)[0])[0], layer(ids, lengths=lengths)[0])


def function(layer):
    """(outputs, states) as a function of x and the parameters."""

    def f(x, *parameters):
        named = dict(zip(dict(layer.named_parameters()), parameters))
        return tuple(leaves(functional_call(layer, named, (x,))))

    return f


@each_engine
@each_cell
@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}], ids=["one", "stacked"])
def test_first_derivatives(cell, engine, options):
    layer = make(cell, engine=engine, **options)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(function(layer), (x, *layer.parameters()), fast_mode=bool(options))


@each_cell
@pytest.mark.parametrize("engine", [name for name in ("auto", *ENGINES) if name != "reference"])
def test_second_derivatives(cell, engine):
    layer = make(cell, engine=engine)
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(function(layer), (x, *layer.parameters()), fast_mode=True)


def test_the_reference_engine_refuses_second_derivatives():
    layer = make("gru", engine="reference")
    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    with pytest.raises(tidegate.EngineError, match="first derivatives only"):
        torch.autograd.grad(layer(x)[0].sum(), x, create_graph=True)


@each_cell
def test_a_hessian_vector_product_and_a_gradient_penalty(cell):
    layer = make(cell)
    x = torch.randn(4, 2, 2, dtype=torch.float64, requires_grad=True)
    parameters = list(layer.parameters())
    (d,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
    penalty = torch.autograd.grad(d.square().sum(), parameters)
    step = 1e-5
    for p, found in zip(parameters, penalty):
        direction = torch.randn_like(p)
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                p += sign * step * direction
            (d,) = torch.autograd.grad(layer(x)[0].square().sum(), x)
            values.append(d.square().sum())
            with torch.no_grad():
                p -= sign * step * direction
        expected = (values[0] - values[1]) / (2 * step)
        assert abs((found * direction).sum() - expected) < 1e-6 * (1 + abs(expected))


@each_cell
def test_torch_func(cell):
    layer = make(cell)
    f, parameters = function(layer), tuple(layer.parameters())
    x = torch.randn(4, 3, 2, dtype=torch.float64)

    def loss(x, *parameters):
        return f(x, *parameters)[0].square().sum()

    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(loss(leaf, *parameters), leaf)
    assert_near(grad(loss)(x, *parameters), expected)
    # the Jacobian three ways, and along a direction
    jacobian = torch.autograd.functional.jacobian(lambda x: f(x, *parameters)[0], x)
    assert_near(jacrev(lambda x: f(x, *parameters)[0])(x), jacobian)
    assert_near(jacfwd(lambda x: f(x, *parameters)[0])(x), jacobian)
    v = torch.randn_like(x)
    assert_near(jvp(lambda x: f(x, *parameters)[0], (x,), (v,))[1], torch.einsum("tbhscd,scd->tbh", jacobian, v))


@each_cell
def test_forward_mode(cell):
    layer = make(cell)
    x, v = torch.randn(2, 4, 3, 2, dtype=torch.float64)
    with forward_ad.dual_level():
        y = layer(forward_ad.make_dual(x, v))[0]
        tangent = forward_ad.unpack_dual(y).tangent
    step = 1e-6
    with torch.no_grad():
        expected = (layer(x + step * v)[0] - layer(x - step * v)[0]) / (2 * step)
    assert_near(tangent, expected, 1e-8)


@each_cell
def test_per_sample_gradients(cell):
    layer = make(cell)
    named = dict(layer.named_parameters())
    x = torch.randn(5, 4, 2, dtype=torch.float64)

    def loss(parameters, x):
        return functional_call(layer, parameters, (x,))[0].square().sum()

    found = vmap(grad(loss), in_dims=(None, 1))(named, x)
    for b in range(4):
        expected = torch.autograd.grad(layer(x[:, b])[0].square().sum(), list(named.values()))
        assert_near([found[name][b] for name in named], list(expected))


@each_cell
def test_an_ensemble_runs_under_vmap(cell):
    layers = [make(cell) for _ in range(3)]
    for layer in layers:
        layer.reset_parameters()
    parameters, _ = torch.func.stack_module_state(layers)
    x = torch.randn(4, 2, 2, dtype=torch.float64)
    y = vmap(lambda p: functional_call(layers[0], p, (x,))[0])(parameters)
    assert_near(list(y), [layer(x)[0] for layer in layers])


@each_cell
def test_a_gates_parameters_are_views_to_read_and_to_write(cell):
    layer = make(cell, num_layers=2, bidirectional=True)
    x = torch.randn(4, 2, 2, dtype=torch.float64)
    before = layer(x)[0]
    for k, gate in enumerate(layer.cell.gates):
        found = layer.gate_parameters(gate)
        assert set(found) >= {f"{kind}_{s}" for kind in ("weight_ih", "weight_hh") for s in ("l0", "l1_reverse")}
        for name, view in found.items():
            if not name.startswith("vector"):
                assert torch.equal(view, getattr(layer, name)[3 * k : 3 * k + 3])
        sum(view.square().sum() for view in found.values()).backward()
        assert torch.equal(layer.weight_hh_l0.grad[3 * k : 3 * k + 3], 2 * layer.weight_hh_l0[3 * k : 3 * k + 3])
        with torch.no_grad():
            for view in found.values():
                view.zero_()
        assert not layer.weight_ih_l1_reverse[3 * k : 3 * k + 3].any()
    assert not torch.equal(layer(x)[0], before)
