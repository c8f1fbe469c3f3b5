"""A cell that a user could write: a gate with a recurrent product, and a candidate without one."""

import tidegate


class Own(tidegate.Cell):
    gates = ("k", "n")
    state = ("h",)

    def equations(a, U, h):
        k = tidegate.sigmoid(a.k + U.k(h))
        n = tidegate.tanh(a.n)
        return (k * h + (1 - k) * n,), (k, n)
