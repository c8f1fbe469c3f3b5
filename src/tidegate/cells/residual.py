"""The residual update of a recurrent state, whose gradient can explode."""

from tidegate.cells.cell import Cell
from tidegate.cells.functions import sigmoid, tanh


class ResidualRNN(Cell):
    """h' = h + tanh(W x + b + U h + c)

    The step Jacobian is I + diag(1 - n^2) U, and both the state and the gradient can grow without bound.
    Source: the residual connection of He et al., arXiv:1512.03385 (2015), applied over time.
    """

    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = tanh(a.n + U.n(h))
        return (h + n,), (n,)


class SigmoidResidualRNN(Cell):
    """h' = h + sigmoid(W x + b + U h + c)

    As ResidualRNN with g = sigmoid: every step adds a positive number, so the state only grows.
    """

    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = sigmoid(a.n + U.n(h))
        return (h + n,), (n,)
