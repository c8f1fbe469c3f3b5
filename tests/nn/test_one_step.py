"""The short route for calls of one step: the bits of the general route, and every change between calls is noticed."""

import gc
import sys
import threading
from contextlib import contextmanager
from types import FunctionType, ModuleType

import pytest
import torch
from tests.engines.cpu.memory import poisoned
from torch import Tensor, nn
from torch.nn.utils import parametrize

import tidegate
from tidegate.cells import CELLS
from tidegate.engines.cpu import workspace
from tidegate.nn import short_route

D, H = 5, 7


class Own(tidegate.Cell):
    """A leaky unit with a vector, and a second state that no product reads."""

    gates, state, vectors = ("g", "k"), ("h", "s"), ("p",)

    def equations(a, U, v, h, s):
        k = tidegate.sigmoid(a.k + v.p * s)
        g = tidegate.tanh(a.g + U.g(h))
        return ((1 - k) * h + k * g, 0.5 * s + h), (g, k)


each_cell = pytest.mark.parametrize("cell", [*CELLS.values(), Own], ids=lambda cell: cell.__name__)


@pytest.fixture(autouse=True)
def no_form_is_known(monkeypatch):
    monkeypatch.setattr(short_route.known, "forms", {})
    monkeypatch.setattr(short_route.known, "seen", {})


@pytest.fixture
def short_calls(monkeypatch) -> list:
    """The forms of the calls that took the short route."""
    taken: list = []
    run = short_route.Known.run

    def counted(known, given):
        result = run(known, given)
        if result is not None:
            taken.append(given)
        return result

    monkeypatch.setattr(short_route.Known, "run", counted)
    return taken


def leaves(tree) -> list[Tensor]:
    return torch.utils._pytree.tree_leaves(tree)


@contextmanager
def general_route():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(short_route.Known, "run", lambda *_: None)
        patch.setattr(short_route.Known, "add", lambda *_: None)
        yield


def general(module: nn.Module, *arguments) -> list[Tensor]:
    """What the general route returns."""
    with general_route(), torch.no_grad():
        return leaves(module(*arguments))


def random_state(module: nn.Module, *size: int):
    states = tuple(torch.randn(*size, H) for _ in module.cell.state)
    return states if len(states) > 1 else states[0]


def assert_same(module: nn.Module, *arguments) -> None:
    expected = general(module, *arguments)
    with torch.no_grad():
        found = leaves(module(*arguments))
    assert all(map(torch.equal, found, expected))
    assert [t.shape for t in found] == [t.shape for t in expected]


@each_cell
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_cell_has_the_bits_of_the_general_route(cell, bias, dtype, short_calls):
    module = tidegate.RecurrentCell(cell, D, H, bias=bias, dtype=dtype)
    calls = 0
    for batch in ((), (1,), (3,), (20,)):
        for x in (torch.randn(*batch, D, dtype=dtype), torch.randint(D, batch)):
            for hx in (None, torch.utils._pytree.tree_map(lambda t: t.to(dtype), random_state(module, *batch))):
                for _ in range(3):
                    with poisoned():
                        assert_same(module, x, hx)
                    calls += 1
    assert len(short_calls) == calls * 2 // 3  # the first call of each form takes the general route


@each_cell
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("batch_first", [False, True])
def test_a_layer_has_the_bits_of_the_general_route(cell, layers, batch_first, short_calls):
    module = tidegate.Recurrent(cell, D, H, layers, batch_first=batch_first)
    calls = 0
    for batch in ((1, 1), (4, 1) if batch_first else (1, 4), (1,)):
        B = batch[0 if batch_first else 1 :][:1] if len(batch) == 2 else ()
        for x in (torch.randn(*batch, D), torch.randint(D, batch)):
            for hx in (None, random_state(module, layers, *B)):
                for _ in range(3):
                    with poisoned():
                        assert_same(module, x, hx)
                    calls += 1
    assert len(short_calls) == calls * 2 // 3


