"""Token vectors in front of the first layer, and tied: gradients against float64 autograd of one-hot rows times the
table, runs, run folders, and models on class indices that are the same function."""

import copy
import json
from dataclasses import asdict

import pytest
import torch
from tests.own_cell import Leaky
from torch.nn import functional

import tidegate
from tidegate.cells import CELLS
from tidegate.errors import ArgumentError, ArgumentTypeError, CheckpointError, IndicesError, ShapeError
from tidegate.train import checkpoint, direct, guard, snapshot
from tidegate.train.interrupt import Interrupt
from tidegate.train.loop import Stopped
from tidegate.train.model import LanguageModel, folded, own_weights
from tidegate.train.recipe import Recipe, recipe

V, H, E, T, B = 13, 7, 5, 6, 3


def model_of(cell, *, tie, layers=2, dropout=0.0):
    return LanguageModel(cell, V, H, layers=layers, dropout=dropout, embedding=None if tie else E, tie=tie)


def indices():
    return torch.randint(V, (T, B))


def reference(model, x, y):
    """The gradients, by parameter, of the loss with explicit one-hot rows, in float64 and on torch operations. The two
    roles of a tied table are separate tensors: `embedding.weight` and `head.weight`."""
    layer = copy.deepcopy(model.recurrent).double()
    layer.engine = "eager"
    table = model.embedding.weight.detach().double().requires_grad_()
    W, b = (t.detach().double().requires_grad_() for t in (model.head.weight, model.head.bias))
    outputs, _ = layer(functional.one_hot(x, V).double() @ table)
    functional.cross_entropy((outputs @ W.T + b).flatten(0, 1), y.flatten()).backward()
    found = {f"recurrent.{name}": p.grad for name, p in layer.named_parameters()}
    return found | {"embedding.weight": table.grad, "head.weight": W.grad, "head.bias": b.grad}


