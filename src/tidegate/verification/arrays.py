"""The numbers of a problem as NumPy arrays under torch's names, in memory and in a file that a student can fill in.

A problem of T steps, B sequences, D inputs and H units has these arrays; G and Q are the numbers of gates that have a W
and a U, gate by gate in the order of the cell:

    x (T, B, D)             inputs
    h_0 (B, H)              initial state, one array for each state of the cell: h_0, c_0
    weight_ih (G H, D)      W, as torch.nn packs it
    weight_hh (Q H, H)      U
    bias_ih (G H,)          b
    bias_hh (Q H,)          c; both biases may be left out
    vector (V H,)           the per-unit vectors of a cell that has them
    dy (T, B, H)            the gradient of the loss with respect to the outputs: L = sum(y * dy)

An array without entries, such as weight_hh of a cell without recurrent products, is left out.
"""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from tidegate.calculus import Step, trace
from tidegate.cells import Cell
from tidegate.engines import Call, Weights
from tidegate.engines.reference.functions import Array
from tidegate.errors import ArgumentError, ShapeError, did_you_mean
from tidegate.verification.problem import Problem, leaf

#: The names of the parameters, in the order of Weights.
PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "vector")
BIASES = ("bias_ih", "bias_hh")

Shapes = dict[str, tuple[int, ...]]


def shapes_of(step: Step, sizes: tuple[int, int, int, int], *, bias: bool = True) -> Shapes:
    """The name and shape of every array of a problem of `sizes` = (T, B, D, H)."""
    T, B, D, H = sizes
    G, Q, V = len(step.inputs), len(step.products), len(step.vectors)
    shapes: Shapes = {"x": (T, B, D)} | {f"{s}_0": (B, H) for s in step.state}
    shapes |= {"weight_ih": (G * H, D), "weight_hh": (Q * H, H)}
    shapes |= {"bias_ih": (G * H,), "bias_hh": (Q * H,)} if bias else {}
    shapes |= {"vector": (V * H,), "dy": (T, B, H)}
    return {name: shape for name, shape in shapes.items() if shape[0]}


def described(step: Step) -> dict[str, str]:
    """What each array is, in words, by name."""
    gates = {"ih": ", ".join(step.inputs), "hh": ", ".join(step.products)}
    return {
        "x": "inputs",
        **{f"{s}_0": f"initial state {s}" for s in step.state},
        "weight_ih": f"W, rows in the order of the gates {gates['ih']}",
        "weight_hh": f"U, rows in the order of the gates {gates['hh']}",
        "bias_ih": "b, the bias of W x + b",
        "bias_hh": "c, the bias of U h + c",
        "vector": f"per-unit vectors {', '.join(step.vectors)}",
        "dy": "gradient of the loss with respect to the outputs y_t, the first state after each step",
    }


def as_arrays(problem: Problem) -> dict[str, Array]:
    """The arrays of a problem that begins with given states and has neither lengths, resets nor a projection."""
    call = problem.call
    tensors = {"x": call.x} | {f"{s}_0": tensor for s, tensor in zip(call.step.state, call.states)}
    tensors |= {n: tensor for n, tensor in zip(PARAMETERS, call.weights.tensors()) if tensor is not None}
    tensors |= {"dy": problem.d_outputs}
    return {name: tensor.detach().double().numpy().copy() for name, tensor in tensors.items() if tensor.numel()}


def as_problem(cell: type[Cell] | Step, arrays: Mapping[str, Array]) -> Problem:
    """The problem of checked arrays, in float64; the loss depends on the outputs only."""
    step = cell if isinstance(cell, Step) else trace(cell)
    tensors = {name: leaf(torch.from_numpy(np.ascontiguousarray(array))) for name, array in arrays.items()}
    states = tuple(tensors[f"{s}_0"] for s in step.state)
    H = states[0].shape[1]
    bias = "bias_ih" in arrays or "bias_hh" in arrays
    absent = {"weight_hh": torch.zeros(0, H, dtype=torch.float64)}
    absent |= {name: torch.zeros(0, dtype=torch.float64) for name in BIASES} if bias else {}
    weights = Weights(*({**absent, **tensors}.get(name) for name in PARAMETERS))  # type: ignore[arg-type]
    call = Call(step=step, x=tensors["x"], states=states, weights=weights)
    d_final = tuple(torch.zeros_like(s) for s in states)
    return Problem(call, cell, tensors["dy"].detach(), d_final, () if bias else ("no bias",))


