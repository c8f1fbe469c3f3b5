"""The short route for calls of several steps: the bits of the general route; every change between calls is noticed."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from tests.engines.cpu.memory import poisoned
from tests.nn.test_one_step import D, H, each_cell, general_route, leaves, no_form_is_known, random_state, short_calls
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils import parametrize

import tidegate
from tidegate.cells import CELLS
from tidegate.engines import autograd
from tidegate.nn import short_route
from tidegate.nn.graph_pass import Recurrence

__all__ = ["no_form_is_known", "short_calls"]  # fixtures

T, B = 6, 4

bfloat16 = pytest.param(torch.bfloat16, id="bfloat16")
each_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64, bfloat16])


@pytest.fixture(autouse=True)
def _needs_products_of_bfloat16(request):
    parameters = getattr(request.node, "callspec", None)
    if parameters is None or parameters.params.get("dtype") is not torch.bfloat16:
        return
    from tidegate.engines.cpu import kernels

    if not kernels.here().pairs or kernels.here().matrix:
        pytest.skip("this processor has no kernels that read bfloat16 numbers")


def states_of(layer: nn.Module, *size: int, grad: bool = False):
    """Random initial states."""
    dtype = layer.weight_hh_l0.dtype
    count = layer.num_layers * (2 if layer.bidirectional else 1)
    found = random_state(layer, count, *size)
    return torch.utils._pytree.tree_map(lambda t: t.to(dtype).requires_grad_(grad), found)


@contextmanager
def on_the_kernels() -> Iterator[None]:
    """No backward pass is replayed with torch's operations."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autograd, "replayed", lambda *_: pytest.fail("a backward pass was replayed"))
        yield


def run(layer: nn.Module, x: Tensor, hx, weigh: list[Tensor | None]) -> list[Tensor | None]:
    """The results of a call with the same random numbers each time, and, where a gradient is required, the gradients of
    their weighted sum."""
    torch.manual_seed(1)
    results = leaves(layer(x, hx))
    wanted = [t for t in (x, *leaves(hx), *layer.parameters()) if t is not None and t.requires_grad]
    used = [(y, w) for y, w in zip(results, weigh, strict=True) if w is not None and y.requires_grad]
    if not used:
        return list(results)
    ys, ws = zip(*used)
    return [*results, *torch.autograd.grad(ys, wanted, ws, allow_unused=True)]


def check(layer: nn.Module, x: Tensor, hx=None, *, left_out: int | None = None) -> None:
    """Four calls against the general route; the loss does not depend on the result `left_out`."""
    with general_route():
        weigh: list = [torch.randn(y.shape).to(y.dtype) for y in leaves(layer(x, hx))]
        weigh = [None if i == left_out else w for i, w in enumerate(weigh)]
        expected = run(layer, x, hx, weigh)
    for _ in range(4):
        with poisoned(), on_the_kernels():
            found = run(layer, x, hx, weigh)
        for a, b in zip(found, expected, strict=True):
            assert (a is None) == (b is None)
            assert a is None or (torch.equal(a, b) and a.stride() == b.stride())


def inputs(layer: nn.Module, *, grad: bool) -> Iterator[Tensor]:
    """Numbers and class indices, a batch, one sequence, and one without a batch."""
    for batch in ((T, B), (T, 1), (T,)):
        size = batch[::-1] if layer.batch_first else batch
        yield torch.randn(*size, D).to(layer.weight_hh_l0.dtype).requires_grad_(grad)
        yield torch.randint(D, size)


@each_cell
@each_dtype
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_a_layer_has_the_bits_of_the_general_route(cell, dtype, batch_first, grad, short_calls):
    layer = tidegate.Recurrent(cell, D, H, batch_first=batch_first, dtype=dtype)
    calls = 0
    for x in inputs(layer, grad=grad):
        size = x.shape[:-1] if x.is_floating_point() else x.shape
        rows = size[not batch_first] if len(size) == 2 else None
        for hx in (None, states_of(layer, *([] if rows is None else [rows]), grad=grad)):
            with torch.set_grad_enabled(grad):
                check(layer, x, hx)
            calls += 2
    assert len(short_calls) == calls  # the first two calls of each form take the general route


