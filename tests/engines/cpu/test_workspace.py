"""Memory from the pool: reused, never shared, bounded, counted and given back."""

import gc
import mmap
import os

import pytest
import torch

from tidegate.engines.cpu import workspace

SHAPE = (1 << 18,)


def test_memory_is_released_when_its_last_tensor_is_deleted():
    workspace.release()
    x = workspace.empty(SHAPE, torch.float32)
    view, at = x[5:], x.data_ptr()
    del x
    gc.collect()
    assert workspace.empty(SHAPE, torch.float32).data_ptr() != at
    del view
    gc.collect()
    again = {workspace.empty(SHAPE, torch.float32).data_ptr() for _ in range(2)}
    assert at in again


def test_two_tensors_never_share_memory(monkeypatch):
    monkeypatch.setattr(workspace, "pool", workspace.Pool(workspace.LIMIT))
    tensors = [workspace.empty(SHAPE, torch.float32).fill_(i) for i in range(4)]
    taken = [workspace.take(1 << 20) for _ in range(2)]
    assert len({*(m.address for m in taken), *(t.data_ptr() for t in tensors)}) == 6
    assert all(bool((t == i).all()) for i, t in enumerate(tensors))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("size", [workspace.SMALL, workspace.HUGE_PAGE])
@pytest.mark.parametrize("huge_pages", [True, False])
def test_a_forked_child_does_not_write_in_its_parents_memory(size, huge_pages, monkeypatch):
    if not huge_pages:
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    memory = workspace.Memory(size)
    memory.array[:] = 1
    child = os.fork()
    if child == 0:
        memory.array[:] = 2
        os._exit(0)
    os.waitpid(child, 0)
    assert (memory.array == 1).all()


def test_a_system_without_huge_pages_gives_other_memory(monkeypatch):
    monkeypatch.setattr(mmap, "MADV_HUGEPAGE", -1, raising=False)  # no such advice: EINVAL
    assert workspace.Memory(workspace.HUGE_PAGE).address % workspace.HUGE_PAGE == 0


def test_the_pool_is_bounded_and_can_be_emptied(monkeypatch):
    monkeypatch.setattr(workspace, "pool", workspace.Pool(3 << 20))
    tensors = [workspace.empty(SHAPE, torch.float32) for _ in range(6)]
    assert (workspace.pool.in_use(), workspace.pool.kept()) == (6 << 20, 0)
    tensors.clear()
    gc.collect()
    assert (workspace.pool.in_use(), workspace.pool.kept()) == (0, 3 << 20)
    workspace.release()
    assert workspace.pool.kept() == 0


def test_memory_larger_than_the_limit_is_freed_and_other_memory_kept():
    pool = workspace.Pool(3 << 20)
    small, large = pool.take(1 << 20), pool.take(4 << 20)
    pool.give_back(small)
    pool.give_back(large)
    assert pool.free == [small]
    assert pool.in_use() == 0


def test_a_lower_limit_frees_the_memory_released_first():
    pool = workspace.Pool(1 << 30)
    taken = [pool.take(1 << 20) for _ in range(4)]
    for memory in taken:
        pool.give_back(memory)
    pool.limit = 2 << 20
    pool.trim()
    assert pool.free == taken[2:]
    pool.limit = 0
    pool.trim()
    assert not pool.free


def test_memory_that_many_calls_did_not_use_is_freed(monkeypatch):
    monkeypatch.setattr(workspace, "RETURNS", 10)
    pool = workspace.Pool(1 << 30)
    unused, used = pool.take(50_000_000), pool.take(1 << 20)
    pool.give_back(unused)
    for _ in range(9):
        pool.give_back(used)
        assert pool.take(1 << 20) is used
    assert pool.free == [unused]
    pool.give_back(used)
    pool.give_back(pool.take(1 << 20))
    assert pool.free == [used]


def test_arrays_of_a_layout_start_on_cache_lines():
    layout = workspace.Layout(4)
    for name, numbers in (("a", 1), ("b", 100), ("c", 0)):
        layout.add(name, numbers)
    assert all(offset % 64 == 0 for offset in layout.offset.values())
    assert workspace.Memory(layout.size).address % 64 == 0


def test_memory_is_neither_too_small_nor_much_too_large():
    pool = workspace.Pool(workspace.LIMIT)
    for size in (workspace.HUGE_PAGE, 20 * workspace.HUGE_PAGE, 2 * workspace.HUGE_PAGE):
        pool.give_back(workspace.Memory(size))
    taken = [pool.take(workspace.HUGE_PAGE + 1).size for _ in range(2)]
    assert taken == [2 * workspace.HUGE_PAGE] * 2
    assert sorted(m.size for m in pool.free) == [workspace.HUGE_PAGE, 20 * workspace.HUGE_PAGE]


def test_memory_that_another_thread_takes_first_is_not_used():
    stolen: list[workspace.Memory] = []

    class Contested(list):
        def remove(self, memory):
            if not stolen:
                stolen.append(memory)
                super().remove(memory)
            super().remove(memory)

    free = [workspace.Memory(1000) for _ in range(2)]
    pool = workspace.Pool(workspace.LIMIT)
    pool.free = Contested(free)
    taken = [pool.take(1000) for _ in range(2)]
    assert stolen[0] not in taken
    assert taken[0] in free
    assert taken[1] not in free