def error(found, expected):
    return float((found.double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("cell", [*CELLS, Leaky])
def test_gradients_are_those_of_one_hot_rows_times_the_table(cell, tie):
    model, x, y = model_of(cell, tie=tie), indices(), indices()
    model.loss(x, y)[0].backward()
    expected = reference(model, x, y)
    if tie:
        one_role = expected["embedding.weight"]
        expected["embedding.weight"] = one_role + expected.pop("head.weight")
        assert error(model.embedding.weight.grad, one_role) > 0.1  # half of the gradient would be found
    own = dict(model.named_parameters())
    assert own.keys() == expected.keys()
    assert max(error(p.grad, expected[name]) for name, p in own.items()) < 2e-5


@pytest.mark.parametrize("tie", [False, True])
def test_the_loss_is_that_of_the_scores(tie):
    model, x, y = model_of("lstm", tie=tie), indices(), indices()
    scores, state = model(x)
    loss, after = model.loss(x, y)
    torch.testing.assert_close(loss, functional.cross_entropy(scores.flatten(0, 1), y.flatten()))
    assert all(torch.equal(a, b) for a, b in zip(state, after))


def test_dropout_is_of_the_vectors_between_the_layers_and_of_the_outputs():
    """The masks are drawn in that order, and what each one is multiplied with is written out."""
    model, x = model_of("gru", tie=False, dropout=0.4), indices()
    torch.manual_seed(5)
    found, _ = model(x)
    layers = [tidegate.GRU(E, H), tidegate.GRU(H, H)]
    for k, layer in enumerate(layers):
        own = model.recurrent.state_dict()
        layer.load_state_dict({name: own[name.replace("_l0", f"_l{k}")] for name in layer.state_dict()})
    torch.manual_seed(5)
    values = functional.dropout(model.embedding.weight[x], 0.4)
    for layer in layers:
        values = functional.dropout(layer(values)[0], 0.4)
    torch.testing.assert_close(found, model.head(values))
    assert not torch.allclose(found, model.eval()(x)[0])


@pytest.mark.parametrize("tie", [False, True])
def test_new_vectors_and_output_weights_are_uniform_and_the_bias_is_zero(tie):
    model = LanguageModel("gru", 600, 40, embedding=40, tie=tie)
    for weight in (model.embedding.weight, model.head.weight):
        assert 0.0999 < weight.max() < 0.1001
        assert -0.1001 < weight.min() < -0.0999
        assert abs(float(weight.detach().std()) - 0.2 / 12**0.5) < 1e-3
    assert not model.head.bias.any()
    assert model.tied == tie


def test_a_model_without_an_embedding_is_what_it_was():
    torch.manual_seed(3)
    model = LanguageModel("gru", V, H)
    torch.manual_seed(3)
    layer, head = tidegate.GRU(V, H), torch.nn.Linear(H, V)
    assert [name for name, _ in model.named_children()] == ["recurrent", "dropout", "head"]
    assert torch.equal(model.recurrent.weight_ih_l0, layer.weight_ih_l0)
    assert torch.equal(model.head.weight, head.weight)
    assert folded(model) is model


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("cell", [*CELLS, Leaky])
def test_the_model_on_class_indices_is_the_same_function(cell, tie):
    model, x = model_of(cell, tie=tie, dropout=0.3).eval(), indices()
    before = torch.get_rng_state()
    other = folded(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert other.embedding is None
    assert other.recurrent.input_size == V
    assert model.embedding is not None
    wide = copy.deepcopy(model).double()
    for a, b in ((model, other), (wide, folded(wide))):
        tolerance = 1e-5 if a.head.weight.dtype is torch.float32 else 1e-13
        torch.testing.assert_close(b(x)[0], a(x)[0], rtol=0, atol=tolerance)
    other.head.weight.data.zero_()  # a copy
    assert model.head.weight.any()


def test_a_parametrized_input_matrix_is_refused():
    model, x = model_of("gru", tie=True).eval(), indices()
    torch.nn.utils.parametrizations.weight_norm(model.recurrent, "weight_ih_l0")
    expected = model(x)[0]
    with pytest.raises(
        ArgumentError, match=r"`model` must have plain input weights .* got a parametrized weight_ih_l0"
    ):
        tidegate.stream(model)
    torch.nn.utils.parametrize.remove_parametrizations(model.recurrent, "weight_ih_l0")
    torch.testing.assert_close(folded(model)(x)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("cell", [*CELLS, Leaky])
def test_a_stream_takes_token_indices(cell, tie):
    model, x = model_of(cell, tie=tie).eval(), indices()
    s = tidegate.stream(model, B)
    found = torch.stack([torch.as_tensor(s.step(row)).clone() for row in x])
    torch.testing.assert_close(found, model(x)[0].detach(), rtol=0, atol=1e-5)
    with torch.no_grad():
        model.embedding.weight.mul_(-3)
    s.refresh()
    s.reset()
    other = torch.as_tensor(s.step(x[0]))
    torch.testing.assert_close(other, model(x[:1])[0][0].detach(), rtol=0, atol=1e-5)
    assert not torch.allclose(other, found[0], atol=1e-4)


def test_indices_are_checked():
    model = model_of("gru", tie=True)
    with pytest.raises(IndicesError, match=r"must be in 0\.\.12"):
        model(torch.full((T, B), V))
    with pytest.raises(ShapeError, match=r"`x` must hold token indices, int64 or int32 of shape .*got torch.float32"):
        model(torch.randn(T, B, E))
    with pytest.raises(ArgumentTypeError, match="`x` must be a tensor of token indices, got list"):
        model([[1, 2]])
    x = indices()
    assert torch.equal(model(x.int())[0], model(x)[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embedding": 0}, "`embedding` must be None or an integer of at least 1, got 0"),
        ({"embedding": 2.5}, "`embedding` must be None or an integer of at least 1, got 2.5"),
        ({"embedding": 5, "tie": True}, "`embedding` must be `hidden` = 7 with tie=True, .*got 5. Leave it out"),
    ],
)
def test_bad_sizes_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        LanguageModel("gru", V, H, **options)


def test_the_direct_road_is_not_taken_by_models_with_vectors(trainer_of):
    assert direct.usable(LanguageModel("gru", V, H), "cpu")
    assert not direct.usable(model_of("gru", tie=False), "cpu")
    assert not direct.usable(model_of("gru", tie=True), "cpu")
    trainer = trainer_of(embedding=8, tie=True, engine="cpu")
    assert trainer.direct is None
    assert trainer.engine == "cpu"


def stopped(trainer, after):
    interrupt = Interrupt()

    def after_step(trainer):
        if trainer.position.step == after:
            interrupt.received = 2

    with pytest.raises(Stopped):
        trainer.train(interrupt, after_step)
    return trainer


@pytest.mark.parametrize("fields", [{"embedding": 5}, {"embedding": 8, "tie": True}], ids=["free", "tied"])
def test_a_resumed_run_has_the_same_bits(trainer_of, tmp_path, fields):
    fields |= {"cell": "lstm", "layers": 2, "dropout": 0.2, "epochs": 1}
    straight = trainer_of(**fields)
    straight.train(Interrupt())
    checkpoint.save(tmp_path / "last.safetensors", snapshot.capture(stopped(trainer_of(**fields), 9)))
    resumed = trainer_of(**fields)
    snapshot.restore(resumed, checkpoint.load(tmp_path / "last.safetensors"))
    assert resumed.model.tied == fields.get("tie", False)
    resumed.train(Interrupt())
    one, other = snapshot.capture(straight).tensors, snapshot.capture(resumed).tensors
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []
    assert ("model.head.weight" in one) != straight.model.tied


@pytest.mark.parametrize("tie", [False, True])
@pytest.mark.parametrize("cell", [*CELLS, Leaky])
def test_a_saved_model_is_loaded(tmp_path, cell, tie):
    vocabulary = tidegate.text.Vocabulary.build("abcdefghijklm")
    model = LanguageModel(cell, len(vocabulary), H, layers=2, embedding=None if tie else E, tie=tie)
    tidegate.save(tmp_path / "run", model, vocabulary)
    found = tidegate.load(tmp_path / "run")
    assert found.model.tied == tie
    assert own_weights(found.model).keys() == own_weights(model).keys()
    x = torch.randint(len(vocabulary), (T, B))
    assert torch.equal(found.model(x)[0], model.eval()(x)[0])
    model.load_state_dict(found.model.state_dict())  # the usual road of torch


@pytest.mark.parametrize(
    "changes", [{"embedding": -1}, {"embedding": True}, {"tie": 1}, {"tie": True, "embedding": 4}, {"tie": True}]
)
def test_facts_of_a_table_that_are_not_valid_are_refused(tmp_path, changes):
    vocabulary = tidegate.text.Vocabulary.build("abcdefghijklm")
    tidegate.save(tmp_path / "run", LanguageModel("gru", len(vocabulary), H, embedding=E), vocabulary)
    saved = checkpoint.load(tmp_path / "run" / "best.safetensors")
    saved.facts["model"] |= changes
    checkpoint.save(tmp_path / "run" / "best.safetensors", saved)
    with pytest.raises(CheckpointError, match=r"does not contain valid facts|is the checkpoint of another run"):
        tidegate.load(tmp_path / "run")


def test_facts_of_a_model_without_a_table_are_what_they_were(tmp_path):
    vocabulary = tidegate.text.Vocabulary.build("abcdefghijklm")
    tidegate.save(tmp_path / "run", LanguageModel("gru", len(vocabulary), H), vocabulary)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert facts["model"].keys() == {"cell", "step", "hidden", "layers", "dropout"}


def test_a_recipe_of_before_is_read_and_a_tied_one_has_vectors_of_the_layer():
    old = asdict(Recipe(epochs=1))
    del old["embedding"], old["tie"]
    assert Recipe(**old) == Recipe(epochs=1)
    found = recipe("default", tie=True, hidden=12)
    assert (found.embedding, found.tie) == (12, True)
    assert recipe("default", tie=True).embedding == 256
    with pytest.raises(ArgumentError, match=r"--tie needs an --embedding of the size of --hidden, 12, .*got 9"):
        recipe("default", tie=True, hidden=12, embedding=9)
    with pytest.raises(ArgumentError, match=r"--embedding must be an integer of at least 0"):
        recipe("default", embedding=-1)


def test_a_table_that_is_not_finite_is_named():
    model, x = model_of("gru", tie=False), indices()
    with torch.no_grad():
        model.embedding.weight[x[2, 1], 0] = torch.nan
    assert guard.first_bad(model, x, x, None) == "Not finite: embedding.weight."
    with pytest.raises(ArgumentError, match=r"`model` cannot be measured: embedding.weight has values"):
        tidegate.insight.gates(model, x)


@pytest.mark.parametrize("tie", [False, True])
def test_a_gradient_that_is_not_finite_is_named(tie):
    model, x = model_of("gru", tie=tie), indices()
    with torch.no_grad():
        model.head.bias[0] = torch.inf
    found = guard.first_bad(model, x, x, None)
    assert found.startswith("Not finite, 1 step back through time: the gradient of")


@pytest.mark.parametrize("tie", [False, True])
def test_an_insight_reads_the_model(tie):
    model, x = model_of("lstm", tie=tie).eval(), torch.randint(V, (20, 2))
    found = tidegate.insight.gates(model, x)
    twin = tidegate.insight.gates(folded(copy.deepcopy(model).double()), x)
    assert repr(found) == repr(twin)