def test_calls_that_take_the_general_route(short_calls):
    for module, x in (
        (tidegate.LSTM(D, H, proj_size=2), torch.randn(1, 3, D)),
        (tidegate.GRU(D, H, engine="eager"), torch.randn(1, 3, D)),
        (tidegate.GRU(D, H).half(), torch.randn(1, 3, D).half()),
        (tidegate.GRU(D, H, recompute=True), torch.randn(9, 3, D)),
        (tidegate.GRUCell(D, H), torch.tensor([0, 1, 2])),
    ):
        for _ in range(3):
            module(x)
    layer = tidegate.GRU(D, H)
    for _ in range(3):
        layer(torch.randn(1, 3, D), lengths=[1, 0, 1])
        layer(torch.randn(1, 3, D), resets=torch.ones(3, 1, dtype=torch.bool))
    assert not short_calls


@torch.no_grad()
def test_weights_are_never_stale(short_calls):
    """In each way in which weights can change between two steps."""
    cell, x, h = tidegate.GRUCell(D, H), torch.randn(3, D), torch.randn(3, H)
    cell(x, h)

    def replace(new: Tensor) -> None:
        cell.weight_hh = nn.Parameter(new)

    def set_data(new: Tensor) -> None:
        cell.weight_hh.data = new

    def write_numpy(new: Tensor) -> None:
        cell.weight_hh.numpy()[:] = new.numpy()

    changes = (
        lambda new: cell.weight_hh.copy_(new),
        lambda new: cell.weight_hh.data.copy_(new),
        lambda new: cell.load_state_dict(cell.state_dict() | {"weight_hh": new}),
        lambda new: cell.weight_hh.set_(new),
        lambda new: cell.weight_hh.untyped_storage().copy_(new.untyped_storage()),
        replace, set_data, write_numpy,
    )  # fmt: skip
    for change in changes:
        for _ in range(2):
            new = torch.randn(3 * H, H)
            change(new)
            expected = tidegate.GRUCell(D, H)
            expected.load_state_dict(cell.state_dict() | {"weight_hh": new})
            assert torch.equal(cell(x, h), general(expected, x, h)[0])
    assert len(short_calls) == 2 * len(changes)


@torch.no_grad()
def test_weights_of_another_layout_take_the_general_route(short_calls):
    cell, x, h = tidegate.RNNCell(H, H), torch.randn(3, H), torch.randn(3, H)
    cell(x, h)
    cell.weight_hh.data = torch.randn(H, H).t()
    assert_same(cell, x, h)
    cell.weight_hh.data = torch.randn(H, 2 * H)[:, ::2]
    assert_same(cell, x, h)
    cell.weight_hh.data = torch.randn(H, H, dtype=torch.complex64).conj().imag
    assert_same(cell, x, h)
    assert not short_calls
    cell.weight_hh.data = torch.randn(H + 1, H)
    with pytest.raises(tidegate.TidegateError):
        cell(x, h)


@torch.no_grad()
def test_computed_weights_take_the_general_route(short_calls):
    class Double(nn.Module):
        def forward(self, w):
            return 2 * w

    for name in ("weight_hh", "bias_ih"):
        cell, x = tidegate.GRUCell(D, H), torch.randn(3, D)
        parametrize.register_parametrization(cell, name, Double())
        assert_same(cell, x)
        assert_same(cell, x)
    cell = tidegate.RecurrentCell(tidegate.cells.GRU, D, H, bias=False)
    cell(x)
    cell.bias_ih = torch.randn(3 * H)
    assert_same(cell, x)
    cell = tidegate.GRUCell(D, H, bias=False)
    cell.bias_ih, cell.bias_hh = nn.Parameter(torch.randn(3 * H)), nn.Parameter(torch.randn(3 * H))
    assert not short_calls
    cell(x)
    assert_same(cell, x)
    assert len(short_calls) == 1


