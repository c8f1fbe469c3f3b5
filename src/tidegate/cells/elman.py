"""The plain recurrent network of Elman (1990)."""

from tidegate.cells.cell import Cell
from tidegate.cells.functions import relu, tanh


class RNN(Cell):
    """h' = tanh(W x + b + U h + c)

    Source: Elman, "Finding structure in time", Cognitive Science 14 (1990). As torch.nn.RNN(nonlinearity="tanh").
    """

    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = tanh(a.n + U.n(h))
        return (n,), (n,)


class ReluRNN(Cell):
    """h' = relu(W x + b + U h + c)

    Source: Le, Jaitly and Hinton, arXiv:1504.00941 (2015), who initialise U to the identity.
    As torch.nn.RNN(nonlinearity="relu").
    """

    gates = ("n",)
    state = ("h",)

    def equations(a, U, h):
        n = relu(a.n + U.n(h))
        return (n,), (n,)