def write_template(path: Path, problem: Problem) -> dict[str, Array]:
    """Write the arrays of `problem` into a new file, and return them; `numpy.load` reads it."""
    if path.suffix != ".npz":
        raise ArgumentError(f"`template` must be a file that ends in .npz, got {path}.")
    arrays = as_arrays(problem)
    try:
        with path.open("xb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
    except FileExistsError:
        raise ArgumentError(f"`template` {path} exists already. Name a new file, or remove this one.") from None
    except OSError as error:
        raise ArgumentError(f"`template` {path} cannot be written: {error.strerror}.") from error
    return arrays


def read_arrays(path: Path, step: Step) -> dict[str, Array]:
    """The arrays of a file, checked, in float64. Nothing pickled is read, so the file executes nothing."""
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            found = loaded if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
    except OSError as error:
        raise ArgumentError(f"`arrays` {path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, zipfile.BadZipFile, EOFError) as error:
        raise ArgumentError(
            f"`arrays` {path} is not an .npz file of arrays of numbers. Write it with numpy.savez, or begin with "
            "--template FILE.npz."
        ) from error
    if isinstance(found, np.ndarray):
        raise ArgumentError(f"`arrays` {path} holds one array without a name. Write it with numpy.savez.")
    return checked(found, step, str(path))


def checked(found: Mapping[str, Array], step: Step, where: str = "") -> dict[str, Array]:
    """The arrays in float64; ArgumentError or ShapeError, naming the array, unless they are those of a problem.

    `where` is the file that they come from, for the messages.
    """
    where, found = f"`arrays` {where}".rstrip(), {name: np.asarray(array) for name, array in found.items()}
    bias = any(name in found for name in BIASES)
    known = shapes_of(step, (1, 1, 1, 1), bias=bias)
    for name in found:
        if name not in known:
            raise ArgumentError(
                f"{where} has {name!r}, which is no array of {step.name}. Expected: {', '.join(known)}."
                f"{did_you_mean(name, known)}"
            )
    missing = [name for name in known if name not in found]
    if missing:
        raise ArgumentError(
            f"{where} has no {', '.join(map(repr, missing))}. Expected: {', '.join(known)}; "
            "--template FILE.npz writes all of them."
        )
    first = f"{step.state[0]}_0"
    for name, axes in (("x", "(T, B, D)"), (first, "(B, H)")):
        if found[name].ndim != len(known[name]) or 0 in found[name].shape:
            raise ShapeError(f"{where}: {name} must have shape {axes}, no axis 0, got {found[name].shape}.")
    T, B, D = found["x"].shape
    H = found[first].shape[1]
    for name, shape in shapes_of(step, (T, B, D, H), bias=bias).items():
        if found[name].shape != shape:
            raise ShapeError(
                f"{where}: {name} must have shape {shape}, got {found[name].shape}; x of shape {(T, B, D)} "
                f"gives T {T}, B {B}, D {D}, and {first} of shape {found[first].shape} gives H {H}."
            )
        if found[name].dtype.kind not in "fiu":
            raise ArgumentError(f"{where}: {name} must hold real numbers, got dtype {found[name].dtype}.")
        wrong = np.argwhere(~np.isfinite(found[name]))
        if len(wrong):
            index = tuple(map(int, wrong[0]))
            raise ArgumentError(f"{where}: {name}{list(index)} is {found[name][index]}; it must be finite.")
    return {name: found[name].astype(np.float64) for name in known}
