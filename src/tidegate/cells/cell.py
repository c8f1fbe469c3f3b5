"""The base class of cells: what a class must define so that everything else can be derived from it."""

from typing import Any, ClassVar


class Cell:
    """One time step of a recurrent network, as equations.

    A subclass declares its names and its equations, as ordinary Python without `self`::

        class GRU(Cell):
            gates = ("r", "z", "n")
            state = ("h",)

            def equations(a, U, h):
                r = sigmoid(a.r + U.r(h))
                z = sigmoid(a.z + U.z(h))
                n = tanh(a.n + r * U.n(h))
                return ((1 - z) * n + z * h,), (r, z, n)

    * `gates`: names of the gates in packed order, the order of their blocks in `weight_ih`, `weight_hh` and the biases.
    * `state`: names of the states. The first one is the output, usually `h`.
    * `vectors`: names of learned per-unit vectors, such as peephole weights. With any, `equations` takes a namespace
      `v` after `U`: `equations(a, U, v, h, c)`, and `v.i` is a vector of H numbers.
    * `a.r` is the gate's input term, x W_r + b_r. `U.r(p)` is its recurrent product p U_r + c_r, for any
      element-wise expression p. All values are (B, H).
    * `equations` returns the tuple of new states in the order of `state`, and the tuple of gate values in the order
      of `gates`. It may use + - * /, powers 1, 2, 3, ..., numbers, and the functions of `tidegate`: `sigmoid`, `tanh`,
      `relu`, `exp`, `log`, `log1p`, `sqrt`, `absolute`, `softplus`, `maximum`, `minimum`.
    """

    gates: ClassVar[tuple[str, ...]]
    state: ClassVar[tuple[str, ...]]
    vectors: ClassVar[tuple[str, ...]] = ()
    equations: ClassVar[Any]
