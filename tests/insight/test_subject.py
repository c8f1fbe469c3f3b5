"""What can be measured, and the checks of its input."""

import numpy as np
import pytest
import torch
from tests.insight.small import make_layer
from tests.insight.trained import save_run

import tidegate
from tidegate.errors import ArgumentError, ShapeError
from tidegate.insight.subject import as_input, as_subject


def test_a_model_is_copied_in_float64_and_evaluation_mode():
    model = tidegate.LanguageModel("gru", 5, 4, layers=2, dropout=0.3)
    subject = as_subject(model)
    assert subject.layer is not model.recurrent
    assert subject.layer.weight_hh_l0.dtype == torch.float64
    assert not subject.layer.training
    assert model.training
    assert model.recurrent.weight_hh_l0.dtype == torch.float32


def test_every_form_of_input_becomes_steps_by_sequences():
    indexed, features = as_subject(make_layer("gru", D=4)), as_subject(make_layer("gru", D=4))
    assert as_input(indexed, [0, 3, 1]).tolist() == [[0], [3], [1]]
    assert as_input(indexed, np.zeros((5, 2), np.int32)).shape == (5, 2)
    assert as_input(features, torch.randn(5, 4)).shape == (5, 1, 4)
    assert as_input(features, torch.randn(5, 2, 4)).dtype == torch.float64


def test_a_layer_with_batch_first_takes_sequences_first():
    layer = tidegate.Recurrent(tidegate.cells.GRU, 4, 5, batch_first=True)
    x = torch.randn(2, 7, 4)
    assert torch.equal(as_input(as_subject(layer), x), x.transpose(0, 1).double())
    assert as_input(as_subject(layer), torch.zeros(2, 7, dtype=torch.long)).shape == (7, 2)


def test_a_text_is_read_as_the_training_text_was(tmp_path):
    trained = tidegate.load(save_run(tmp_path))
    assert as_input(as_subject(trained), "the cat")[:, 0].tolist() == trained.vocabulary.encode("the cat").tolist()
    from dataclasses import replace

    letters = replace(trained, facts=replace(trained.facts, preprocess="letters"))
    same = as_input(as_subject(letters), "The CAT, 7.")
    assert same[:, 0].tolist() == trained.vocabulary.encode("the cat").tolist()


@pytest.mark.parametrize(("data", "message"), [
    (torch.zeros(2, 2, 2, 2), r"shape \(T, D\) or \(T, B, D\) with D = 4, got \(2, 2, 2, 2\)"),
    (torch.zeros(2, 3), r"with D = 4, got \(2, 3\)"),
    (torch.zeros(2, 2, 2, dtype=torch.long), r"class indices must have shape \(T,\) or \(T, B\)"),
    (torch.zeros(0, 2, dtype=torch.long), "at least one step"),
])  # fmt: skip
def test_wrong_shapes_are_refused(data, message):
    with pytest.raises(ShapeError, match=message):
        as_input(as_subject(make_layer("gru", D=4)), data)


def test_indices_out_of_range_are_refused():
    with pytest.raises(ArgumentError, match=r"class indices in 0\.\.3, got 0\.\.7"):
        as_input(as_subject(make_layer("gru", D=4)), [0, 7])
