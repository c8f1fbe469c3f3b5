"""Cells that use every operation, in every place where a diagram draws it differently."""

from tidegate import Cell, absolute, exp, maximum, minimum, relu, sigmoid, softplus, tanh


class Everything(Cell):
    """Differences, quotients, squares, constants, vectors alone and as factors, a gate that is a bare input."""

    gates = ("a", "b", "linear")
    state = ("h", "memory")
    vectors = ("s", "w")

    def equations(a, U, v, h, memory):
        first = sigmoid(a.a - U.a(h) + v.s * memory + 0.5)
        second = maximum(a.b + U.b(first * h), 0.1) / (1 + exp(-memory))
        shared = h - memory
        memory = first * memory + (1 - first) * tanh(shared) - v.w * relu(shared) + (-second) ** 2
        return (a.linear * softplus(memory) - 2 * absolute(shared) + v.s, memory), (first, second, a.linear)


class Chain(Cell):
    """Products of products, a vector subtracted and squared, and a gate that feeds its own successor."""

    gates = ("p", "q")
    state = ("h",)
    vectors = ("k",)

    def equations(a, U, v, h):
        p = sigmoid(a.p - v.k * h)
        q = minimum(a.q * p * h, U.q(a.p))
        return (p * q * (1 - p) * tanh(1 - q) + (v.k * h) ** 2,), (p, q)
