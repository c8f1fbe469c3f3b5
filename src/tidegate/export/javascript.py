"""A language model as a JavaScript program without dependencies, for a browser or any other JavaScript engine."""

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from torch import Tensor

from tidegate.calculus import Step
from tidegate.calculus.expression import Expression
from tidegate.errors import ArgumentError, ArgumentTypeError
from tidegate.export.element_wise import FUNCTIONS, literal, statements
from tidegate.nn.equations import step_of
from tidegate.nn.stack import read_weights
from tidegate.train.model import LanguageModel, folded

#: The types in which weights can be written, as NumPy's little-endian types.
STORAGES = MappingProxyType({"float32": "<f4", "float16": "<f2"})


@dataclass(frozen=True)
class JavaScript:
    """A model as JavaScript.

    source: an expression, `function (base64) -> model`. numbers: all weights in the order in which the program reads
    them, little-endian, in the type `storage`. The arithmetic of the program is in double precision.

        model.vocabulary, model.hidden, model.layers, model.states, model.gates      sizes and names
        model.start()                     the state zero: for each layer {h: Float64Array(H), ...}
        model.step(state, index, hold)    {scores: Float64Array(V), state, gates}: the scores of the next token
                                          before the softmax; states and gates by name, for each layer

    `step` does not change its arguments. `hold(layer, values)` is optional: it is called with the new states of each
    layer, by name, before they are used, and may change them, for example to hold a unit at a value.
    """

    source: str
    numbers: bytes
    storage: str

    @property
    def base64(self) -> str:
        return base64.b64encode(self.numbers).decode("ascii")

    def script(self, name: str = "model") -> str:
        """A complete script that defines the constant `name`, with the weights inside."""
        return f'const {name} = ({self.source})("{self.base64}");\n'


def javascript(model: LanguageModel, *, storage: str = "float32") -> JavaScript:
    """The program of a language model, from the traced equations of its cell.

    A table of token vectors is multiplied into the input weights of the first layer.

    `storage` is the type in which the weights are written, "float32" or "float16". Raises ArgumentTypeError for
    anything but a LanguageModel, and ArgumentError for another storage, or for weights that are not finite in it.
    """
    if not isinstance(model, LanguageModel):
        raise ArgumentTypeError(f"`model` must be a tidegate.LanguageModel, got {type(model).__name__}.")
    if storage not in STORAGES:
        raise ArgumentError(f"`storage` must be one of {', '.join(STORAGES)}, got {storage!r}.")
    model = folded(model)
    with np.errstate(over="ignore"):
        written = np.concatenate([w.ravel() for w in weights(model)]).astype(STORAGES[storage])
    if not np.isfinite(written).all():
        raise ArgumentError(
            f"`model` has weights that are NaN, infinite, or too large for {storage}, so it cannot be exported."
        )
    return JavaScript(program(model, storage), written.tobytes(), storage)


def weights(model: LanguageModel) -> Iterable[np.ndarray]:
    """All weights in the order in which the program takes them; absent biases are zeros.

    W_ih of the first layer is transposed, so that its product with a one-hot token is one row. In all other matrices a
    row contains the weights of one output.
    """
    for k, w in enumerate(read_weights(model.recurrent)):
        w_ih = array(w.w_ih)
        yield w_ih.T if k == 0 else w_ih
        yield array(w.b_ih) if w.b_ih is not None else np.zeros(len(w.w_ih))
        yield array(w.w_hh)
        yield array(w.b_hh) if w.b_hh is not None else np.zeros(len(w.w_hh))
        if w.vectors is not None:
            yield array(w.vectors)
    yield array(model.head.weight)
    yield array(model.head.bias)


def array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().double().cpu().numpy()


def program(model: LanguageModel, storage: str) -> str:
    """The text of the program."""
    step = step_of(model.recurrent)
    V, H = model.head.weight.shape
    return TEMPLATE % {
        "V": V,
        "H": H,
        "layers": model.recurrent.num_layers,
        "inputs": len(step.inputs),
        "products": len(step.products),
        "vectors": len(step.vectors),
        "states": literal(step.state),
        "gates": literal(step.gates),
        "functions": indented(FUNCTIONS, 2),
        "decode": indented(DECODE[storage], 2),
        "advance": indented("\n".join(advance(step)), 4),
    }


