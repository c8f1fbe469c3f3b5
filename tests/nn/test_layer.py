"""The engine that a call of a layer runs on, the reasons of the others, and recomputation."""

import pytest
import torch

import tidegate


def chosen(verdicts) -> str:
    (name,) = [v.engine for v in verdicts if v.chosen]
    return name


def refusals(verdicts) -> dict[str, str | None]:
    return {v.engine: v.refusal for v in verdicts}


def test_why_accepts_every_form_of_a_call():
    layer, x = tidegate.GRU(3, 4, batch_first=True), torch.randn(2, 5, 3)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, [5, 3], batch_first=True)
    resets = torch.zeros(2, 5, dtype=torch.bool)
    usual = tidegate.why(layer, x)
    assert len(usual) == 4
    for verdicts in (
        tidegate.why(layer, x[0]),
        tidegate.why(layer, packed),
        tidegate.why(layer, torch.zeros(2, 5, dtype=torch.int64)),
        tidegate.why(layer, x, torch.zeros(1, 2, 4)),
        tidegate.why(layer, x, lengths=[1, 2]),
    ):
        assert refusals(verdicts) == refusals(usual)
    assert chosen(tidegate.why(layer, x, lengths=[1, 2], resets=resets)) == "cpu"


def test_why_names_the_reason_of_each_refusal():
    x = torch.randn(5, 2, 3)
    projected = tidegate.why(tidegate.LSTM(3, 4, proj_size=2), x)
    assert chosen(projected) == "torch"
    assert "projection" in refusals(projected)["cpu"]
    assert chosen(tidegate.why(tidegate.GRU(3, 4, device="meta"), x.to("meta"))) == "torch"
    assert chosen(tidegate.why(tidegate.ResetBeforeGRU(3, 4, device="meta"), x.to("meta"))) == "eager"


def test_why_marks_the_engine_that_this_layer_runs_on():
    x = torch.randn(5, 2, 3)
    for engine in ("cpu", "eager", "reference"):
        layer = tidegate.GRU(3, 4, engine=engine)
        assert chosen(tidegate.why(layer, x)) == engine
        assert "* " + engine in repr(tidegate.why(layer, x))
    assert chosen(tidegate.why(tidegate.GRU(3, 4), x)) == "cpu"
    verdicts = tidegate.why(tidegate.LSTM(3, 4, proj_size=2, engine="cpu"), x)
    assert not any(v.chosen for v in verdicts)


# torch's own forward-mode formulas still script a function, which torch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
def test_transforms_and_tangents_run_on_the_eager_engine():
    layer, x, seen = tidegate.GRU(3, 4), torch.randn(5, 2, 3), []

    def f(x):
        seen.append(tidegate.why(layer, x))
        return layer(x)[0].sum()

    torch.func.grad(f)(x)
    torch.func.vmap(f, in_dims=1)(x)
    with torch.autograd.forward_ad.dual_level():
        f(torch.autograd.forward_ad.make_dual(x, x))
    words = ("torch.func", "torch.func", "tangent")
    for verdicts, word in zip(seen, words, strict=True):
        assert chosen(verdicts) == "eager"
        assert word in refusals(verdicts)["cpu"]


def test_an_engine_named_explicitly_refuses_a_transform():
    layer = tidegate.GRU(3, 4, engine="cpu")
    with pytest.raises(tidegate.EngineError, match=r"torch\.func"):
        torch.func.grad(lambda x: layer(x)[0].sum())(torch.randn(5, 2, 3))


# Recomputing instead of storing.

RECOMPUTING = [
    lambda **k: tidegate.RNN(5, 16, **k),
    lambda **k: tidegate.GRU(5, 16, 2, bidirectional=True, **k),
    lambda **k: tidegate.LSTM(5, 16, **k),
    lambda **k: tidegate.ResetBeforeGRU(5, 16, **k),
    lambda **k: tidegate.PeepholeLSTM(5, 16, **k),
    lambda **k: tidegate.ResidualRNN(5, 16, **k),
    lambda **k: tidegate.Recurrent(tidegate.cells.GRU, 5, 16, **k),
]
each_recomputing = pytest.mark.parametrize("make", RECOMPUTING)
each_engine = pytest.mark.parametrize("engine", ["cpu", "eager"])


def run_and_weigh(layer, x, **options):
    """Outputs, every gradient, and the bytes that torch's graph keeps between forward and backward."""
    kept = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y, _ = layer(x, **options)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view(y.shape)
    return y.detach(), torch.autograd.grad((y * weights).sum(), [x, *layer.parameters()]), sum(kept.values())


