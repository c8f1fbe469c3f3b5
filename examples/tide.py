"""A cell of one's own: two states, four gates, a learned number a unit, and three matrix products one after the other.

tidegate verify examples/tide.py:Tide
tidegate derive examples/tide.py:Tide
"""

from tidegate import Cell, sigmoid, tanh


class Tide(Cell):
    """A slow memory m under a fast output h.

    w  = sigmoid(W_w x + b_w + U_w h + c_w)           how much of the output the candidate sees
    n  = tanh(W_n x + b_n + U_n (w * h) + c_n)        candidate
    k  = sigmoid(W_k x + b_k + U_k h + c_k + v_s * m) keep gate, with the strength s of a unit's grip on its memory
    m' = k * m + (1 - k) * n
    e  = sigmoid(W_e x + b_e + U_e m' + c_e)          ebb: the output follows the memory, or the candidate
    h' = e * tanh(m') + (1 - e) * n
    """

    gates = ("k", "w", "n", "e")
    state = ("h", "m")
    vectors = ("s",)

    def equations(a, U, v, h, m):
        w = sigmoid(a.w + U.w(h))
        n = tanh(a.n + U.n(w * h))
        k = sigmoid(a.k + U.k(h) + v.s * m)
        m = k * m + (1 - k) * n
        e = sigmoid(a.e + U.e(m))
        return (e * tanh(m) + (1 - e) * n, m), (k, w, n, e)
