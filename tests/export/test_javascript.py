"""JavaScript from the equations: its numbers are Python's, in a real browser and in node."""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from tests.export.cells import Everything

import tidegate
from tidegate.calculus import operations
from tidegate.calculus.expression import Expression, symbol
from tidegate.cells import CELLS
from tidegate.errors import ArgumentError, ArgumentTypeError
from tidegate.export import STORAGES, javascript
from tidegate.export.element_wise import FUNCTIONS, OPERATORS, literal, statements
from tidegate.train.model import LanguageModel

V, STEPS = 13, 500
ALL = {**CELLS, "own": Everything}
#: (sequence of indices) -> log-probabilities (T, V) after each, states and gates by layer and name, at the end
WALK = """
function walk(model, indices) {
  let state = model.start(), last = null;
  const logs = [];
  for (const index of indices) {
    last = model.step(state, index);
    state = last.state;
    const highest = Math.max(...last.scores);
    const sum = highest + Math.log(last.scores.reduce((total, s) => total + Math.exp(s - highest), 0));
    logs.push(Array.from(last.scores, (s) => s - sum));
  }
  const plain = (layers) => layers.map((named) =>
    Object.fromEntries(Object.entries(named).map(([name, values]) => [name, Array.from(values)])));
  return { logs, state: plain(state), gates: plain(last.gates) };
}
"""


def make_model(cell, *, layers=1, hidden=7, seed=3, tie=False):
    torch.manual_seed(seed)
    model = LanguageModel(cell, V, hidden, layers=layers, tie=tie).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.mul_(20 if name == "embedding.weight" else 2)
    return model


def indices():
    return np.random.default_rng(5).integers(0, V, STEPS).tolist()


@torch.no_grad()
def in_python(model, sequence):
    """Log-probabilities, states and gates at the end, in float64 by the reference engine."""
    model = model.double()
    model.recurrent.engine = "reference"
    x = torch.tensor(sequence)[:, None]
    traced = tidegate.trace(model.recurrent, model.inputs(x))
    scores = model.head(traced.outputs)
    step = model.step
    layers = range(model.recurrent.num_layers)
    return (
        scores.log_softmax(-1)[:, 0].numpy(),
        [{s: traced[f"{s}_l{k}"][-1, 0].numpy() for s in step.state} for k in layers],
        [{g: traced[f"{g}_l{k}"][-1, 0].numpy() for g in step.gates} for k in layers],
    )


def check_equal(found, expected, tolerance=1e-5):
    logs, states, gates = expected
    assert np.ptp(logs) > 1
    np.testing.assert_allclose(found["logs"], logs, rtol=0, atol=tolerance)
    for mine, theirs in ((found["state"], states), (found["gates"], gates)):
        assert [list(named) for named in mine] == [list(named) for named in theirs]
        for one, other in zip(mine, theirs):
            for name, values in other.items():
                np.testing.assert_allclose(one[name], values, rtol=tolerance, atol=tolerance)


def in_node(script):
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed; the test in the browser is the proof")
    run = subprocess.run([node, "-"], input=script, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", ALL)
def test_log_probabilities_in_node_are_those_of_python(name, layers):
    model, sequence = make_model(ALL[name], layers=layers), indices()
    script = javascript(model).script() + WALK + f"console.log(JSON.stringify(walk(model, {sequence})));"
    check_equal(in_node(script), in_python(model, sequence))


def test_token_vectors_are_multiplied_into_the_input_weights():
    model, sequence = make_model(CELLS["lstm"], layers=2, tie=True), indices()
    script = javascript(model).script() + WALK + f"console.log(JSON.stringify(walk(model, {sequence})));"
    check_equal(in_node(script), in_python(model, sequence))


@pytest.mark.parametrize("name", ALL)
def test_log_probabilities_in_a_browser_are_those_of_python(name, open_page):
    model, sequence = make_model(ALL[name], layers=2), indices()
    page = open_page(f"<!DOCTYPE html><title>t</title><script>{javascript(model).script()}{WALK}</script>")
    found = page.execute_script("return JSON.stringify(walk(model, arguments[0]))", sequence)
    check_equal(json.loads(found), in_python(model, sequence))


def test_a_planted_error_in_the_equations_is_found():
    model, sequence = make_model(CELLS["gru"]), indices()
    script = javascript(model).script()
    assert script.count("1.0 - ") == 1  # of (1 - z) * n
    wrong = script.replace("1.0 - ", "1.001 - ") + WALK + f"console.log(JSON.stringify(walk(model, {sequence})));"
    with pytest.raises(AssertionError):
        check_equal(in_node(wrong), in_python(model, sequence))


def test_weights_in_float16_give_the_numbers_of_the_rounded_model():
    model, sequence = make_model(CELLS["lstm"]), indices()
    with torch.no_grad():
        model.head.weight[0, 0] = 3e-6  # subnormal in float16
    script = javascript(model, storage="float16").script() + WALK
    found = in_node(script + f"console.log(JSON.stringify(walk(model, {sequence})));")
    with pytest.raises(AssertionError):
        check_equal(found, in_python(make_model(CELLS["lstm"]), sequence))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half())
    check_equal(found, in_python(model, sequence))


