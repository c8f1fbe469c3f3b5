"""Connectivity against autograd with respect to the projected inputs."""

import numpy as np
import pytest
import torch
from tests.insight.small import make_layer

import tidegate
from tidegate.errors import ArgumentError
from tidegate.insight import connectivity


def test_it_is_the_norm_of_autograds_gradient(cell):
    torch.manual_seed(0)
    model = tidegate.LanguageModel(make_layer(cell).cell, 6, 4, layers=2, engine="eager").double().eval()
    tokens = torch.randint(6, (9,))
    found = connectivity(model, tokens, longest=5)
    W = model.recurrent.weight_ih_l0
    own = torch.eye(len(W), dtype=torch.float64)  # with W = I the gradient of x is that of the projected input
    rows = W.detach()[:, tokens].T.clone().requires_grad_()
    layer = tidegate.Recurrent(model.recurrent.cell, len(W), 4, 2, dtype=torch.float64, engine="eager")
    layer.load_state_dict(model.recurrent.state_dict() | {"weight_ih_l0": own})
    scores = model.head(layer(rows)[0])
    for i, t in enumerate(found.steps):
        (gradient,) = torch.autograd.grad(scores[t, tokens[t + 1]], rows, retain_graph=True)
        norms = gradient.norm(dim=1).numpy()
        for k in range(6):
            if k <= t:
                np.testing.assert_allclose(found.strength[i, k], norms[t - k], rtol=1e-9, atol=1e-15)
            else:
                assert np.isnan(found.strength[i, k])
    assert found.share.sum() == pytest.approx(1)


def test_it_begins_at_the_requested_step():
    model = tidegate.LanguageModel("gru", 6, 4)
    tokens = torch.randint(6, (40,))
    whole, part = connectivity(model, tokens, longest=10), connectivity(model, tokens, longest=10, first=20)
    np.testing.assert_allclose(part.strength, whole.strength[20:])
    assert part.steps.tolist() == list(range(20, 39))


def test_a_layer_is_measured_in_a_random_direction_and_several_sequences_are_refused():
    layer = make_layer("lstm")
    assert not connectivity(layer, torch.randn(9, 3, dtype=torch.float64)).of_loss
    with pytest.raises(ArgumentError, match="one sequence"):
        connectivity(layer, torch.randn(9, 2, 3, dtype=torch.float64))
