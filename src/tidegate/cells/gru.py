"""The gated recurrent unit in its two published forms. They are different functions of the same parameters."""

from tidegate.cells.cell import Cell
from tidegate.cells.functions import sigmoid, tanh


class GRU(Cell):
    """Reset after the recurrent product.

    r  = sigmoid(W_r x + b_r + U_r h + c_r)           reset gate
    z  = sigmoid(W_z x + b_z + U_z h + c_z)           update gate: 1 keeps the state
    n  = tanh(W_n x + b_n + r * (U_n h + c_n))        candidate
    h' = (1 - z) * n + z * h

    Source: Cho et al., arXiv:1406.1078v1 (2014), as in torch.nn.GRU and cuDNN.
    """

    gates = ("r", "z", "n")
    state = ("h",)

    def equations(a, U, h):
        r = sigmoid(a.r + U.r(h))
        z = sigmoid(a.z + U.z(h))
        n = tanh(a.n + r * U.n(h))
        return ((1 - z) * n + z * h,), (r, z, n)


class ResetBeforeGRU(Cell):
    """Reset before the recurrent product, as most textbooks print it.

    r  = sigmoid(W_r x + b_r + U_r h + c_r)           reset gate
    z  = sigmoid(W_z x + b_z + U_z h + c_z)           update gate: 1 keeps the state
    n  = tanh(W_n x + b_n + U_n (r * h) + c_n)        candidate
    h' = (1 - z) * n + z * h

    Source: Cho et al., arXiv:1406.1078v3 (2014), equations 5 to 8, with biases.
    """

    gates = ("r", "z", "n")
    state = ("h",)

    def equations(a, U, h):
        r = sigmoid(a.r + U.r(h))
        z = sigmoid(a.z + U.z(h))
        n = tanh(a.n + U.n(r * h))
        return ((1 - z) * n + z * h,), (r, z, n)
