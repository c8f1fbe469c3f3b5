"""Conversion of tensors to addresses: every kind of tensor gives right numbers, another engine, or an error that says
why; a kernel never reads or writes outside its arrays."""

from dataclasses import replace

import pytest
import torch
from tests.engines.cpu.calls import EVERY, in_double, leaves, make_call, run
from torch import Tensor
from torch.autograd import forward_ad

import tidegate
from tidegate.engines import choose, cpu, eager
from tidegate.engines.call import Call, Weights
from tidegate.errors import EngineError

pytestmark = pytest.mark.usefixtures("poisoned")
each_cell = pytest.mark.parametrize("cell", ["gru", "reset-before-gru", "peephole-lstm"])


def changed(call: Call, change) -> Call:
    """The call with every floating-point tensor changed, as a leaf."""

    def one(t: Tensor | None) -> Tensor | None:
        return t if t is None or not t.is_floating_point() else change(t.detach()).requires_grad_()

    weights = Weights(*map(one, call.weights.tensors()))  # type: ignore[arg-type]
    return replace(call, x=one(call.x), states=tuple(map(one, call.states)), weights=weights)  # type: ignore[arg-type]


def assert_same(call: Call, expected: Call, tolerance: float = 1e-9) -> None:
    """The engine computes for `call` what it computes for `expected`, gradients included."""
    found, right = run(call), run(expected)
    assert found.keys() == right.keys()
    for name, value in right.items():
        assert torch.allclose(found[name], value, rtol=tolerance, atol=tolerance), name


def pending(t: Tensor) -> Tensor:
    """The same numbers with the negative bit set."""
    return torch._neg_view(-t)


def imaginary(t: Tensor) -> Tensor:
    """The same numbers as the imaginary part of a conjugate: every second number in memory, negated."""
    return torch.complex(torch.randn_like(t), -t).conj().imag


def real(t: Tensor) -> Tensor:
    """The same numbers as the real part of a conjugate."""
    return torch.complex(t, torch.randn_like(t)).conj().real


def transposed(t: Tensor) -> Tensor:
    """The same numbers with the last dimension far apart."""
    return t.movedim(-1, 0).contiguous().movedim(0, -1)


def inside_larger(t: Tensor) -> Tensor:
    """The same numbers as a part of a larger tensor, with gaps between rows and an offset."""
    larger = torch.full([n + 3 for n in t.shape], torch.nan, dtype=t.dtype)
    part = larger[tuple(slice(1, n + 1) for n in t.shape)]
    part.copy_(t)
    return part


FORMS = {f.__name__: f for f in (pending, imaginary, real, transposed, inside_larger)}


@each_cell
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("recompute", [False, True])
def test_every_memory_layout_gives_the_same_results(cell, form, recompute):
    call = in_double(make_call(EVERY[cell], 5, 3, 4, 6, lengths=True, resets=True))
    call = replace(call, recompute=recompute)
    assert_same(changed(call, FORMS[form]), call)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("keep_gates", [False, True])
def test_every_memory_layout_of_cotangents_gives_the_same_results(form, keep_gates):
    call = in_double(make_call(EVERY["lstm"], 5, 3, 4, 6, keep_gates=keep_gates))
    result = cpu.run(call)
    outputs = [result.outputs, *result.states, *result.sequences.values(), *result.gates.values()]
    d = [torch.randn_like(y) for y in outputs]
    inputs = list(leaves(call).values())
    expected = torch.autograd.grad(outputs, inputs, d, retain_graph=True)
    found = torch.autograd.grad(outputs, inputs, [FORMS[form](t) for t in d])
    for a, b in zip(found, expected):
        assert torch.allclose(a, b, rtol=1e-12, atol=1e-12)


@each_cell
def test_tensors_whose_elements_share_memory_are_read(cell):
    """expand() makes dimensions of stride 0."""
    call = in_double(make_call(EVERY[cell], 5, 3, 4, 6))
    x, states = call.x.detach(), [s.detach() for s in call.states]
    for dim in range(3):
        part = x.narrow(dim, 0, 1)
        expanded = replace(call, x=part.expand(x.shape).requires_grad_())
        assert_same(expanded, replace(call, x=part.expand(x.shape).contiguous().requires_grad_()))
    for dim in range(2):
        few = [s.narrow(dim, 0, 1).expand(s.shape) for s in states]
        expanded = replace(call, states=tuple(s.requires_grad_() for s in few))
        assert_same(expanded, replace(call, states=tuple(s.detach().contiguous().requires_grad_() for s in few)))
    windows = torch.randn(4 + 5 * 3, dtype=torch.float64).as_strided((5, 3, 4), (3, 1, 1))
    assert_same(replace(call, x=windows.requires_grad_()), replace(call, x=windows.detach().clone().requires_grad_()))


