import math

import pytest
import torch

import tidegate
from tidegate.errors import ArgumentError, CheckpointError
from tidegate.text import Vocabulary
from tidegate.train.evaluate_run import evaluate_run
from tidegate.train.generate import generate


class Own(tidegate.Cell):
    """A cell whose class exists in this file alone."""

    gates = ("n",)
    state = ("h",)
    vectors = ("p",)

    def equations(a, U, v, h):
        n = tidegate.tanh(a.n + U.n(h) + v.p * h)
        return ((h + n) / 2,), (n,)


VOCABULARY = Vocabulary.build("The cat sat on the mat.")


def model_of(cell="gru", **options):
    torch.manual_seed(1)
    return tidegate.LanguageModel(cell, len(VOCABULARY), 8, **options)


@pytest.mark.parametrize("cell", ["gru", "lstm", "rnn-relu", "residual-sigmoid", "peephole-lstm", Own])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_loaded_model_has_the_saved_weights_and_scores(tmp_path, cell, layers):
    model = model_of(cell, layers=layers, dropout=0.3)
    tidegate.save(tmp_path / "run", model, VOCABULARY)
    trained = tidegate.load(tmp_path / "run")
    assert not trained.model.training
    assert trained.vocabulary == VOCABULARY
    assert trained.model.dropout.p == 0.3
    x = torch.randint(len(VOCABULARY), (7, 3))
    assert torch.equal(trained.model(x)[0], model.eval()(x)[0])
    assert (trained.recipe, trained.baseline, trained.best, trained.epochs, trained.step) == (None,) * 5


def test_double_precision_is_kept(tmp_path):
    model = model_of().double()
    tidegate.save(tmp_path / "run", model, VOCABULARY)
    loaded = tidegate.load(tmp_path / "run").model
    assert torch.equal(loaded.recurrent.weight_hh_l0, model.recurrent.weight_hh_l0)
    assert loaded.head.weight.dtype == torch.float64


def test_a_saved_model_can_be_evaluated_on_a_text_and_sampled(tmp_path):
    model = model_of()
    tidegate.save(tmp_path / "run", model, VOCABULARY)
    text = tmp_path / "text.txt"
    text.write_text("The cat sat on the cat.")
    figures = evaluate_run(tmp_path / "run", str(text), device="cpu")
    ids = VOCABULARY.encode(text.read_text())
    scores, _ = model.eval()(ids[:-1, None])
    nats = torch.nn.functional.cross_entropy(scores[:, 0], ids[1:]).item()
    assert figures["bpc"] == pytest.approx(nats / math.log(2), rel=1e-5)
    assert figures["baseline"] is None
    assert "without its training text" in figures["baseline_missing"]
    assert "".join(generate(tmp_path / "run", "The", length=5, device="cpu")).startswith("The")


def test_an_evaluation_without_a_text_says_that_one_is_needed(tmp_path):
    tidegate.save(tmp_path / "run", model_of(), VOCABULARY)
    with pytest.raises(tidegate.DataError, match=r"saved from Python, without a text. .* tidegate eval .*run FILE"):
        evaluate_run(tmp_path / "run", None)


def test_the_folder_holds_no_code(tmp_path):
    tidegate.save(tmp_path / "run", model_of(Own), VOCABULARY)
    assert {p.name for p in (tmp_path / "run").iterdir()} == {"run.json", "best.safetensors"}


def test_invalid_arguments_are_refused_before_anything_is_written(tmp_path):
    broken = model_of()
    with torch.no_grad():
        broken.head.bias[2] = math.nan
    for model, vocabulary, options, words in (
        (torch.nn.GRU(3, 4), VOCABULARY, {}, "`model` must be a tidegate.LanguageModel, got GRU"),
        (model_of(), Vocabulary.build("ab"), {}, "`vocabulary` must have the 13 tokens of the model, got 3"),
        (model_of(), VOCABULARY, {"preprocess": "lower"}, "`preprocess` must be one of raw, letters, got 'lower'"),
        (broken, VOCABULARY, {}, "NaN or infinity in head.bias"),
    ):
        with pytest.raises(ArgumentError) as refused:
            tidegate.save(tmp_path / "run", model, vocabulary, **options)
        assert words in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_contains_a_run_is_not_changed(tmp_path):
    tidegate.save(tmp_path / "run", model_of(), VOCABULARY)
    before = (tmp_path / "run" / "best.safetensors").read_bytes()
    with pytest.raises(ArgumentError, match=r"`path` .*run already contains a run. Choose another `path`"):
        tidegate.save(tmp_path / "run", model_of("lstm"), VOCABULARY)
    assert (tmp_path / "run" / "best.safetensors").read_bytes() == before


def test_the_other_checkpoint_is_missing_with_a_remedy(tmp_path):
    tidegate.save(tmp_path / "run", model_of(), VOCABULARY)
    with pytest.raises(CheckpointError, match="--checkpoint best"):
        tidegate.load(tmp_path / "run", "last")