def test_where_a_gradient_is_required_there_is_a_graph(short_calls):
    cell, x = tidegate.LSTMCell(D, H), torch.randn(3, D)
    for _ in range(3):
        with torch.no_grad():
            assert not any(t.requires_grad for t in cell(x))
        assert all(t.requires_grad for t in cell(x))
    assert len(short_calls) == 4
    cell.requires_grad_(False)
    for _ in range(2):
        assert not cell(x)[0].requires_grad
    for _ in range(2):
        assert cell(x.clone().requires_grad_())[0].requires_grad
        assert cell(x, (torch.randn(3, H).requires_grad_(), torch.randn(3, H)))[0].requires_grad
    assert len(short_calls) == 7


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")
@torch.no_grad()
def test_modes_of_torch_take_the_general_route(short_calls):
    cell, x = tidegate.GRUCell(D, H), torch.randn(3, D)
    expected = cell(x)
    assert torch.equal(cell(x), expected)
    assert len(short_calls) == 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.allclose(cell(x), expected, atol=0.02)  # the products may be of bfloat16 numbers
    assert torch.allclose(torch.func.vmap(cell)(x), expected, atol=1e-6)
    assert torch.allclose(torch.func.jvp(cell, (x,), (x,))[0], expected, atol=1e-6)
    assert torch.allclose(torch.jit.trace(cell, x, check_trace=False)(x), expected, atol=1e-6)
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True):
        assert type(cell(x)) is torch._subclasses.FakeTensor
    assert len(short_calls) == 1
    with torch.inference_mode():
        first, second = cell(x), cell(x)
        assert first.is_inference()
        assert second.is_inference()
        assert torch.equal(first, expected)
    assert len(short_calls) == 2
    weights = {name: 2 * p for name, p in cell.named_parameters()}
    assert not torch.equal(torch.func.functional_call(cell, weights, (x,)), expected)
    assert torch.equal(cell(x), expected)
    assert torch.equal(torch.compile(cell, backend="eager")(x), expected)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
@torch.no_grad()
def test_bad_arguments_have_the_same_errors():
    cell, x, h = tidegate.GRUCell(D, H), torch.randn(3, D), torch.randn(3, H)
    numbers = torch.tensor([0, D - 1, 2])
    for _ in range(2):
        cell(x, h), cell(numbers, h), cell(x)
    for arguments in (
        (torch.randn(3, D + 1), h), (x, torch.randn(2, H)), (x.double(), h), (x, (h, h)), (x.to_sparse_csr(), h),
        (torch.tensor([0, D, 1]), h), (torch.tensor([-1, 0, 1]), h), (x.tolist(), h), (x, h.tolist()), (x, "h"),
        (x, (h,)), (x, [h]), (x, ()), (x, []),
    ):  # fmt: skip
        with pytest.raises(tidegate.TidegateError) as error:
            cell(*arguments)
        with general_route(), pytest.raises(type(error.value)) as expected:
            cell(*arguments)
        assert str(error.value) == str(expected.value)
    cell.weight_hh.untyped_storage().resize_(8)
    with pytest.raises(tidegate.EngineError, match="storage"):
        cell(x, h)


@torch.no_grad()
def test_results_have_memory_of_their_own(short_calls):
    layer, x, h = tidegate.LSTM(D, H, 2), torch.randn(1, 3, D), (torch.randn(2, 3, H), torch.randn(2, 3, H))
    results = [leaves(layer(x, h)) for _ in range(4)]
    assert len({t.data_ptr() for result in results for t in result}) == 12
    assert all(t._base is None for result in results for t in result)
    results[1][0].zero_()
    assert torch.equal(results[2][0], results[3][0])
    assert len(short_calls) == 3


