"""Tasks and a cell of a user's own."""

from dataclasses import dataclass

import torch

from tidegate import Cell, sigmoid, tanh
from tidegate.tasks import Batch, Task


class Leaky(Cell):
    """h' = z * h + (1 - z) * tanh(a), with z = sigmoid(a_z + U_z h): a cell with one gate."""

    gates = ("z", "n")
    state = ("h",)

    def equations(a, U, h):
        z = sigmoid(a.z + U.z(h))
        n = tanh(a.n)
        return (z * h + (1 - z) * n,), (z, n)


@dataclass(frozen=True)
class Echo(Task):
    """The target is the input at the same step: any cell learns it within a few dozen steps."""

    symbols: int = 3
    length: int = 5

    name, source, metric = "echo", "own", "accuracy"
    solved = best = 1.0

    @property
    def input_size(self):
        return self.symbols

    output_size = input_size

    @property
    def chance(self):
        return 1 / self.symbols

    def batch(self, size, generator):
        x = torch.randint(self.symbols, (self.length, size), generator=generator)
        return Batch(x, x)

    def tests(self):
        return {"length 9": Echo(self.symbols, 9)} if self.length != 9 else {}


@dataclass(frozen=True)
class Broken(Echo):
    """A task whose batches cannot be made while `after` is negative, and whose loss raises otherwise."""

    after: int = 0

    name = "broken"

    def loss(self, outputs, batch):
        raise KeyError("no such symbol")


@dataclass(frozen=True)
class Mean(Task):
    """The mean of the inputs so far: a task of features, in which a lower score is better."""

    name, source, metric = "mean", "own", "mse"
    indexed = of_classes = higher_is_better = False
    input_size = output_size = 2
    chance, solved = 0.1, 1e-3

    def batch(self, size, generator):
        x = torch.rand(4, size, 2, generator=generator)
        return Batch(x, x.cumsum(0) / torch.arange(1, 5)[:, None, None])
