"""Every way in which a tensor can leave its memory is noticed."""

import pytest
import torch

from tidegate.engines.cpu.fixed import FixedTensors


def other_data(t):
    t.data = torch.randn(4, 6)


def transposed_data(t):
    t.data = t.data.t()


def other_storage(t):
    with torch.no_grad():
        t.set_(torch.randn(4, 6))


def smaller(t):
    t.data = t.data[:2]


def without_memory(t):
    t.untyped_storage().resize_(0)


def with_less_memory(t):
    t.untyped_storage().resize_(40)


def frozen(t):
    t.requires_grad_(False)


def other_type(t):
    t.data = t.data.double()


@pytest.mark.parametrize(
    "change",
    [
        other_data,
        transposed_data,
        other_storage,
        smaller,
        without_memory,
        with_less_memory,
        frozen,
        other_type,
    ],
)
def test_a_change_is_found(change):
    first, second = torch.nn.Parameter(torch.randn(3)), torch.nn.Parameter(torch.randn(4, 6))
    fixed = FixedTensors([first, second])
    assert fixed.at == [first.data_ptr(), second.data_ptr()]
    with torch.no_grad():
        second.add_(1)  # other numbers at the same place
    assert fixed.unchanged()
    change(second)
    assert not fixed.unchanged()


def test_the_memory_of_a_tensor_is_kept_so_that_no_other_tensor_can_have_its_address():
    t = torch.nn.Parameter(torch.randn(40, 60))
    fixed = FixedTensors([t])
    at = t.data_ptr()
    t.data = torch.randn(40, 60)
    found = [torch.randn(40, 60) for _ in range(20)]
    assert all(other.data_ptr() != at for other in found)
    assert not fixed.unchanged()
