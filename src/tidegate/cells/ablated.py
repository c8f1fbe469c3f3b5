"""The gated recurrent unit with one of its gates removed, to measure what the other one contributes."""

from tidegate.cells.cell import Cell
from tidegate.cells.functions import sigmoid, tanh


class ResetOnlyGRU(Cell):
    """The reset-before GRU without its update gate: the state is always replaced by the candidate.

    r  = sigmoid(W_r x + b_r + U_r h + c_r)           reset gate
    h' = tanh(W_n x + b_n + U_n (r * h) + c_n)

    It is ResetBeforeGRU with z = 0.

    Source: A. Zhang, Z. Lipton, M. Li, A. Smola, Dive into Deep Learning (2021), exercise 4 on gated recurrent
    units.
    """

    gates = ("r", "n")
    state = ("h",)

    def equations(a, U, h):
        r = sigmoid(a.r + U.r(h))
        n = tanh(a.n + U.n(r * h))
        return (n,), (r, n)


class UpdateOnlyGRU(Cell):
    """The GRU without its reset gate: the candidate always depends on the whole state.

    z  = sigmoid(W_z x + b_z + U_z h + c_z)           update gate: 1 keeps the state
    n  = tanh(W_n x + b_n + U_n h + c_n)              candidate
    h' = (1 - z) * n + z * h

    It is GRU, and ResetBeforeGRU, with r = 1.

    Source: A. Zhang, Z. Lipton, M. Li, A. Smola, Dive into Deep Learning (2021), exercise 4 on gated recurrent
    units.
    """

    gates = ("z", "n")
    state = ("h",)

    def equations(a, U, h):
        z = sigmoid(a.z + U.z(h))
        n = tanh(a.n + U.n(h))
        return ((1 - z) * n + z * h,), (z, n)
