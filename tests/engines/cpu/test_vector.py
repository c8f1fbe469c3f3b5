"""The vector types of kernels: the instructions that they emit, and those that they leave out."""

import pytest

from tidegate.engines.cpu.target import AVX512
from tidegate.engines.cpu.vector import Code

INSTRUCTIONS = (" add ", " sub ", " mul ")


def written(make) -> list[str]:
    """The integer arithmetic of a function that stores make(its argument)."""
    code = Code(AVX512, "float")
    with code.function("f", "pi", public=True) as (p, n):
        p.words(make(code, n)).store(code.vec(0.0))
    return [line for line in str(code.module).splitlines() if any(name in line for name in INSTRUCTIONS)]


NOTHING = {
    "n + 0": lambda code, n: n + 0,
    "0 + n": lambda code, n: 0 + n,
    "n * 1": lambda code, n: n * 1,
    "1 * n": lambda code, n: 1 * n,
    "n * 0": lambda code, n: n * 0,
    "0 * n": lambda code, n: 0 * n,
    "n + n * 0": lambda code, n: n + n * code.int(0),
}


@pytest.mark.parametrize("make", NOTHING.values(), ids=NOTHING)
def test_arithmetic_without_effect_is_not_generated(make):
    assert written(make) == []


@pytest.mark.parametrize("make", [lambda code, n: n + 1, lambda code, n: n * 2, lambda code, n: 0 - n])
def test_other_arithmetic_is_generated(make):
    assert len(written(make)) == 1


def test_an_address_offset_of_zero_is_not_generated():
    code = Code(AVX512, "float")
    with code.function("f", "pi", public=True) as (p, n):
        assert (p + 0) is p
        assert (p + n * 0) is p
        assert (p + n).v is not p.v
        assert (p + 1).v is not p.v


def test_constants_are_folded():
    code = Code(AVX512, "float")
    assert [(code.int(6) * 1).known, (code.int(6) * 0).known, (code.int(6) + 0).known] == [6, 0, 6]
