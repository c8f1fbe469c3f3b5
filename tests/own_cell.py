"""Cells that a user could write: one with a recurrent product in its gate only, one without a gate, and the program of
the latter."""

import inspect

import tidegate


class Own(tidegate.Cell):
    gates = ("k", "n")
    state = ("h",)

    def equations(a, U, h):
        k = tidegate.sigmoid(a.k + U.k(h))
        n = tidegate.tanh(a.n)
        return (k * h + (1 - k) * n,), (k, n)


class Leaky(tidegate.Cell):
    """n = tanh(W_n x + b_n + U_n h + c_n), h' = h / 2 + n / 2"""

    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = tidegate.tanh(a.n + U.n(h))
        return (0.5 * h + 0.5 * n,), (n,)


#: A program with that cell, for commands that take FILE.py:CLASS.
PROGRAM = f"import tidegate\n\n\n{inspect.getsource(Leaky)}"
