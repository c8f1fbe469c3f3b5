"""torch.fx takes a layer or a cell as one node of the graph, as it takes torch.nn's."""

import pytest
import torch
from torch import nn

import tidegate


class Model(nn.Module):
    def __init__(self, library):
        super().__init__()
        self.layer, self.cell, self.head = library.LSTM(3, 4), library.GRUCell(4, 4), nn.Linear(4, 2)

    def forward(self, x, state):
        y, (h, _) = self.layer(x, state)
        return self.head(self.cell(y[-1], h[0])).relu()


def test_the_graph_is_that_of_torch_nn():
    torch.manual_seed(0)
    ours, theirs = Model(tidegate), Model(nn)
    ours.load_state_dict(theirs.state_dict())
    traced = [torch.fx.symbolic_trace(model) for model in (ours, theirs)]
    nodes = [[(n.op, str(n.target), str(n.args), str(n.kwargs)) for n in t.graph.nodes] for t in traced]
    assert nodes[0] == nodes[1]
    x, state = torch.randn(5, 2, 3), (torch.randn(1, 2, 4), torch.randn(1, 2, 4))
    assert torch.equal(traced[0](x, state), ours(x, state))
    assert torch.allclose(traced[0](x, state), theirs(x, state), atol=1e-6)


def test_lengths_and_resets_are_arguments_of_the_node():
    class Lengths(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = tidegate.Recurrent(tidegate.cells.GRU, 3, 4)

        def forward(self, x, lengths, resets):
            return self.layer(x, lengths=lengths, resets=resets)[0]

    model = Lengths()
    traced = torch.fx.symbolic_trace(model)
    (node,) = [n for n in traced.graph.nodes if n.op == "call_module"]
    assert set(node.kwargs) == {"lengths", "resets"}
    given = torch.randn(5, 2, 3), torch.tensor([2, 5]), torch.zeros(2, 5, dtype=torch.bool)
    assert torch.equal(traced(*given), model(*given))


@pytest.mark.parametrize("module", [tidegate.GRU(3, 4), tidegate.GRUCell(3, 4)])
def test_a_layer_alone_is_refused_with_the_remedy(module):
    with pytest.raises(tidegate.ArgumentError, match=r"by torch.fx on its own.* Trace a module that contains it"):
        torch.fx.symbolic_trace(module)
