"""Kernels in a chain, and the small ones between those of a training step, against torch's functions."""

import pytest
import torch

from tidegate.engines.cpu import chain_calls, workspace
from tidegate.engines.cpu.chain import Chain
from tidegate.engines.cpu.launch_plan import REAL
from tidegate.engines.cpu.update import NormCall

DTYPES = [torch.float32, torch.float64]


@pytest.fixture(params=[1, 2, 3])
def threads(request, monkeypatch):
    """So many threads, for the smallest matrices too."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    monkeypatch.setattr(chain_calls, "SMALL", 0)
    yield request.param
    torch.set_num_threads(before)


def poisoned(*shape, dtype):
    """Memory of NaN with more behind it, by which writing too far is found."""
    memory = torch.full((torch.Size(shape).numel() + 64,), float("nan"), dtype=dtype)
    return memory[:-64].view(shape), memory[-64:]


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 3), (16, 16), (17, 33), (48, 47), (3, 130)])
def test_the_small_kernels_are_torchs_functions(rows, columns, dtype):
    a, b = torch.randn(rows, columns + 2, dtype=dtype)[:, 1:-1], torch.randn(rows, columns, dtype=dtype)
    product, beyond_product = poisoned(rows, columns, dtype=dtype)
    transpose, beyond_transpose = poisoned(columns, rows, dtype=dtype)
    zeros, beyond_zeros = poisoned(rows, columns, dtype=dtype)
    calls = [chain_calls.multiply(a, b, product), chain_calls.transpose(b, transpose), chain_calls.zero(zeros)]
    assert Chain(calls, REAL[dtype]).run()
    assert torch.equal(product, a * b)
    assert torch.equal(transpose, b.t())
    assert not zeros.any()
    assert all(t.isnan().all() for t in (beyond_product, beyond_transpose, beyond_zeros))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("size", [3, 1])
def test_a_product_may_be_in_place_with_rows_apart(size):
    rows = torch.randn(4 * size, 20)
    wide, part = rows.view(4, size, 20), rows[:, :17].unflatten(0, (4, size))
    before, factors = wide.clone(), torch.randn(4, size, 17)
    assert Chain([chain_calls.multiply(part, factors, part)], "float").run()
    assert torch.equal(part, before[..., :17] * factors)
    assert torch.equal(wide[..., 17:], before[..., 17:])


def test_kernels_run_in_turn_and_again_with_the_same_barriers(threads, monkeypatch):
    monkeypatch.setattr("tidegate.engines.cpu.update.SMALL", 0)
    gradients = [torch.randn(5000), torch.randn(7)]
    norm = NormCall.of(gradients)
    chain = Chain([norm.kernel_call, chain_calls.zero(gradients[0]), norm.kernel_call], "float")
    assert chain.pace.team == threads
    for _ in range(20):
        gradients[0].normal_()
        assert chain.run()
        assert norm.norm.value == pytest.approx(float(gradients[1].norm()), rel=1e-6)


@pytest.mark.parametrize(("wrong", "classes", "ignored", "fine"), [
    (-1, 9, 0, False), (9, 9, 0, False), (2**40, 9, 0, False), (-100, 9, -100, True), (-100, 9, 0, False),
    (8, 9, 0, True), (0, 1, 0, False),
])  # fmt: skip
def test_nothing_runs_after_a_failed_check(wrong, classes, ignored, fine):
    index, after = torch.randint(min(9, classes), (7, 5)), torch.ones(20)
    index[3, 2] = wrong
    if classes == 1:
        index[6, 4] = 1
    chain = Chain([chain_calls.check(index.numel(), classes, ignored), chain_calls.zero(after)], "float")
    place = list(chain.calls[0].kernel.arguments).index("index")
    for indices, found in ((index, fine), (torch.zeros(7, 5, dtype=torch.int64), True), (index, fine)):
        after.fill_(1)
        chain.arrays[0][place] = indices.data_ptr()
        assert chain.run() is found
        assert bool(after.any()) is not found


def test_the_memory_of_a_chain_goes_back_to_the_pool():
    before = workspace.pool.in_use()
    big = NormCall.of([torch.randn(10)]).kernel_call._replace(scratch=1 << 20)
    chain = Chain([big], "float")
    assert workspace.pool.in_use() > before
    del chain
    assert workspace.pool.in_use() == before
