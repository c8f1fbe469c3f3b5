"""Steps of a recorded model compared, bit by bit, with those of torch's graph."""

import pytest
import torch

from tidegate.train.model import detach

V, H, T, B = 11, 9, 7, 5


def batch(steps=T, size=B):
    return torch.randint(V, (steps, size)), torch.randint(V, (steps, size))


def with_graph(model, x, y, state):
    """(loss, states, gradients) with torch's graph; the gradients of the model are left as they were."""
    before = [p.grad for p in model.parameters()]
    model.zero_grad()
    loss, after = model.loss(x, y, state)
    loss.backward()
    found = [loss.item(), *parts(detach(after)), *(p.grad for p in model.parameters())]
    for p, gradient in zip(model.parameters(), before):
        p.grad = gradient
    return found


def parts(state):
    return (state,) if isinstance(state, torch.Tensor) else state


def step(recorded, x, y, state):
    """(loss, states, gradients) of a recorded step, and its result."""
    found = recorded.set_gradients(x, y, state)
    return [found.loss, *parts(found.state), *(p.grad for p in recorded.model.parameters())], found


def same(ours, graph):
    assert len(ours) == len(graph)
    assert all(not t.requires_grad for t in ours[1:])
    return ours[0] == graph[0] and all(torch.equal(a, b) for a, b in zip(ours[1:], graph[1:]))


def both(recorded, x, y, state):
    """Whether a step has the bits of the graph, with the same random numbers; and its state."""
    drawn = torch.get_rng_state()
    graph = with_graph(recorded.model, x, y, state)
    torch.set_rng_state(drawn)
    ours, found = step(recorded, x, y, state)
    norm = torch.stack([p.grad.double().norm() for p in recorded.model.parameters()]).norm().item()
    overflows = norm > 1e18  # the square does, in float32
    return same(ours, graph) and (overflows or found.norm == pytest.approx(norm, rel=1e-5)), found.state
