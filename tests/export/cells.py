"""A cell with every operation that equations can use, two recurrent products one after the other, and a vector."""

from tidegate.cells import Cell
from tidegate.cells.functions import (
    absolute,
    exp,
    log,
    log1p,
    maximum,
    minimum,
    relu,
    sigmoid,
    softplus,
    sqrt,
    tanh,
)


class Everything(Cell):
    """Own cell of the tests. `new` and `var` are words that JavaScript reserves."""

    gates = ("new", "var", "k")
    state = ("h", "m")
    vectors = ("let",)

    def equations(a, U, v, h, m):
        new = sigmoid(a.new + U.new(h) + v.let * m)
        var = tanh(softplus(a.var) - 0.7 + U.var(new * h))
        k = minimum(relu(a.k + U.k(tanh(m))), 1.5) / (1 + absolute(var))
        m = new * m + (1 - new) * log1p(exp(-absolute(a.k))) + sqrt(1 + k * k) * log(2 + var) / 3
        return (maximum(var, -0.25) * tanh(m) + k / 8, m), (new, var, k)
