"""One step of a GRU or an LSTM in ONNX Runtime, the peer of `benchmarks.stream`; the packages onnx and onnxruntime are
optional."""

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from torch import nn

#: The operator of each cell, the order of its gates in torch's blocks of rows, and its attributes.
OPERATORS = {
    nn.GRUCell: ("GRU", (1, 0, 2), {"linear_before_reset": 1}),
    nn.LSTMCell: ("LSTM", (0, 3, 1, 2), {}),
}


def missing() -> str | None:
    """A sentence that names the packages that are not installed, or None."""
    absent = [name for name in ("onnx", "onnxruntime") if find_spec(name) is None]
    return f"ONNX Runtime is left out: `pip install {' '.join(absent)}` adds it." if absent else None


def in_blocks(parameter: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """The blocks of rows of a parameter in another order."""
    blocks = np.split(parameter, len(order))
    return np.concatenate([blocks[i] for i in order])


def program(cell: nn.GRUCell | nn.LSTMCell) -> bytes:
    """The ONNX model of one step: x (1, 1, D) and the states (1, 1, H) to the states after it."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    name, order, attributes = OPERATORS[type(cell)]
    D, H = cell.input_size, cell.hidden_size
    w, r, b, c = (
        in_blocks(p.detach().numpy(), order) for p in (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh)
    )
    weights = {"W": w[None], "R": r[None], "B": np.concatenate([b, c])[None]}
    states = ["h", "c"] if name == "LSTM" else ["h"]
    node = helper.make_node(
        name, ["x", "W", "R", "B", "", *states], ["", *(f"{s}_new" for s in states)], hidden_size=H, **attributes
    )
    graph = helper.make_graph(
        [node],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, D])]
        + [helper.make_tensor_value_info(s, TensorProto.FLOAT, [1, 1, H]) for s in states],
        [helper.make_tensor_value_info(f"{s}_new", TensorProto.FLOAT, [1, 1, H]) for s in states],
        [numpy_helper.from_array(array, key) for key, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def stepper(cell: nn.GRUCell | nn.LSTMCell) -> Callable[[np.ndarray], np.ndarray]:
    """A step from zeros on one thread: x (D,) to h (H,). States stay in ONNX Runtime's memory: what one run writes, the
    next one reads."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(program(cell), options, providers=["CPUExecutionProvider"])
    names = ["h", "c"] if isinstance(cell, nn.LSTMCell) else ["h"]

    def zeros(size: int) -> ort.OrtValue:  # a value on the CPU shares the memory of its array
        return ort.OrtValue.ortvalue_from_numpy(np.zeros((1, 1, size), np.float32))

    given = zeros(cell.input_size)
    buffers = [{s: zeros(cell.hidden_size) for s in names} for _ in range(2)]
    bindings = []
    for before, after in (buffers, buffers[::-1]):
        binding = session.io_binding()
        binding.bind_ortvalue_input("x", given)
        for s in names:
            binding.bind_ortvalue_input(s, before[s])
            binding.bind_ortvalue_output(f"{s}_new", after[s])
        bindings.append((binding, after["h"]))
    count = 0

    def step(x: np.ndarray) -> np.ndarray:
        nonlocal count
        binding, h = bindings[count % 2]
        count += 1
        given.update_inplace(x.reshape(1, 1, -1))
        session.run_with_iobinding(binding)
        return h.numpy().reshape(-1)

    return step