@pytest.mark.parametrize("options", [
    {"num_layers": 3}, {"bidirectional": True}, {"num_layers": 2, "bidirectional": True, "dropout": 0.3},
    {"num_layers": 2, "dropout": 0.5, "bias": False}, {"num_layers": 2, "batch_first": True, "bidirectional": True},
    {"num_layers": 2, "batch_first": True}, {"num_layers": 3, "dropout": 0.5},
], ids=str)  # fmt: skip
@pytest.mark.parametrize("kind", ["GRU", "LSTM", "RNN"])
@pytest.mark.parametrize("grad", [False, True])
def test_stacks_have_the_bits_of_the_general_route(kind, options, grad, short_calls):
    layer = getattr(tidegate, kind)(D, H, **options)
    for training in (True, False):
        layer.train(training)
        for x in inputs(layer, grad=grad):
            batched = x.dim() == (3 if x.is_floating_point() else 2)
            rows = [x.shape[not layer.batch_first]] if batched else []
            for hx in (None, states_of(layer, *rows, grad=grad)):
                before = len(short_calls)
                with torch.set_grad_enabled(grad):
                    check(layer, x, hx)
                assert len(short_calls) == before + (2 if training or options.get("dropout") else 4)


@each_cell
@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_losses_that_do_not_depend_on_every_result(cell, left_out, short_calls):
    if left_out > len(cell.state):
        pytest.skip("the cell has one state")
    layer = tidegate.Recurrent(cell, D, H)
    check(layer, torch.randn(T, B, D, requires_grad=True), states_of(layer, B, grad=True), left_out=left_out)
    assert len(short_calls) == 2


@pytest.mark.parametrize("frozen", ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "l0", "weight_hh_l1"])
def test_parameters_can_be_frozen(frozen, short_calls):
    for layer in (tidegate.GRU(D, H, 2), tidegate.LSTM(D, H, 2, bidirectional=True)):
        for name, p in layer.named_parameters():
            p.requires_grad_(frozen not in name)
        for grad in (True, False):
            for x in inputs(layer, grad=grad):
                check(layer, x)
    assert short_calls


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_large_calls(threads, precision, short_calls):
    """Of memory from the pool, on several threads, with products of both precisions."""
    before, asked = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(precision)
    try:
        for cell in CELLS.values():
            layer = tidegate.Recurrent(cell, 40, 130)
            check(layer, torch.randn(30, 33, 40, requires_grad=True))
            check(layer, torch.randint(40, (30, 33)))
        layer = tidegate.GRU(5000, 96)
        check(layer, torch.randint(5000, (5, 8)))  # few of many classes: columns are written where they lie
    finally:
        torch.set_num_threads(before)
        torch.set_float32_matmul_precision(asked)
    assert len(short_calls) == 2 * (2 * len(CELLS) + 1)


@each_dtype
def test_few_of_many_class_indices(dtype, short_calls):
    check(tidegate.LSTM(999, H, dtype=dtype), torch.randint(999, (5, 3)))
    assert len(short_calls) == 2


def test_inputs_of_other_strides_are_other_forms(short_calls):
    layer, wide = tidegate.GRU(D, H), torch.randn(B, T, 3 * D)
    for x in (
        wide[..., :D].transpose(0, 1),
        wide[:, :, D : 2 * D].transpose(0, 1).contiguous(),
        wide[:1, :, :D].expand(B, T, D).transpose(0, 1),
        wide[:, :1, :D].expand(B, T, D).transpose(0, 1),
    ):
        check(layer, x.detach().requires_grad_())
        check(layer, x)
    assert short_calls


def test_incoming_gradients_of_any_layout(short_calls):
    layer, x = tidegate.LSTM(D, H, batch_first=True), torch.randn(B, T, D, requires_grad=True)
    losses: tuple[Callable[[Tensor], Tensor], ...] = (
        Tensor.sum,
        lambda y: y.transpose(0, 1).contiguous().pow(2).sum(),
        lambda y: y[:, -1].pow(2).sum(),
        lambda y: y[..., ::2].pow(2).sum(),
        lambda y: y.permute(2, 0, 1).contiguous().pow(2).sum(),
    )
    for loss in losses:
        with general_route():
            expected = torch.autograd.grad(loss(layer(x)[0]), [x, *layer.parameters()])
        for _ in range(3):
            found = torch.autograd.grad(loss(layer(x)[0]), [x, *layer.parameters()])
            assert all(map(torch.equal, found, expected))
    assert len(short_calls) == 13


