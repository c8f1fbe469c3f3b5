"""A twin has what torch.nn's class has, by the same names, and nothing public beside it but a short documented list."""

import inspect
import io
import pickle
import pydoc
import re
from pathlib import Path

import pytest
import torch
from torch import nn

import tidegate
from tidegate.calculus import trace

DOCUMENTED = {"cell", "engine", "recompute", "gate_parameters"}
LAYERS = ["RNN", "GRU", "LSTM"]
CELLS = ["RNNCell", "GRUCell", "LSTMCell"]
OPTIONS = [
    {},
    {"num_layers": 2, "bias": False, "batch_first": True},
    {"num_layers": 2, "dropout": 0.5, "bidirectional": True},
    {"dtype": torch.float64},
]
each_layer = pytest.mark.parametrize("name", LAYERS)
each_twin = pytest.mark.parametrize("name", LAYERS + CELLS)


def both(name: str, **options) -> tuple[nn.Module, nn.Module]:
    """Ours and torch.nn's, of the same seed."""
    made = []
    for library in (tidegate, nn):
        torch.manual_seed(0)
        made.append(getattr(library, name)(3, 4, **options))
    return made[0], made[1]


@each_twin
def test_a_twin_has_the_public_names_of_torch_and_the_documented_additions(name):
    ours, theirs = both(name)
    expected = DOCUMENTED if name in LAYERS else DOCUMENTED - {"recompute"}
    for a, b in ((ours, theirs), (type(ours), type(theirs))):
        assert {n for n in set(dir(a)) - set(dir(b)) if not n.startswith("_")} == expected
        assert not set(dir(b)) - set(dir(a))
    assert not hasattr(ours, "weight")


def test_the_documented_names_are_documented():
    page = (Path(__file__).parents[2] / "docs" / "drop-in.md").read_text()
    (listed,) = re.findall(r"no public attribute .*? lacks, except (.*?)\|", page)
    assert set(re.findall(r"`(\w+)`", listed)) == DOCUMENTED


@each_twin
def test_the_equations_of_a_twin_are_found_as_documented(name):
    ours, _ = both(name)
    assert trace(ours.cell).name == name.removesuffix("Cell")
    assert not hasattr(ours, "step")
    page = (Path(__file__).parents[2] / "docs" / "drop-in.md").read_text()
    assert "`tidegate.calculus.trace(layer.cell)` for every layer and cell" in page


@each_twin
def test_arguments_have_the_names_order_and_defaults_of_torch(name):
    ours = inspect.signature(getattr(tidegate, name)).parameters
    documented = getattr(nn, name).__doc__.partition("\n")[0]
    written = re.search(r"__init__\((.*)\)", documented)
    if written is None:
        theirs = {n: p.default for n, p in inspect.signature(getattr(nn, name)).parameters.items()}
    else:
        pairs = [argument.partition("=") for argument in written.group(1).split(",")]
        theirs = {n: eval(value) if equals else inspect.Parameter.empty for n, equals, value in pairs}
    positional = {n: p.default for n, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD}
    assert list(positional.items()) == list(theirs.items())


@each_twin
@pytest.mark.parametrize("options", OPTIONS)
def test_a_repr_is_that_of_torch_and_the_engine(name, options):
    options = {n: v for n, v in options.items() if name in LAYERS or n in ("bias", "dtype")}
    ours, theirs = both(name, **options)
    assert ours.extra_repr() == theirs.extra_repr() + ", engine='auto'"


@each_layer
@pytest.mark.parametrize("options", OPTIONS)
def test_the_methods_of_rnn_base_return_what_those_of_torch_return(name, options):
    ours, theirs = both(name, **options)
    x = torch.randn(2, 5, 3, dtype=options.get("dtype"))
    sizes = torch.tensor([2, 2, 1])
    packed = torch.randn(5, 3, dtype=options.get("dtype"))
    assert ours.get_expected_hidden_size(x, None) == theirs.get_expected_hidden_size(x, None)
    assert ours.get_expected_hidden_size(packed, sizes) == theirs.get_expected_hidden_size(packed, sizes)
    ours.check_input(x, None)
    ours.check_input(packed, sizes)
    with pytest.raises(RuntimeError, match="input_size"):
        ours.check_input(x[..., :2], None)
    h = torch.randn(ours.get_expected_hidden_size(x, None))
    ours.check_hidden_size(h, ours.get_expected_hidden_size(x, None))
    ours.check_forward_args(x, (h, h) if name == "LSTM" else h, None)
    order = torch.tensor([1, 0])
    given = (h, h) if name == "LSTM" else h
    for a, b in zip(torch.utils._pytree.tree_leaves(ours.permute_hidden(given, order)), (h, h)):
        assert torch.equal(a, b[:, order])
    assert ours.mode == theirs.mode
    assert ours.__constants__ == theirs.__constants__


@each_layer
def test_flat_weights_and_all_weights_are_the_parameters(name):
    ours, theirs = both(name, num_layers=2, bidirectional=True)

    def check() -> None:
        assert ours._flat_weights_names == theirs._flat_weights_names
        assert all(a is b for a, b in zip(ours._flat_weights, ours.parameters(), strict=True))
        assert [len(weights) for weights in ours.all_weights] == [len(weights) for weights in theirs.all_weights]
        flat = [w for weights in ours.all_weights for w in weights]
        assert all(w is getattr(ours, n) for n, w in zip(ours._flat_weights_names, flat, strict=True))

    check()
    ours.double().float()
    ours.flatten_parameters()
    check()
    ours.weight_hh_l0 = nn.Parameter(torch.ones_like(ours.weight_hh_l0))
    check()


@each_twin
def test_a_pickled_module_of_torch_loads_as_a_twin(name):
    _, theirs = both(name)

    class Loader(pickle.Unpickler):
        def find_class(self, module, found):
            return getattr(tidegate, name) if found == name else super().find_class(module, found)

    ours = Loader(io.BytesIO(pickle.dumps(theirs))).load()
    assert type(ours) is getattr(tidegate, name)
    assert repr(ours) == repr(theirs)[:-1] + ", engine='auto')"
    x = torch.randn(5, 3)
    for a, b in zip(*(torch.utils._pytree.tree_leaves(m(x)) for m in (ours, theirs)), strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    assert repr(pickle.loads(pickle.dumps(ours))) == repr(ours)


@each_twin
def test_help_explains_the_call(name):
    shown = " ".join(pydoc.render_doc(getattr(tidegate, name), renderer=pydoc.plaintext).replace("|", "").split())
    own = " ".join(inspect.getdoc(getattr(tidegate, name)).split())
    words = ["class indices", "0 <= index < D", "zeros by default", "engine"]
    words += ["lengths: (B,)", "0..T", "resets: (B, T)", "torch.bool", "recompute"] if name in LAYERS else []
    for word in words:
        assert word in own
        assert word in shown


@each_twin
def test_a_cell_or_layer_of_size_zero_is_that_of_torch(name):
    if name in LAYERS:
        for library in (nn, tidegate):
            with pytest.raises(ValueError, match="hidden_size"):
                getattr(library, name)(3, 0)
        return
    for sizes in ((3, 0), (0, 4)):
        torch.manual_seed(0)
        ours = getattr(tidegate, name)(*sizes)
        torch.manual_seed(0)
        theirs = getattr(nn, name)(*sizes)
        x = torch.randn(2, sizes[0])
        for a, b in zip(*(torch.utils._pytree.tree_leaves(m(x)) for m in (ours, theirs)), strict=True):
            assert a.shape == b.shape
            assert torch.allclose(a, b, atol=1e-6)