def test_a_layer_without_biases_is_exported_with_zeros():
    model, sequence = make_model(CELLS["gru"]), indices()
    model.recurrent = tidegate.GRU(V, 7, bias=False).eval()
    script = javascript(model).script() + WALK + f"console.log(JSON.stringify(walk(model, {sequence})));"
    check_equal(in_node(script), in_python(model, sequence))


def test_a_unit_held_at_a_value_has_it_in_the_state_and_in_the_scores():
    model = make_model(CELLS["lstm"], layers=2)
    held = """
    const hold = (layer, values) => { if (layer === 1) { values.h.fill(0); values.c[2] = 4; } };
    const after = model.step(model.start(), 5, hold);
    console.log(JSON.stringify({ scores: [...after.scores], c: after.state[1].c[2], free: after.state[0].h[1] }));
    """
    found = in_node(javascript(model).script() + held)
    np.testing.assert_allclose(found["scores"], model.head.bias.detach().numpy(), rtol=1e-6)
    assert found["c"] == 4
    assert found["free"] != 0


@pytest.mark.parametrize("index", ["-1", "13", "1.5", "undefined"])
def test_an_index_that_is_no_token_is_an_error(index):
    script = javascript(make_model(CELLS["rnn"])).script()
    message = in_node(
        script
        + f"try {{ model.step(model.start(), {index}); }} catch (e) {{ console.log(JSON.stringify(e.message)); }}"
    )
    assert message == f"the index of a token must be an integer from 0 to 12, got {index}"


def test_every_primitive_operation_is_in_the_table_and_no_other():
    assert set(OPERATORS) == {o.name for o in operations.OPERATIONS.values() if o.definition is None}


NUMBERS = (-8e307, -800.0, -40.0, -2.5, -1e-9, 0.0, 1e-9, 0.3, 1.0, 40.0, 800.0, 8e307)


@pytest.mark.parametrize("operation", operations.OPERATIONS.values(), ids=lambda o: o.name)
def test_each_operation_has_the_value_of_python_also_at_large_numbers(operation):
    x, y = symbol("x"), symbol("y")
    node = Expression(operation.name, *(x, y)[: operation.arity])
    lines, (value,) = statements([node], {x: "x", y: "y"})
    function = f"{FUNCTIONS}\nconst f = (x, y) => {{ {' '.join(lines)} return {value}; }};"
    pairs = [(a, b) for a in NUMBERS for b in (NUMBERS if operation.arity == 2 else (0.0,))]
    found = in_node(f"{function} console.log(JSON.stringify({json.dumps(pairs)}.map((p) => String(f(...p)))))")
    for pair, text in zip(pairs, found):
        with np.errstate(all="ignore"):
            expected = in_numpy(operation.name, *pair[: operation.arity])
        np.testing.assert_allclose(float(text.replace("Infinity", "inf")), expected, rtol=1e-14, err_msg=f"{pair}")


def in_numpy(name, *args):
    known = {
        "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative,
        "maximum": np.maximum, "abs": np.abs, "exp": np.exp, "log": np.log, "log1p": np.log1p, "sqrt": np.sqrt,
        "tanh": np.tanh, "sign": np.sign, "relu": lambda x: np.maximum(x, 0), "step": lambda x: float(x > 0),
        "sigmoid": lambda x: torch.sigmoid(torch.tensor(x, dtype=torch.float64)).item(),
        "softplus": lambda x: np.logaddexp(0, x),
    }  # fmt: skip
    return known[name](*map(np.float64, args))


def test_no_name_can_end_a_script_element():
    assert "</" not in javascript(make_model(Everything)).source
    assert json.loads(literal("</script>é")) == "</script>é"
    assert "<" not in literal(["</script>", {"<!--": 1}])


def test_other_models_storages_and_weights_are_refused():
    with pytest.raises(ArgumentTypeError, match=re.escape("`model` must be a tidegate.LanguageModel, got Linear")):
        javascript(torch.nn.Linear(2, 2))
    model = make_model(CELLS["rnn"])
    with pytest.raises(ArgumentError, match=f"`storage` must be one of {', '.join(STORAGES)}, got 'int8'"):
        javascript(model, storage="int8")
    with torch.no_grad():
        model.head.bias[0] = 70_000
    assert len(javascript(model).numbers) % 4 == 0
    with pytest.raises(ArgumentError, match="too large for float16"):
        javascript(model, storage="float16")
    with torch.no_grad():
        model.head.bias[0] = torch.nan
    with pytest.raises(ArgumentError, match="NaN"):
        javascript(model)