def test_weights_are_never_stale(short_calls):
    layer, x = tidegate.GRU(D, H), torch.randn(T, B, D)
    for _ in range(2):
        layer(x)

    def replace(new: Tensor) -> None:
        layer.weight_hh_l0 = nn.Parameter(new)

    def set_data(new: Tensor) -> None:
        layer.weight_hh_l0.data = new

    def write_numpy(new: Tensor) -> None:
        layer.weight_hh_l0.detach().numpy()[:] = new.numpy()

    changes = (
        lambda new: layer.weight_hh_l0.data.copy_(new),
        lambda new: layer.load_state_dict(layer.state_dict() | {"weight_hh_l0": new}),
        lambda new: layer.weight_hh_l0.untyped_storage().copy_(new.untyped_storage()),
        replace, set_data, write_numpy,
    )  # fmt: skip
    for change in changes:
        for _ in range(2):
            new = torch.randn(3 * H, H)
            change(new)
            expected = tidegate.GRU(D, H)
            expected.load_state_dict(layer.state_dict() | {"weight_hh_l0": new})
            with general_route():
                want = expected(x)[0]
            assert torch.equal(layer(x)[0], want)
    assert len(short_calls) == 2 * len(changes)


def test_computed_weights_take_the_general_route(short_calls):
    class Double(nn.Module):
        def forward(self, w):
            return 2 * w

    layer, x = tidegate.GRU(D, H), torch.randn(T, B, D)
    for _ in range(3):
        layer(x)
    parametrize.register_parametrization(layer, "weight_hh_l0", Double())
    check(layer, x)
    assert len(short_calls) == 1


def test_results_may_be_changed_in_place(short_calls):
    layer, x = tidegate.LSTM(D, H, 2), torch.randn(T, B, D, requires_grad=True)
    expected = torch.autograd.grad(layer(x)[0].mul(3).exp().sum(), x)[0]
    for _ in range(3):
        y, (h, c) = layer(x)
        y = y.mul_(3)
        h.zero_(), c.zero_()
        assert torch.allclose(torch.autograd.grad(y.exp().sum(), x)[0], expected, rtol=1e-5)
    assert len(short_calls) == 2


def test_results_have_memory_of_their_own(short_calls):
    layer, x = tidegate.LSTM(D, H, 2), torch.randn(T, B, D)
    for grad in (False, True):
        with torch.set_grad_enabled(grad):
            results = [leaves(layer(x)) for _ in range(5)]
        assert len({t.data_ptr() for result in results for t in result}) == 15
        assert all(t._base is None for result in results for t in result)
        results[3][0].detach().zero_()
        assert torch.equal(results[2][0], results[4][0])
    assert len(short_calls) == 6


def test_changes_between_the_passes_are_noticed(short_calls):
    layer, x = tidegate.GRU(D, H), torch.randn(T, B, D, requires_grad=True)
    for _ in range(4):
        y, _ = layer(x)
        with torch.no_grad():
            layer.weight_hh_l0.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()
    assert len(short_calls) == 2


@each_cell
def test_second_derivatives(cell, short_calls):
    layer = tidegate.Recurrent(cell, 2, 3, dtype=torch.float64, batch_first=True)
    x, hx = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True), states_of(layer, 2, grad=True)
    if not isinstance(hx, tuple):
        hx = (hx,)
    hx = tuple(h[..., :3].detach().requires_grad_() for h in hx)

    def call(x, *hx):
        y, state = layer(x, hx[0] if len(hx) == 1 else hx)
        return y, *leaves(state)

    for _ in range(2):
        call(x, *hx)
    assert torch.autograd.gradcheck(call, (x, *hx))
    assert torch.autograd.gradgradcheck(call, (x, *hx))
    assert short_calls


def test_batched_gradients_and_several_backward_passes(short_calls):
    layer, x = tidegate.GRU(D, H, 2), torch.randn(T, B, D, requires_grad=True)
    for _ in range(3):
        y, _ = layer(x)
    several = torch.randn(4, T, B, H)
    batched = torch.autograd.grad(y, x, several, retain_graph=True, is_grads_batched=True)[0]
    one_by_one = [torch.autograd.grad(y, x, d, retain_graph=True)[0] for d in several]
    assert torch.allclose(batched, torch.stack(one_by_one), atol=1e-6)
    assert torch.equal(torch.autograd.grad(y, x, several[0])[0], one_by_one[0])
    assert short_calls


# torch's own forward-mode formulas still script a function, which torch deprecates.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is:DeprecationWarning")
@each_cell
@pytest.mark.parametrize("steps", [1, T])
def test_tangents_of_an_incoming_gradient_are_kept(cell, steps, short_calls):
    layer, x = tidegate.Recurrent(cell, D, H), torch.randn(steps, B, D, requires_grad=True)
    for _ in range(4):
        y, _ = layer(x)
        d = torch.randn_like(y)
        expected = torch.autograd.grad(y, x, d, retain_graph=True)[0]
        with forward_ad.dual_level():
            plain, tangent = forward_ad.unpack_dual(torch.autograd.grad(y, x, forward_ad.make_dual(d, 2 * d))[0])
        assert torch.allclose(plain, expected, atol=1e-5)
        assert torch.allclose(tangent, 2 * expected, atol=1e-5)
    assert short_calls