def test_integers_of_every_form_are_class_indices():
    call = make_call(EVERY["gru"], 5, 3, 4, 6, indexed=True)
    expected = cpu.run(call).outputs
    for x in (call.x.int(), call.x.t().contiguous().t(), torch.stack([call.x, call.x], -1)[..., 0]):
        assert torch.equal(cpu.run(replace(call, x=x)).outputs, expected)
    same = call.x[:1].expand(5, 3)
    assert torch.equal(cpu.run(replace(call, x=same)).outputs, cpu.run(replace(call, x=same.contiguous())).outputs)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
@pytest.mark.parametrize("index", [4, 4_000_000, -1, -4_000_000])
@pytest.mark.parametrize("engine", ["cpu", "eager"])
def test_class_indices_out_of_range_are_an_index_error(dtype, index, engine):
    call = make_call(EVERY["gru"], 5, 3, 4, 6, indexed=True)
    x = call.x.to(dtype).clone()
    x[2, 1] = index
    with pytest.raises(IndexError, match=r"must be in 0\.\.3 .* got .*" if engine == "cpu" else "index out of range"):
        choose.dispatch(replace(call, x=x), engine)


def test_class_indices_changed_before_the_backward_pass_are_an_error():
    call = make_call(EVERY["gru"], 5, 3, 4, 6, indexed=True)
    y = cpu.run(call).outputs.sum()
    call.x.fill_(4_000_000)
    with pytest.raises((IndexError, RuntimeError), match=r"must be in 0\.\.3|modified by an inplace operation"):
        torch.autograd.grad(y, call.weights.w_ih)
    call.x.fill_(0)


def resized(t: Tensor, to: int) -> Tensor:
    t = t.clone()
    t.untyped_storage().resize_(to)
    return t


def part_of_resized(t: Tensor) -> Tensor:
    """As FSDP leaves a parameter: a view into a flat storage of no bytes."""
    flat = torch.zeros(t.numel() + 40)
    part = flat[40:].view(t.shape)
    flat.untyped_storage().resize_(0)
    return part


@pytest.mark.parametrize("change", [lambda t: resized(t, 0), lambda t: resized(t, 8), part_of_resized])
@pytest.mark.parametrize("name", ["x", "state", "w_ih", "w_hh", "b_ih", "b_hh"])
def test_a_storage_without_the_elements_is_an_error(change, name):
    call = make_call(EVERY["gru"], 5, 3, 4, 6)
    if name == "x":
        call = replace(call, x=change(call.x.detach()))
    elif name == "state":
        call = replace(call, states=(change(call.states[0].detach()),))
    else:
        call = replace(call, weights=replace(call.weights, **{name: change(getattr(call.weights, name).detach())}))
    with pytest.raises(EngineError, match=r"the storage of a tensor of shape .* was resized"):
        cpu.run(call)


def test_a_storage_resized_before_the_backward_pass_is_an_error():
    call = make_call(EVERY["gru"], 5, 3, 4, 6)
    y = cpu.run(call).outputs.sum()
    call.weights.w_hh.untyped_storage().resize_(0)
    with pytest.raises(RuntimeError, match=r"storage"):
        torch.autograd.grad(y, call.x)


@pytest.mark.parametrize("name", ["lengths", "resets"])
def test_masks_without_values_are_an_error(name):
    call = make_call(EVERY["gru"], 5, 3, 4, 6, lengths=True, resets=True)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        cpu.run(replace(call, **{name: getattr(call, name).to("meta")}))


def test_any_nonzero_value_is_a_reset():
    call = make_call(EVERY["gru"], 5, 3, 4, 6, resets=True)
    expected = cpu.run(call).outputs
    for dtype in (torch.uint8, torch.int64, torch.float32):
        assert torch.equal(cpu.run(replace(call, resets=call.resets.to(dtype) * 2)).outputs, expected)


# -- tensors that stand for others ------------------------------------------------------------------------------------


class Logged(torch.Tensor):
    """A subclass that only records which functions of torch it went through."""

    seen: list[str] = []  # noqa: RUF012

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        cls.seen.append(function.__name__)
        return super().__torch_function__(function, types, args, kwargs or {})


def test_a_tensor_subclass_runs_by_operations_that_it_can_intercept():
    call = make_call(EVERY["gru"], 5, 3, 4, 6)
    Logged.seen.clear()
    y = choose.dispatch(replace(call, x=call.x.detach().as_subclass(Logged)), "eager").outputs
    assert type(y) is Logged
    assert "linear" in Logged.seen
    assert not [v for v in choose.why(replace(call, x=y)) if v.chosen and v.engine == "cpu"]
    assert torch.allclose(y.as_subclass(Tensor), cpu.run(call).outputs, atol=1e-6)


