"""The module that emits the products of each form of operands."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol

from tidegate.engines.cpu import matrix, pairs
from tidegate.engines.cpu.abi import Form
from tidegate.engines.cpu.vector import Code, Int, Ptr


class Packed(Protocol):
    """What `matrix` and `pairs` have in common: operands as blocks of several values of k, sizes counted in float32
    numbers. Their functions have the same arguments; `PREFIX` begins the names of those that other modules link."""

    @property
    def PREFIX(self) -> str: ...
    @property
    def ROW(self) -> int: ...
    @property
    def PANEL(self) -> int: ...

    def blocks(self, k: Int) -> Int:
        """The number of blocks that so many values of k take."""
        ...

    def of_rows(
        self, code: Code, left: Ptr, row: Int, rows: Int, right: Ptr, groups: Int, count: Int, start: Ptr, out: Ptr,
        out_row: Int,
    ) -> None:  # fmt: skip
        """out = start + left right for up to 32 rows and `count` blocks, with one `start` for all rows."""
        ...

    def split(
        self, code: Code, source: Ptr, source_row: Int, rows: Int, columns: Int, target: Ptr, row: Int,
        groups: tuple[Int, Int],
    ) -> None:  # fmt: skip
        """Convert a range of groups of rows of numbers."""
        ...

    def pack_rows(
        self, code: Code, row: Callable[[Int], Ptr], count: Int, columns: Int, target: Ptr, group: Int, none: Ptr
    ) -> None:
        """Pack rows as panels: row(i) is the address of the i-th of `count`, `none` that of a row of zeros."""
        ...


PACKED: Mapping[Form, Packed] = MappingProxyType({Form.TERMS: matrix, Form.PAIRS: pairs})