def test_threads_call_one_layer_side_by_side():
    layer = tidegate.LSTM(D, 96)
    batches = [torch.randn(20, 9, D) for _ in range(6)]
    wrong = []

    def gradients(x: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(layer(x)[0].pow(2).sum(), list(layer.parameters())))

    def call(x: Tensor, expected: list[Tensor]) -> None:
        for _ in range(60):
            if not all(map(torch.equal, gradients(x), expected)):
                wrong.append(x)

    with general_route():
        expected = [gradients(x) for x in batches]
    threads = [threading.Thread(target=call, args=pair) for pair in zip(batches, expected)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_memory_that_is_taken_is_given_back(short_calls):
    layer, x = tidegate.GRU(40, 200), torch.randn(50, 32, 40)
    before = tidegate.memory.usage().in_use
    for _ in range(4):
        layer(x)[0].sum().backward()
    with torch.no_grad():
        for _ in range(4):
            layer(x)
    layer.zero_grad()
    assert tidegate.memory.usage().in_use == before
    assert len(short_calls) == 4


def test_sequences_of_many_lengths_do_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(short_route, "KEYS", 5)
    layer = tidegate.GRU(D, H)
    for _ in range(2):
        for length in range(2, 20):
            layer(torch.randn(length, B, D))
    assert not short_route.known.forms  # none was called again before it was forgotten
    assert len(short_route.known.seen) == 5
    for length in range(2, 20):
        for _ in range(2):
            layer(torch.randn(length, B, D))
    assert len(short_route.known.forms) == 5


def test_bad_arguments_have_the_same_errors():
    layer, x, h = tidegate.GRU(D, H), torch.randn(T, B, D), torch.randn(1, B, H)
    numbers = torch.randint(D, (T, B))
    for _ in range(3):
        layer(x, h), layer(numbers, h), layer(x)
    worse = numbers.clone()
    worse[2, 1] = D
    for arguments in (
        (torch.randn(T, B, D + 1), h), (x, torch.randn(1, 2, H)), (x.double(), h), (x, (h, h)), (worse, h),
        (-1 - numbers, h), (x.tolist(), h), (x[:0], h), (x, h.tolist()), (x, (h,)), (x, [h]), (x, ()), (x, []),
    ):  # fmt: skip
        with pytest.raises(tidegate.TidegateError) as error:
            layer(*arguments)
        with general_route(), pytest.raises(type(error.value)) as expected:
            layer(*arguments)
        assert str(error.value) == str(expected.value)
    layer.weight_hh_l0.untyped_storage().resize_(8)
    with pytest.raises(tidegate.EngineError, match="storage"):
        layer(x, h)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")
@torch.no_grad()
def test_modes_of_torch_take_the_general_route(short_calls):
    layer, x = tidegate.GRU(D, H), torch.randn(T, B, D)
    expected = layer(x)[0]
    for _ in range(2):
        layer(x)
    assert len(short_calls) == 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(layer(x)[0].float(), expected, atol=0.02)
    assert torch.allclose(torch.func.vmap(lambda x: layer(x)[0], in_dims=1, out_dims=1)(x), expected, atol=1e-6)
    assert torch.allclose(torch.func.jvp(lambda x: layer(x)[0], (x,), (x,))[0], expected, atol=1e-6)
    assert torch.allclose(torch.jit.trace(layer, x, check_trace=False)(x)[0], expected, atol=1e-6)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True):
        assert type(layer(x)[0]) is torch._subclasses.FakeTensor
    assert len(short_calls) == 1
    assert torch.equal(torch.compile(layer, backend="eager")(x)[0], expected)


def test_a_planted_stale_address_is_found(monkeypatch):
    """The comparison of this file detects a form that looks up addresses only once."""
    from tidegate.engines.cpu import boundary

    found: dict[int, list[int]] = {}
    addresses = boundary.addresses
    monkeypatch.setattr(boundary, "addresses", lambda ts, es: found.setdefault(id(es), addresses(ts, es))[:])
    layer, first, second = tidegate.GRU(D, H), *torch.randn(2, T, B, D)  # both alive, at addresses of their own
    check(layer, first)
    with pytest.raises(AssertionError):
        check(layer, second)


def test_the_node_is_in_torchs_graph(short_calls):
    layer, x = tidegate.GRU(D, H), torch.randn(T, B, D)
    for _ in range(3):
        y, _ = layer(x)
    assert Recurrence.__name__ in type(y.grad_fn).__name__
    assert len(short_calls) == 1