def test_a_tensor_of_zeros_without_memory_is_computed_by_operations():
    call = make_call(EVERY["gru"], 5, 3, 4, 6)
    y = choose.dispatch(replace(call, states=(torch._efficientzerotensor((3, 6)),))).outputs
    assert torch.allclose(y, cpu.run(replace(call, states=(torch.zeros(3, 6),))).outputs, atol=1e-6)


def test_a_gradient_of_zeros_without_memory_is_computed_by_operations():
    call = in_double(make_call(EVERY["gru"], 5, 3, 4, 6))
    y = cpu.run(call).outputs
    d = torch._efficientzerotensor(y.shape, dtype=y.dtype)
    assert not torch.autograd.grad(y, call.x, d)[0].any()


def test_functionalized_programs_compute_the_same():
    call = make_call(EVERY["gru"], 5, 3, 4, 6)
    x = call.x.detach()
    y = torch.func.functionalize(lambda x: choose.dispatch(replace(call, x=x)).outputs)(x)
    assert torch.allclose(y, cpu.run(call).outputs, atol=1e-6)


# -- gradients that are not plain -------------------------------------------------------------------------------------


@each_cell
@pytest.mark.parametrize("options", [{}, {"recompute": True}, {"lengths": True, "resets": True}])
def test_gradients_for_a_batch_of_cotangents_at_once(cell, options):
    call = in_double(make_call(EVERY[cell], 5, 3, 4, 6, **options))
    result, inputs = cpu.run(call), list(leaves(call).values())
    outputs = [result.outputs, *result.states]
    d = [torch.randn(4, *y.shape, dtype=y.dtype) for y in outputs]
    batched = torch.autograd.grad(outputs, inputs, d, is_grads_batched=True, retain_graph=True)
    mapped = torch.vmap(lambda *d: torch.autograd.grad(outputs, inputs, d, retain_graph=True))(*d)
    for i in range(4):
        expected = torch.autograd.grad(outputs, inputs, [t[i] for t in d], retain_graph=True)
        for found in (batched, mapped):
            for a, b in zip(found, expected):
                assert torch.allclose(a[i], b, rtol=1e-9, atol=1e-12)


def test_the_vectorized_jacobian_and_hessian_of_torch():
    layer = tidegate.GRU(2, 3, dtype=torch.float64, engine="cpu")
    x = torch.randn(4, 2, 2, dtype=torch.float64)

    def f(x):
        return layer(x)[0]

    vectorized = torch.autograd.functional.jacobian(f, x, vectorize=True)
    assert torch.allclose(vectorized, torch.autograd.functional.jacobian(f, x), rtol=1e-9, atol=1e-12)

    def loss(x):
        return f(x).square().sum()

    vectorized = torch.autograd.functional.hessian(loss, x, vectorize=True)
    assert torch.allclose(vectorized, torch.autograd.functional.hessian(loss, x), rtol=1e-9, atol=1e-12)


@each_cell
def test_gradcheck_also_of_batched_gradients(cell):
    call = in_double(make_call(EVERY[cell], 3, 2, 2, 3))

    def f(x, *states):
        result = cpu.run(replace(call, x=x, states=states))
        return result.outputs, *result.states

    assert torch.autograd.gradcheck(f, (call.x, *call.states), check_batched_grad=True)
    assert torch.autograd.gradgradcheck(f, (call.x, *call.states), check_batched_grad=True)


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_gradient_with_a_tangent_propagates_the_tangent():
    """Forward mode over reverse mode: J^T v is linear in v, so its tangent is J^T applied to the tangent of v."""
    call = in_double(make_call(EVERY["gru"], 5, 3, 4, 6))
    y = cpu.run(call).outputs
    v, t = torch.randn_like(y), torch.randn_like(y)
    with forward_ad.dual_level():
        (d,) = torch.autograd.grad(y, call.x, forward_ad.make_dual(v, t), retain_graph=True)
        tangent = forward_ad.unpack_dual(d).tangent
    assert tangent is not None
    assert torch.allclose(tangent, torch.autograd.grad(y, call.x, t)[0], rtol=1e-9, atol=1e-12)


def test_gradients_when_an_input_depends_on_a_weight():
    """Each argument of the call has a gradient of its own, also if torch's graph leads from one to another."""
    call = in_double(make_call(EVERY["gru"], 5, 3, 6, 6))
    found = []
    for engine in (cpu, eager):
        x = call.weights.w_hh[:3].expand(5, 3, 6) * 0.5
        y = engine.run(replace(call, x=x)).outputs
        (first,) = torch.autograd.grad(y.square().sum(), call.weights.w_hh, create_graph=True)
        found.append((first, *torch.autograd.grad(first.square().sum(), call.weights.w_hh)))
    for a, b in zip(*found):
        assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)
