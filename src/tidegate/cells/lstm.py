"""Long short-term memory, without and with peepholes."""

from tidegate.cells.cell import Cell
from tidegate.cells.functions import sigmoid, tanh


class LSTM(Cell):
    """Forget gate, no peepholes.

    i  = sigmoid(W_i x + b_i + U_i h + c_i)           input gate
    f  = sigmoid(W_f x + b_f + U_f h + c_f)           forget gate: 1 keeps the cell
    g  = tanh(W_g x + b_g + U_g h + c_g)              candidate
    o  = sigmoid(W_o x + b_o + U_o h + c_o)           output gate
    c' = f * c + i * g
    h' = o * tanh(c')

    Source: Hochreiter and Schmidhuber, Neural Computation 9 (1997), with the forget gate of Gers, Schmidhuber and
    Cummins, Neural Computation 12 (2000), as in torch.nn.LSTM.
    """

    gates = ("i", "f", "g", "o")
    state = ("h", "c")

    def equations(a, U, h, c):
        i = sigmoid(a.i + U.i(h))
        f = sigmoid(a.f + U.f(h))
        g = tanh(a.g + U.g(h))
        o = sigmoid(a.o + U.o(h))
        c = f * c + i * g
        return (o * tanh(c), c), (i, f, g, o)


class PeepholeLSTM(Cell):
    """An LSTM whose gates also depend on the cell state, with one learned weight v for each unit.

    i  = sigmoid(W_i x + b_i + U_i h + c_i + v_i * c)     input gate
    f  = sigmoid(W_f x + b_f + U_f h + c_f + v_f * c)     forget gate: 1 keeps the cell
    g  = tanh(W_g x + b_g + U_g h + c_g)                  candidate
    c' = f * c + i * g
    o  = sigmoid(W_o x + b_o + U_o h + c_o + v_o * c')    output gate
    h' = o * tanh(c')

    Source: Gers, Schraudolph and Schmidhuber, JMLR 3 (2002).
    """

    gates = ("i", "f", "g", "o")
    state = ("h", "c")
    vectors = ("i", "f", "o")

    def equations(a, U, v, h, c):
        i = sigmoid(a.i + U.i(h) + v.i * c)
        f = sigmoid(a.f + U.f(h) + v.f * c)
        g = tanh(a.g + U.g(h))
        c = f * c + i * g
        o = sigmoid(a.o + U.o(h) + v.o * c)
        return (o * tanh(c), c), (i, f, g, o)
