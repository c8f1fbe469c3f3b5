"""The network that is trained on a task: recurrent layers of a cell, and a linear head on their outputs."""

import math

from torch import Tensor, nn

from tidegate.calculus import Step
from tidegate.comparing.one_thread import drawing
from tidegate.nn import Recurrent, init
from tidegate.nn.equations import parameter_shapes
from tidegate.tasks import Batch, Task
from tidegate.train.initial import parse


class Network(nn.Module):
    """outputs (T, B, K) = layer(x) W^T + b, with x (T, B) class indices or (T, B, D) features of a batch."""

    def __init__(self, step: Step, task: Task, hidden: int, layers: int) -> None:
        super().__init__()
        self.layer = Recurrent(step, task.input_size, hidden, layers)
        self.head = nn.Linear(hidden, task.output_size)

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self.layer(batch.x, resets=batch.resets)[0])

    @property
    def state_size(self) -> int:
        """The numbers that are kept from one step to the next."""
        return len(self.layer.step.state) * self.layer.hidden_size * self.layer.num_layers


def initial_network(step: Step, task: Task, hidden: int, layers: int, start: str, T: int) -> Network:
    """A network with weights from torch's global generator, then initialised as `start` says: see Settings.

    T is the length of a sequence, the longest time scale of "chrono" where it has no number. Raises ArgumentError where
    the cell cannot have that initialisation.
    """
    network = Network(step, task, hidden, layers)
    name, values = parse(start)
    if name == "chrono" and not values:
        values = (float(max(T, 3)),)
    if name != "default":  # those weights are in place
        init.by_name(network.layer, name, *values)
    return network


def recurrent_weights(step: Step, D: int, H: int, layers: int) -> int:
    """The number of parameters of `layers` recurrent layers: weights, biases and per-unit vectors."""
    sizes = (parameter_shapes(step, D if k == 0 else H, H, bias=True).values() for k in range(layers))
    return sum(math.prod(shape) for shapes in sizes for shape in shapes)


def refusal(step: Step, task: Task, start: str) -> Exception | None:
    """Why the cell cannot have the initialisation; None where it can. The global generator is left as it was."""
    with drawing(0):
        try:
            initial_network(step, task, 2, 1, start, T=10)
        except ValueError as error:
            return error
    return None