@each_engine
@each_recomputing
def test_recomputing_keeps_less_memory_and_changes_no_result(make, engine):
    whole, again = make(engine=engine, dtype=torch.float64), make(engine=engine, dtype=torch.float64, recompute=True)
    again.load_state_dict(whole.state_dict())
    x = torch.randn(101, 3, 5, dtype=torch.float64, requires_grad=True)
    for options in ({}, {"lengths": [101, 0, 64], "resets": torch.rand(3, 101) < 0.1}):
        y, d, kept = run_and_weigh(whole, x, **options)
        y_again, d_again, kept_again = run_and_weigh(again, x, **options)
        assert engine == "eager" or torch.equal(y, y_again)
        # Sums over all steps are taken stretch by stretch, so they may differ in their last bits; in the eager engine
        # torch's products of fewer rows may, too.
        for a, b in zip((y, *d), (y_again, *d_again), strict=True):
            assert float((a - b).norm()) <= 1e-13 * float(a.norm())
        assert kept_again < 0.6 * kept


@pytest.mark.parametrize("kind", [tidegate.GRU, tidegate.ResetBeforeGRU, tidegate.ResidualRNN])
def test_gradients_through_recomputed_steps_have_the_same_bits(kind):
    layer, found = kind(5, 16, engine="cpu"), []
    x, h = torch.randn(70, 3, 5, requires_grad=True), torch.randn(1, 3, 16, requires_grad=True)
    for layer.recompute in (False, True):
        y, h_n = layer(x, h)
        found.append((y, h_n, *torch.autograd.grad((y * y.detach().cos()).sum() + h_n.sum(), [x, h])))
    assert all(map(torch.equal, *found))


def test_with_recomputing_memory_grows_with_the_square_root_of_the_steps():
    layer = tidegate.LSTM(1, 64, engine="cpu", recompute=True)
    beside = [run_and_weigh(layer, torch.randn(T, 2, 1, requires_grad=True))[2] for T in (400, 6400)]
    assert beside[1] < 6 * beside[0]


def test_the_repr_of_a_layer_that_recomputes_has_the_option():
    assert repr(tidegate.GRU(3, 4, recompute=True)) == "GRU(3, 4, engine='auto', recompute=True)"
    assert repr(tidegate.ResetBeforeGRU(3, 4, recompute=True)).endswith("engine='auto', recompute=True)")
    assert "recompute" not in repr(tidegate.GRU(3, 4))


def test_engines_that_cannot_recompute_refuse_the_layer():
    layer, x = tidegate.GRU(3, 4, recompute=True), torch.randn(5, 2, 3)
    assert refusals(tidegate.why(layer, x))["reference"] == "it keeps every step and does not recompute"
    layer.engine = "reference"
    with pytest.raises(tidegate.EngineError, match=r"does not recompute. Engines that can: cpu, eager"):
        layer(x)
    layer.engine = "auto"
    with pytest.raises(tidegate.EngineError, match=r"no engine can run this GRU: cpu: .*eager: .*use recompute=False"):
        torch.func.grad(lambda x: layer(x)[0].sum())(x)


def test_a_trace_of_a_layer_that_recomputes_keeps_every_step():
    layer, x = tidegate.GRU(3, 4, recompute=True), torch.randn(5, 2, 3)
    trace = tidegate.trace(layer, x)
    assert torch.equal(trace.outputs, layer(x)[0])
    assert trace["z_l0"].shape == (5, 2, 4)


def test_second_derivatives_of_recomputed_steps_are_right():
    found = []
    for engine, recompute in (("cpu", True), ("eager", True), ("eager", False)):
        torch.manual_seed(3)
        layer = tidegate.GRU(3, 4, engine=engine, dtype=torch.float64, recompute=recompute)
        x = torch.randn(10, 2, 3, dtype=torch.float64, requires_grad=True)
        (d,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
        found.append(torch.autograd.grad(d.square().sum(), [x, layer.weight_hh_l0]))
    for other in found[:2]:
        assert all(torch.allclose(a, b, rtol=1e-10, atol=1e-12) for a, b in zip(other, found[2], strict=True))


def test_a_compiled_layer_recomputes():
    layer = tidegate.Recurrent(tidegate.cells.GRU, 3, 4, recompute=True)
    x = torch.randn(10, 2, 3, requires_grad=True)
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    leaves = [x, *layer.parameters()]
    found = [torch.autograd.grad(run(x)[0].sum(), leaves) for run in (compiled, layer)]
    assert all(map(torch.equal, *found))
