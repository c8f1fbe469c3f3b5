"""bfloat16 numbers in memory: how kernels read and write them, and calls whose tensors they are."""

import ctypes
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.engines.cpu.calls import EVERY, KINDS, errors, leaves, make_call, outputs
from tests.engines.cpu.memory import fenced, fenced_take, poisoned
from tests.engines.cpu.test_pairs import U
from torch import Tensor

from tidegate.engines import cpu
from tidegate.engines.call import Call, Weights
from tidegate.engines.cpu import bfloats, kernels, launch, launch_plan, runtime, stored, target
from tidegate.engines.cpu.bfloats import BFloats
from tidegate.engines.cpu.vector import Code, Ptr
from tidegate.errors import EngineError

SIZES = [(1, 1, 1, 1), (1, 3, 16, 33), (6, 5, 4, 17), (3, 33, 48, 16), (2, 9, 35, 70)]
HALF = torch.bfloat16

needs_reading = pytest.mark.skipif(
    not getattr(target.host(), "pairs", False) or target.host().matrix,  # type: ignore[union-attr]
    reason="needs a processor with AVX512-BF16 and without a matrix unit",
)


# -- numbers ----------------------------------------------------------------------------------------------------------


def library() -> runtime.Library:
    """widen(bfloat16 numbers, float32 numbers, count) and round(float32 numbers, bfloat16 numbers, count)."""
    code = Code(kernels.here(), "float")
    for name, source_type, target_type in (("widen", BFloats, Ptr), ("round", Ptr, BFloats)):
        with code.function(name, "ppi", public=True) as (a, b, count):
            source, to, L = source_type(code, a.v), target_type(code, b.v), code.lanes
            with code.loop(0, count // L) as g:
                to.store(source.load(g * L), g * L)
            mask = code.first_lanes(count % L)
            to.store(source.load(count // L * L, mask), count // L * L, mask)
    module, machine = runtime.optimize(str(code.module), code.target)
    return runtime.Library(machine.emit_object(module), code.target, {})


def converted(made: runtime.Library, name: str, source: Tensor, kind: torch.dtype) -> Tensor:
    source, found = fenced(source), fenced(torch.full(source.shape, torch.nan, dtype=kind))
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)(made[name])
    function(source.data_ptr(), found.data_ptr(), len(source))
    return found


def check_rounding(made: runtime.Library) -> None:
    random = np.random.default_rng(0)
    bits = random.integers(0, 2**32, 100_003, np.uint32, endpoint=False)  # of every size, also below 2^-126
    ties = np.arange(0x8000, 2**32, 0x8_8000, np.uint32)
    for row in (bits, ties, ties + 1, ties - 1):
        x = torch.from_numpy(row.view(np.float32).copy())
        found, expected = converted(made, "round", x, HALF), x.bfloat16()
        number = ~x.isnan()
        assert torch.equal(found[number].view(torch.int16), expected[number].view(torch.int16)), "rounding"
        assert found[~number].isnan().all()


def test_every_number_is_widened_exactly():
    x = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(HALF)[:-3]
    found = converted(library(), "widen", x, torch.float32)
    assert torch.equal(found.view(torch.int32), x.view(torch.int16).to(torch.int32) << 16)


def test_numbers_are_rounded_to_nearest_and_ties_to_even():
    check_rounding(library())


def test_the_check_detects_numbers_that_are_truncated(monkeypatch):
    def upper(value):
        code, kind = value.code, bfloats.ir.VectorType(bfloats.I16, value.code.lanes)
        return code.b.trunc(code.b.lshr(value.as_bits(), code.bit_vector(16)), kind)

    monkeypatch.setattr(bfloats, "narrowed", upper)
    with pytest.raises(AssertionError, match="rounding"):
        check_rounding(library())


# -- calls ------------------------------------------------------------------------------------------------------------


def of_type(call: Call, kind: torch.dtype) -> Call:
    """The same call with tensors of another type."""

    def convert(t: Tensor | None) -> Tensor | None:
        return t if t is None or not t.is_floating_point() else t.detach().to(kind).requires_grad_()

    weights = Weights(*map(convert, call.weights.tensors()))
    return replace(call, x=convert(call.x), states=tuple(map(convert, call.states)), weights=weights)


def results(call: Call) -> dict[str, Tensor]:
    """Outputs, and gradients of a random sum of them, by name; the sum has the same bfloat16 weights for every type."""
    found, inputs = outputs(cpu.run(call)), leaves(call)
    random = torch.Generator().manual_seed(3)
    d = [torch.randn(y.shape, generator=random).bfloat16().to(y.dtype) for y in found.values()]
    gradients = torch.autograd.grad(list(found.values()), list(inputs.values()), d)
    return {n: y.detach() for n, y in found.items()} | {f"d {n}": g for n, g in zip(inputs, gradients)}


def check_rounded_once(call: Call) -> None:
    """Results are those of float32 tensors with the same numbers, rounded."""
    found, exact = results(call), results(replace(of_type(call, torch.float32), precision="medium"))
    assert found.keys() == exact.keys()
    for what, y in found.items():
        assert y.dtype is HALF
        assert torch.equal(y, exact[what].to(HALF)), what


@needs_reading
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", EVERY)
def test_results_are_those_of_float32_tensors_rounded_once(name, kind, monkeypatch):
    monkeypatch.setattr(stored, "converted", None)  # nothing is converted beforehand
    for sizes in SIZES:
        check_rounded_once(of_type(make_call(EVERY[name], *sizes, **KINDS[kind]), HALF))


@needs_reading
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("name", ["gru", "three-stages"])
def test_columns_of_class_indices_are_read_where_they_lie(name):
    call = of_type(make_call(EVERY[name], 2, 3, 200, 21, indexed=True), HALF)
    check_rounded_once(call)
    assert launch_plan.direct(launch.shape_of(cpu.resolved(call)))


LAYOUTS = {
    "sequences first": lambda t: t.transpose(0, t.dim() // 2).contiguous().transpose(0, t.dim() // 2),
    "every second number": lambda t: torch.stack([t, t + 1], -1)[..., 0],
    "inside an odd row": lambda t: torch.cat([t, t[..., :1]], -1)[..., : t.shape[-1]],
    "from the second number on": lambda t: torch.cat([t[..., :1], t], -1)[..., 1:],
    "negated": lambda t: torch._neg_view(-t),
    "fenced": fenced,
}


@needs_reading
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sizes", [(4, 3, 32, 16), (5, 2, 7, 19), (1, 1, 16, 32), (3, 1, 16, 5)])
def test_tensors_may_have_any_layout_in_memory(layout, sizes):
    call = of_type(make_call(EVERY["lstm"], *sizes), HALF)

    def changed(t: Tensor | None) -> Tensor | None:
        return None if t is None else LAYOUTS[layout](t.detach()).requires_grad_()

    other = replace(
        call, x=changed(call.x), states=tuple(map(changed, call.states)),
        weights=Weights(*map(changed, call.weights.tensors())),
    )  # fmt: skip
    expected, found = results(call), results(other)
    assert all(torch.equal(found[what], expected[what]) for what in expected)
    y = cpu.run(other).outputs
    d = LAYOUTS[layout](torch.randn(y.shape).bfloat16())
    found = torch.autograd.grad(y, list(leaves(other).values()), d)
    expected = torch.autograd.grad(cpu.run(call).outputs, list(leaves(call).values()), d.clone().contiguous())
    assert all(map(torch.equal, found, expected))


@needs_reading
@pytest.mark.parametrize("kind", ["plain", "ragged reverse", "class indices"])
def test_nothing_is_read_or_written_beyond_the_tensors(kind):
    with poisoned(fenced_take):
        for sizes in SIZES:
            call = of_type(make_call(EVERY["gru"], *sizes, **KINDS[kind]), HALF)

            def inside(t: Tensor | None) -> Tensor | None:
                return t if t is None or not t.is_floating_point() else fenced(t.detach()).requires_grad_()

            weights = Weights(*map(inside, call.weights.tensors()))
            check_rounded_once(replace(call, x=inside(call.x), states=tuple(map(inside, call.states)), weights=weights))


@needs_reading
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("name", ["gru", "lstm", "three-stages"])
def test_bits_depend_neither_on_threads_nor_on_the_batch(name, threads, monkeypatch):
    monkeypatch.setattr(launch_plan, "SMALL_CALL", 0)
    monkeypatch.setattr(launch_plan, "SMALL_STEP", 0)
    launch_plan.forward_launch.cache_clear()
    launch_plan.backward_launch.cache_clear()
    for sizes in [(5, 37, 32, 50), (4, 3, 20, 100)]:
        call, found = of_type(make_call(EVERY[name], *sizes), HALF), []
        for n in (1, 2, 3):
            threads(n)
            found.append(results(call))
        assert all(torch.equal(found[0][what], other[what]) for other in found[1:] for what in other)
        with torch.no_grad():
            few = replace(call, x=call.x[:, 1:3], states=tuple(s[1:3] for s in call.states))
            assert torch.equal(cpu.run(few).outputs, found[0]["outputs"][:, 1:3])
    launch_plan.forward_launch.cache_clear()
    launch_plan.backward_launch.cache_clear()


@needs_reading
@pytest.mark.usefixtures("poisoned")
@pytest.mark.parametrize("name", EVERY)
def test_inference_has_the_bits_of_training(name):
    for sizes in SIZES:
        call = of_type(make_call(EVERY[name], *sizes), HALF)
        with torch.no_grad():
            found = outputs(cpu.run(call))
        expected = outputs(cpu.run(call))
        assert all(torch.equal(found[what], expected[what]) for what in expected)


@needs_reading
@pytest.mark.parametrize("name", [name for name in EVERY if name not in ("rnn-relu", "three-stages")])
def test_errors_against_float64_are_those_of_eight_bits(name):
    # As with float32 tensors at the precision medium, with the rounding of the results in addition.
    for size in ((5, 18, 35, 70), (20, 5, 16, 33)):
        for what, error in errors(of_type(make_call(EVERY[name], *size), HALF)).items():
            assert error <= (5 * U if what.startswith("d ") else 3 * U), f"{what} at {size}: {error}"


@needs_reading
def test_outputs_may_be_changed_in_place_before_the_backward_pass():
    call = of_type(make_call(EVERY["gru"], 4, 3, 5, 18), HALF)
    expected = torch.autograd.grad(cpu.run(call).outputs.sum(), list(leaves(call).values()))
    y = cpu.run(call).outputs
    total = y.sum()
    y.detach().zero_()
    assert all(map(torch.equal, torch.autograd.grad(total, list(leaves(call).values())), expected))


def test_numbers_are_converted_where_the_processor_cannot_multiply_them(monkeypatch):
    call = of_type(make_call(EVERY["gru"], 4, 3, 5, 18), HALF)
    without = replace(kernels.here(), pairs=False)
    monkeypatch.setattr(kernels, "here", lambda: without)
    assert not cpu.reads(cpu.resolved(call))
    found, exact = results(call), results(of_type(call, torch.float32))
    assert all(torch.equal(found[what], exact[what].to(HALF)) for what in exact)


def test_kernels_are_not_started_on_tensors_that_they_do_not_read():
    call = of_type(make_call(EVERY["gru"], 4, 3, 5, 18), HALF)
    with pytest.raises(EngineError, match=r"the kernels read torch\.bfloat16 tensors only where"):
        launch.shape_of(call)


@pytest.mark.parametrize("name", ["gru", "three-stages"])
def test_kernels_compile_on_every_machine_and_read_bfloat16_numbers_only_from_the_caller(name):
    step, products = make_call(EVERY[name], 1, 1, 1, 1).step, kernels.Products(kernels.Form.PAIRS, kernels.Form.PAIRS)
    for ragged in (False, True):
        form = {"ragged": ragged, "traced": False, "products": products, "stored": "bfloat"}
        for made in (
            kernels.forward_program(step, target.BF16, "float", save=True, **form),
            kernels.backward_program(step, target.BF16, "float", **form),
        ):
            assert "x i16>" in str(made.module)
            assert runtime.assembly(str(made.module), target.BF16)
