"""Every wrong call gets one sentence: the argument, what was expected with symbol and number, what came, the remedy."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_padded_sequence

import tidegate
from tidegate import ArgumentError, EngineError, ShapeError
from tidegate.nn import build_layer

x = torch.zeros(5, 2, 3)
GRU, LSTM = tidegate.GRU(3, 4), tidegate.LSTM(3, 4)
FIRST = tidegate.GRU(3, 4, batch_first=True)
BOTH = tidegate.GRU(3, 4, 2, bidirectional=True)
packed = pack_padded_sequence(x, torch.tensor([5, 3]))
ids = torch.zeros(5, 2, dtype=torch.int64)
resets = torch.zeros(2, 5, dtype=torch.bool)

TABLE = [
    # constructors
    (lambda: tidegate.GRU(0, 4), ArgumentError, "`input_size` must be an integer >= 1, got 0."),
    (lambda: tidegate.LSTM(3, 4.0), ArgumentError, "`hidden_size` must be an integer >= 1, got 4.0."),
    (lambda: tidegate.RNN(3, 4, -1), ArgumentError, "`num_layers` must be an integer >= 1, got -1."),
    (lambda: tidegate.ResetBeforeGRU(3, 4, bias=1), ArgumentError, "`bias` must be True or False, got 1."),
    (lambda: tidegate.GRU(3, 4, batch_first=None), ArgumentError, "`batch_first` must be True or False, got None."),
    (lambda: tidegate.GRU(3, 4, recompute=2), ArgumentError, "`recompute` must be True or False, got 2."),
    (lambda: tidegate.GRU(3, 4, 2, dropout=1.5), ArgumentError, "`dropout` must be a number in 0..1, got 1.5."),
    (lambda: tidegate.GRU(3, 4, 2, dropout="a"), ArgumentError, "`dropout` must be a number in 0..1, got 'a'."),
    (
        lambda: tidegate.RNN(3, 4, nonlinearity="elu"),
        ArgumentError,
        '`nonlinearity` of RNN must be "tanh" or "relu", got \'elu\'.',
    ),
    (
        lambda: tidegate.ResidualRNN(3, 4, nonlinearity="relu"),
        ArgumentError,
        '`nonlinearity` of ResidualRNN must be "tanh" or "sigmoid", got \'relu\'.',
    ),
    (
        lambda: tidegate.LSTM(3, 4, proj_size=4),
        ArgumentError,
        "`proj_size` of LSTM must be in 0..H-1 = 0..3, 0 for no projection, got 4.",
    ),
    (
        lambda: tidegate.GRU(3, 4, engine="gpu"),
        ArgumentError,
        "`engine` must be one of auto, cpu, torch, eager, reference, got 'gpu'.",
    ),
    (
        lambda: build_layer("mgu", 3, 4),
        ArgumentError,
        "`cell` must be one of rnn, rnn-relu, residual, residual-sigmoid, gru, reset-before-gru, reset-only-gru, "
        "update-only-gru, lstm, peephole-lstm, or FILE.py:CLASS, got 'mgu'.",
    ),
    (
        lambda: tidegate.Recurrent("gru", 3, 4),
        ArgumentError,
        "`cell` must be a class that derives from tidegate.Cell, or a traced Step, got 'gru'. "
        'A layer by name is tidegate.nn.build_layer("gru", ...).',
    ),
    (
        lambda: tidegate.nn.RecurrentCell(int, 3, 4),
        ArgumentError,
        "`cell` must be a class that derives from tidegate.Cell, or a traced Step, got <class 'int'>. "
        'A layer by name is tidegate.nn.build_layer("gru", ...).',
    ),
    (
        lambda: tidegate.why(torch.nn.GRU(3, 4), x),
        ArgumentError,
        "`layer` must be a layer of tidegate, such as tidegate.GRU, got GRU. "
        "tidegate.convert.replace_layers(model) replaces those of torch.nn.",
    ),
    # input
    (
        lambda: GRU(x.to_sparse()),
        ArgumentError,
        "GRU: `input` must be a dense tensor of real numbers, got torch.float32 in the layout torch.sparse_coo. "
        "Use input.to_dense(), or input.real and input.imag as features.",
    ),
    (
        lambda: GRU(x.to(torch.complex64)),
        ArgumentError,
        "GRU: `input` must be a dense tensor of real numbers, got torch.complex64 in the layout torch.strided. "
        "Use input.to_dense(), or input.real and input.imag as features.",
    ),
    (
        lambda: GRU(torch.zeros(5, 2, 7)),
        ShapeError,
        "GRU: `input` must have shape (T, B, D) or (T, D) with D = input_size = 3, got (5, 2, 7).",
    ),
    (
        lambda: FIRST(torch.zeros(3)),
        ShapeError,
        "GRU: `input` must have shape (B, T, D) or (T, D) with D = input_size = 3, got (3,).",
    ),
    (
        lambda: LSTM(torch.zeros(0, 2, 3)),
        ShapeError,
        "LSTM: `input` must have at least one step, got T = 0 in (0, 2, 3).",
    ),
    (
        lambda: GRU(np.zeros((5, 2, 3))),
        ArgumentError,
        "GRU: `input` must be a tensor or a PackedSequence, got ndarray. Use torch.as_tensor(input).",
    ),
    (
        lambda: GRU(x.double()),
        ArgumentError,
        "GRU: `input` must be torch.float32 like the weights, got torch.float64. Use input.to(torch.float32).",
    ),
    (
        lambda: GRU(x.to("meta")),
        ArgumentError,
        'GRU: `input` must be on cpu like the weights, got meta. Use input.to("cpu").',
    ),
    (
        lambda: GRU(torch.zeros(5, 2, 3, dtype=torch.int64)),
        ShapeError,
        "GRU: an integer `input` holds class indices, int64 or int32 of shape (T, B) or (T,), got torch.int64 of shape "
        "(5, 2, 3). For features use input.float().",
    ),
    (
        lambda: GRU(ids.bool()),
        ShapeError,
        "GRU: an integer `input` holds class indices, int64 or int32 of shape (T, B) or (T,), got torch.bool of shape "
        "(5, 2). For features use input.float().",
    ),
    (
        lambda: GRU(ids + 3),
        ArgumentError,
        "class indices in `input` must be in 0..2 (input_size D = 3), got 3..3.",
    ),
    (
        lambda: GRU(ids - 1),
        ArgumentError,
        "class indices in `input` must be in 0..2 (input_size D = 3), got -1..-1.",
    ),
    # packed sequences
    (
        lambda: tidegate.GRU(7, 4)(packed),
        ShapeError,
        "GRU: `input` must have shape (sum of lengths, D) with D = input_size = 7, got (8, 3).",
    ),
    (
        lambda: GRU(packed, lengths=[5, 3]),
        ArgumentError,
        "`lengths` cannot be combined with a PackedSequence, which has its own lengths, got both. Leave `lengths` "
        "out, or pass the padded tensor with `lengths`.",
    ),
    (
        lambda: GRU(packed, resets=resets),
        ArgumentError,
        "`resets` cannot be combined with a PackedSequence, which has its own lengths, got both. Leave `resets` "
        "out, or pass the padded tensor with `lengths`.",
    ),
    # lengths
    (
        lambda: GRU(x, lengths=[5]),
        ShapeError,
        "`lengths` must have shape (B,) = (2,), one for each sequence, got (1,).",
    ),
    (lambda: GRU(x, lengths=[5, 6]), ArgumentError, "`lengths` must be in 0..T = 0..5, got 5..6."),
    (lambda: GRU(x, lengths=torch.tensor([-1, 2])), ArgumentError, "`lengths` must be in 0..T = 0..5, got -1..2."),
    (
        lambda: GRU(x, lengths=torch.tensor([5.0, 2.0])),
        ArgumentError,
        "`lengths` must be integers, got torch.float32. Use lengths.long().",
    ),
    (
        lambda: GRU(x, lengths=["5", "2"]),
        ArgumentError,
        "`lengths` must be 2 integers, a tensor or a list, got ['5', '2'].",
    ),
    # resets
    (
        lambda: GRU(x, resets=resets.T),
        ShapeError,
        "`resets` must have shape (B, T) = (2, 5), got (5, 2). Use resets.T.",
    ),
    (lambda: GRU(x[:, 0], resets=resets), ShapeError, "`resets` must have shape (T,) = (5,), got (2, 5)."),
    (
        lambda: GRU(x, resets=resets.long()),
        ArgumentError,
        "`resets` must be a tensor of torch.bool, got torch.int64. Use resets.bool().",
    ),
    (
        lambda: GRU(x, resets=[[True] * 5] * 2),
        ArgumentError,
        "`resets` must be a tensor of torch.bool, got list. Use torch.tensor(resets, dtype=torch.bool).",
    ),
    (
        lambda: GRU(x, resets=resets.to("meta")),
        ArgumentError,
        '`resets` must be on cpu like x, got meta. Use resets.to("cpu").',
    ),
    # states
    (
        lambda: GRU(x, torch.zeros(2, 4)),
        ShapeError,
        "`h_0` must have shape (layers * directions, B, H) = (1, 2, 4), got (2, 4). Use h_0.unsqueeze(0).",
    ),
    (
        lambda: BOTH(x, torch.zeros(2, 2, 4)),
        ShapeError,
        "`h_0` must have shape (layers * directions, B, H) = (4, 2, 4), got (2, 2, 4). It needs 4, one for each layer "
        "and direction.",
    ),
    (
        lambda: FIRST(x.transpose(0, 1), torch.zeros(2, 1, 4)),
        ShapeError,
        "`h_0` must have shape (layers * directions, B, H) = (1, 2, 4), got (2, 1, 4). Use h_0.transpose(0, 1); "
        "states are never batch_first.",
    ),
    (
        lambda: GRU(x, torch.zeros(1, 3, 4)),
        ShapeError,
        "`h_0` must have shape (layers * directions, B, H) = (1, 2, 4), got (1, 3, 4). The input is a batch of 2.",
    ),
    (
        lambda: GRU(x, torch.zeros(1, 2, 5)),
        ShapeError,
        "`h_0` must have shape (layers * directions, B, H) = (1, 2, 4), got (1, 2, 5). Use torch.zeros(1, 2, 4), or "
        "leave it out.",
    ),
    (
        lambda: GRU(x[:, 0], torch.zeros(1, 1, 4)),
        ShapeError,
        "`h_0` must have shape (layers * directions, H) = (1, 4), got (1, 1, 4). Use torch.zeros(1, 4), or leave it "
        "out.",
    ),
    (
        lambda: LSTM(x, (torch.zeros(1, 2, 4), torch.zeros(1, 2, 5))),
        ShapeError,
        "`c_0` must have shape (layers * directions, B, H) = (1, 2, 4), got (1, 2, 5). Use torch.zeros(1, 2, 4), or "
        "leave it out.",
    ),
    (
        lambda: tidegate.LSTM(3, 4, proj_size=2)(x, (torch.zeros(1, 2, 4), torch.zeros(1, 2, 4))),
        ShapeError,
        "`h_0` must have shape (layers * directions, B, P) = (1, 2, 2), got (1, 2, 4). Use torch.zeros(1, 2, 2), or "
        "leave it out.",
    ),
    (
        lambda: GRU(x, torch.zeros(1, 2, 4).double()),
        ArgumentError,
        "`h_0` must be torch.float32 on cpu like the weights, got torch.float64 on cpu. Use h_0.to(torch.float32).",
    ),
    (
        lambda: GRU(x, (torch.zeros(1, 2, 4), torch.zeros(1, 2, 4))),
        ArgumentError,
        "`hx` of GRU must be one tensor h_0, got a tuple of 2: a tuple (h_0, c_0) belongs to an LSTM. Use h_0.",
    ),
    (
        lambda: GRU(x, (torch.zeros(1, 2, 4),)),
        ArgumentError,
        "`hx` of GRU must be one tensor h_0, got a tuple of 1: it is not wrapped. Use hx[0].",
    ),
    (
        lambda: GRU(x, 0),
        ArgumentError,
        "`hx` of GRU must be one tensor h_0 or None, got int. For zeros leave it out.",
    ),
    (
        lambda: LSTM(x, torch.zeros(1, 2, 4)),
        ArgumentError,
        "`hx` of LSTM must be the tuple (h_0, c_0), got one tensor of (1, 2, 4). Write (h_0, c_0); for zeros leave it "
        "out.",
    ),
    (
        lambda: LSTM(x, (torch.zeros(1, 2, 4),)),
        ArgumentError,
        "`hx` of LSTM must be the tuple (h_0, c_0), got 1 tensors. Write (h_0, c_0).",
    ),
    (
        lambda: LSTM(x, {"h": 1}),
        ArgumentError,
        "`hx` of LSTM must be the tuple of tensors (h_0, c_0) or None, got dict. For zeros leave it out.",
    ),
    # engines
    (
        lambda: tidegate.GRU(3, 4, engine="reference", recompute=True)(x),
        EngineError,
        'engine "reference" cannot run this GRU: it keeps every step and does not recompute. '
        "Engines that can: cpu, eager.",
    ),
    # cells
    (
        lambda: tidegate.GRUCell(3, 4)(torch.zeros(2, 5)),
        ShapeError,
        "GRUCell: `input` must have shape (B, D) or (D,) with D = input_size = 3, got (2, 5).",
    ),
    (
        lambda: tidegate.GRUCell(3, 4)(torch.zeros(2, 3), torch.zeros(3, 4)),
        ShapeError,
        "`h_0` must have shape (B, H) = (2, 4), got (3, 4). Use torch.zeros(2, 4), or leave it out.",
    ),
    (
        lambda: tidegate.LSTMCell(3, 4)(torch.zeros(2, 3), torch.zeros(2, 4)),
        ArgumentError,
        "`hx` of LSTMCell must be the tuple (h_0, c_0), got one tensor of (2, 4). Write (h_0, c_0); for zeros leave "
        "it out.",
    ),
    (lambda: tidegate.LSTMCell(3, -1), ArgumentError, "`hidden_size` must be an integer >= 0, got -1."),
    (
        lambda: tidegate.RecurrentCell(tidegate.cells.GRU, 3, 0),
        ArgumentError,
        "`hidden_size` must be an integer >= 1, got 0.",
    ),
    # names
    (
        lambda: GRU.gate_parameters("f"),
        ArgumentError,
        "`gate` of GRU must be one of r, z, n, got 'f'.",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), TABLE, ids=[message[:60] for _, _, message in TABLE])
def test_a_wrong_call_is_refused_in_one_sentence(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [None, 3, "x", [1.0], torch.zeros(()), torch.zeros(2, 2, 2, 2), object()])
@pytest.mark.parametrize("argument", ["input", "hx", "lengths", "resets"])
@pytest.mark.parametrize("layer", [GRU, LSTM], ids=["GRU", "LSTM"])
def test_an_invalid_value_of_any_argument_is_refused_by_name(layer, argument, value):
    if value is None and argument != "input":
        pytest.skip("None leaves the argument out")
    given = {"input": x} | {argument: value}
    with pytest.raises((ArgumentError, ShapeError), match=f"`{argument}`|`h_0`"):
        layer(**given)


# Calls that torch.nn refuses. Ours must raise an instance of the same type, so that `except RuntimeError` and the like
# go on working; integers are class indices here, so their errors are those of class indices.

h = torch.zeros(1, 2, 4)
INPUTS = {
    "None": None, "int": 3, "str": "x", "list": [1.0], "array": np.zeros((5, 2, 3), dtype="f"), "0-D": torch.zeros(()),
    "1-D": torch.zeros(3), "4-D": torch.zeros(2, 2, 2, 3), "D": torch.zeros(5, 2, 7), "unbatched D": torch.zeros(5, 7),
    "T = 0": torch.zeros(0, 2, 3), "float64": x.double(), "float16": x.half(), "complex": x.to(torch.complex64),
    "sparse": x.to_sparse(), "meta": x.to("meta"), "bool": x.bool(), "int64": x.long(), "tuple": (x, h),
    "packed D": pack_padded_sequence(torch.zeros(5, 2, 7), torch.tensor([5, 3])), "B of h": packed,
}  # fmt: skip
STATES = {
    "int": 0, "str": "x", "list of 1": [h], "tuple of 1": (h,), "tuple of 2": (h, h), "tuple of 3": (h, h, h),
    "2-D": h[0], "4-D": h[None], "B": torch.zeros(1, 3, 4), "H": torch.zeros(1, 2, 5), "layers": torch.zeros(2, 2, 4),
    "float64": h.double(), "meta": h.to("meta"), "int64": h.long(), "array": np.zeros((1, 2, 4), dtype="f"),
    "complex": h.to(torch.complex64), "one tensor": h, "c": (h, torch.zeros(1, 2, 5)),
    "c is int": (h, 3), "2-D both": (h[0], h[0]), "2-D and 3-D": (h[0], h), "float64 both": (h.double(), h.double()),
    "h": (torch.zeros(1, 2, 5), h), "meta both": (h.to("meta"), h.to("meta")), "arrays": (np.zeros((1, 2, 4)),) * 2,
}  # fmt: skip


def of_cell(value):
    """The same for a cell, which has no time or layers."""
    if isinstance(value, (torch.Tensor, np.ndarray)):
        return value[0] if value.ndim and len(value) else value
    return tuple(map(of_cell, value)) if isinstance(value, tuple) and not hasattr(value, "data") else value


def raised(module, *given) -> Exception | None:
    try:
        module(*given)
    except Exception as error:  # whatever torch.nn raises is compared
        return error
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["RNN", "GRU", "LSTM", "RNNCell", "GRUCell", "LSTMCell"])
def test_errors_of_a_call_are_instances_of_torchs(name):
    cell = name.endswith("Cell")
    calls = [(f"input {n}", (of_cell(v) if cell else v,)) for n, v in INPUTS.items()]
    calls += [(f"hx {n}", (x[0], of_cell(v)) if cell else (x, v)) for n, v in STATES.items()]
    refused = 0
    for what, given in calls:
        expected, got = (raised(getattr(m, name)(3, 4), *given) for m in (torch.nn, tidegate))
        if expected is not None and got is not None:
            refused += 1
            assert isinstance(got, type(expected)), f"{what}: {got!r} where torch.nn raises {expected!r}"
            assert isinstance(got, tidegate.TidegateError)
        else:
            assert got is None, f"{what}: {got!r}, and torch.nn takes it"
            assert expected is None, f"{what}: taken, and torch.nn raises {expected!r}"
    assert refused > 30
