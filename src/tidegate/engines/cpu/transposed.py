"""Squares of numbers transposed in registers.

In blocks of 16 bytes, which one instruction can interleave: first squares of 4 x 4 floats or 2 x 2 doubles, in every
block at once, then the blocks, of which one instruction can collect the even or the odd ones of two registers.
"""

import llvmlite.ir as ir

from tidegate.engines.cpu.vector import I32, Code, Value, Vec

#: Bytes of a block.
BLOCK = 16


def square(code: Code, rows: list[Vec]) -> list[Vec]:
    """The columns of a square of numbers, given its rows: as many as a vector has lanes."""
    size = BLOCK // code.bytes
    within = [small_squares(code, rows[i : i + size]) for i in range(0, code.lanes, size)]
    columns = [blocks(code, [part[j] for part in within]) for j in range(size)]
    return [columns[j][i] for i in range(code.lanes // size) for j in range(size)]


def small_squares(code: Code, rows: list[Vec]) -> list[Vec]:
    """`rows` with the square in each block transposed, by interleaving pairs of rows."""
    n, size = code.lanes, len(rows)
    low = [lane for block in range(0, n, size) for i in range(size // 2) for lane in (block + i, n + block + i)]
    high = [lane + size // 2 for lane in low]
    for _ in range(size.bit_length() - 1):
        pairs = list(zip(rows[: size // 2], rows[size // 2 :]))
        rows = [shuffled(code, a, b, lanes) for a, b in pairs for lanes in (low, high)]
    return rows


def blocks(code: Code, rows: list[Vec]) -> list[Vec]:
    """Rows of blocks as columns of blocks: row i of the result has block i of every row."""
    size = BLOCK // code.bytes
    even = [block * size + i for block in range(0, 2 * len(rows), 2) for i in range(size)]
    odd = [lane + size for lane in even]
    for _ in range(len(rows).bit_length() - 1):
        pairs = list(zip(rows[::2], rows[1::2]))
        rows = [shuffled(code, a, b, lanes) for lanes in (even, odd) for a, b in pairs]
    return rows


def shuffled(code: Code, a: Vec, b: Vec, lanes: list[int]) -> Vec:
    """Those lanes of `a` followed by `b`."""
    order: Value = ir.Constant(ir.VectorType(I32, code.lanes), lanes)
    return Vec(code, code.b.shuffle_vector(a.v, b.v, order))