@torch.no_grad()
def test_tensors_with_other_strides_are_other_forms(short_calls):
    cell = tidegate.GRUCell(D, H)
    wide, states = torch.randn(4, 3, D), torch.randn(3, 2 * H)
    for x in (wide[1], wide[:, 1][:3], wide[1].t().contiguous().t()):
        for h in (states[:, :H], states[:, H:].clone(), states[:, ::2], states[:1, :H].expand(3, H)):
            for _ in range(2):
                assert_same(cell, x, h)
    assert short_calls


def test_threads_step_side_by_side():
    cell = tidegate.LSTMCell(D, H)
    inputs = [torch.randn(2, D) for _ in range(8)]
    wrong = []

    @torch.no_grad()
    def run(x: Tensor, expected: list[Tensor]) -> None:
        for _ in range(300):
            if not all(map(torch.equal, cell(x), expected)):
                wrong.append(x)

    threads = [threading.Thread(target=run, args=(x, general(cell, x))) for x in inputs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@torch.no_grad()
def test_the_number_of_forms_is_bounded(monkeypatch):
    monkeypatch.setattr(short_route, "KEYS", 3)
    cell = tidegate.GRUCell(D, H)
    for batch in range(1, 9):
        cell(torch.randn(batch, D))
    assert len(short_route.known.forms) == 3
    wide = torch.randn(5, 400)
    for width in range(H, 20):
        cell(wide[:, :D], torch.randn(5, width)[:, :H])
    assert max(map(len, short_route.known.forms.values())) == short_route.FORMS


def bytes_held(form: object) -> int:
    """By the tensors and the memory of the engine that the form refers to."""
    found: dict[int, object] = {}
    reached = [form]
    while reached:
        one = reached.pop()
        if id(one) not in found and not isinstance(one, (type, ModuleType, FunctionType)):
            found[id(one)] = one
            reached += gc.get_referents(one)
    tensors = [t.untyped_storage().nbytes() for t in found.values() if isinstance(t, Tensor)]
    return sum(tensors) + sum(m.size for m in found.values() if isinstance(m, workspace.Memory))


@pytest.mark.parametrize("grad", [False, True])
def test_a_form_holds_little_memory(grad, short_calls):
    """Else a program whose batches have many sizes would grow by the memory of a call for each of them."""
    B, H = 700, 96
    with torch.set_grad_enabled(grad):
        for module, T in ((tidegate.LSTMCell(D, H), ()), (tidegate.GRU(D, H), (1,)), (tidegate.LSTM(D, H, 2), (3,))):
            x = torch.randn(*T, B, D)
            for _ in range(4):
                results = leaves(module(x))
                if grad:
                    torch.stack([y.sum() for y in results]).sum().backward()
    forms = [form for forms in short_route.known.forms.values() for form in forms]
    assert len(forms) == 3
    assert len(short_calls) == 3 + 3 + 2
    assert max(map(bytes_held, forms)) < 1 << 16


def test_threads_can_add_forms_side_by_side(monkeypatch):
    monkeypatch.setattr(short_route, "KEYS", 3)
    table: dict[tuple, None] = {}
    errors = []

    def add(thread: int) -> None:
        try:
            for k in range(50_000):
                short_route.entry(table, (thread, k), None)
        except RuntimeError as error:
            errors.append(error)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=add, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not errors


@torch.no_grad()
def test_a_tensor_given_twice_takes_the_general_route_and_leaves_no_form(short_calls):
    layer, x, h = tidegate.LSTM(D, H), torch.randn(1, 3, D), torch.randn(1, 3, H)
    for _ in range(3):
        assert_same(layer, x, (h, h))
    assert not short_calls
    assert not short_route.known.forms


@torch.no_grad()
def test_states_can_be_a_list(short_calls):
    cell, x = tidegate.LSTMCell(D, H), torch.randn(3, D)
    for _ in range(3):
        assert_same(cell, x, [torch.randn(3, H), torch.randn(3, H)])
    assert len(short_calls) == 2