def advance(step: Step) -> Iterable[str]:
    """The statements of one step of one layer: stages of recurrent products, then gates and states, unit by unit."""
    given: dict[Expression, str] = {}
    for leaves, form in ((step.a, "a[{} * H + j]"), (step.q, "q[{} * H + j]"), (step.v, "v[{} * H + j]")):
        given |= {leaf: form.format(k) for k, leaf in enumerate(leaves.values())}
    for k, (name, leaf) in enumerate(step.old.items()):
        given[leaf] = f"s{k}[j]"
        yield f"const s{k} = old[{literal(name)}];"
    for k, stage in enumerate(step.stages):
        yield f"const p{k} = new Float64Array(H);"
        yield from over_units([stage.operand], [f"p{k}"], given)
        for gate in stage.gates:
            at = step.products.index(gate)
            yield f"product(w.hh, w.bh, p{k}, q, {at} * H, {at + 1} * H);"
    results = {f"gates[{literal(g)}]": e for g, e in step.gate.items()}
    results |= {f"state[{literal(s)}]": e for s, e in step.new.items()}
    for k, place in enumerate(results):
        yield f"const o{k} = {place} = new Float64Array(H);"
    yield from over_units(list(results.values()), [f"o{k}" for k in range(len(results))], given)


def over_units(results: list[Expression], places: list[str], given: dict[Expression, str]) -> Iterable[str]:
    lines, values = statements(results, given)
    yield "for (let j = 0; j < H; j++) {"
    yield from (f"  {line}" for line in lines)
    yield from (f"  {place}[j] = {value};" for place, value in zip(places, values))
    yield "}"


def indented(text: str, by: int) -> str:
    return text.replace("\n", "\n" + " " * by)


TEMPLATE = """\
function (base64) {
  "use strict";
  const V = %(V)d, H = %(H)d, LAYERS = %(layers)d, INPUTS = %(inputs)d, PRODUCTS = %(products)d, VECTORS = %(vectors)d;
  const STATES = %(states)s, GATES = %(gates)s;

  %(functions)s

  %(decode)s

  // out[i] = sum over j of matrix[i, j] p[j] + bias[i], for the rows i from `first` to `last` - 1
  function product(matrix, bias, p, out, first, last) {
    const n = p.length;
    for (let i = first, at = first * n; i < last; i++) {
      let sum = bias[i];
      for (let j = 0; j < n; j++) sum += matrix[at++] * p[j];
      out[i] = sum;
    }
  }

  const numbers = decode(base64);
  let taken = 0;
  const take = (count) => numbers.subarray(taken, (taken += count));
  const layers = [];
  for (let k = 0; k < LAYERS; k++) {
    const D = k ? H : V;
    layers.push({
      ih: take(INPUTS * H * D), bi: take(INPUTS * H), hh: take(PRODUCTS * H * H), bh: take(PRODUCTS * H),
      vectors: take(VECTORS * H),
    });
  }
  const head = take(V * H), headBias = take(V);
  if (taken !== numbers.length) throw new Error("the weights do not fit the program");

  function advance(w, a, old) {
    const v = w.vectors, q = new Float64Array(PRODUCTS * H), gates = {}, state = {};
    %(advance)s
    return { gates, state };
  }

  function step(states, index, hold) {
    if (!(Number.isInteger(index) && index >= 0 && index < V)) {
      throw new RangeError("the index of a token must be an integer from 0 to " + (V - 1) + ", got " + index);
    }
    const state = [], gates = [];
    for (let k = 0; k < LAYERS; k++) {
      const w = layers[k], a = new Float64Array(INPUTS * H);
      if (k === 0) for (let i = 0; i < a.length; i++) a[i] = w.ih[index * a.length + i] + w.bi[i];
      else product(w.ih, w.bi, state[k - 1][STATES[0]], a, 0, a.length);
      const made = advance(w, a, states[k]);
      if (hold) hold(k, made.state);
      state.push(made.state);
      gates.push(made.gates);
    }
    const scores = new Float64Array(V);
    product(head, headBias, state[LAYERS - 1][STATES[0]], scores, 0, V);
    return { scores, state, gates };
  }

  function start() {
    const zeros = () => Object.fromEntries(STATES.map((name) => [name, new Float64Array(H)]));
    return Array.from({ length: LAYERS }, zeros);
  }

  return { vocabulary: V, hidden: H, layers: LAYERS, states: STATES, gates: GATES, start, step };
}"""

# DataView fixes the order of bytes, which typed arrays take from the machine.
_BYTES = """\
function decode(base64) {
  const text = atob(base64), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const view = new DataView(bytes.buffer), out = new Float32Array(bytes.length / %d);
  for (let i = 0; i < out.length; i++) out[i] = %s;
  return out;
}"""

DECODE = {
    "float32": _BYTES % (4, "view.getFloat32(4 * i, true)"),
    "float16": _BYTES % (2, "half(view.getUint16(2 * i, true))") + """

// the value of 16 bits: 1 sign, 5 exponent, 10 fraction
function half(bits) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023;
  const size = exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24;
  return bits & 32768 ? -size : size;
}""",
}  # fmt: skip
