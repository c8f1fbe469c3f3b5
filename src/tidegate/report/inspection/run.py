"""One run of an inspection: its facts and figures, and the data with which the page shows its model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tidegate.calculus import Step
from tidegate.calculus.ranges import range_of
from tidegate.calculus.tangent import tangent
from tidegate.cells import CELLS
from tidegate.insight.inspection import Inspection
from tidegate.nn.equations import as_step
from tidegate.report.figures import Role
from tidegate.report.live import TOLERANCE, packed
from tidegate.report.page import Answer
from tidegate.report.text import shown
from tidegate.train.load import Trained

ROLES: tuple[Role, ...] = ("first", "second")


#: The fields of an Inspection that are figures of the run.
FIGURES = (
    "heldout", "lag", "lag_initial", "lyapunov", "lyapunov_initial", "jacobians", "gates", "horizon", "connectivity",
    "units",
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """Run number `number` of a page: its inspection, and its model."""

    number: int
    found: Inspection
    trained: Trained

    @property
    def about(self) -> Mapping[str, Any]:
        return self.found.run

    @property
    def name(self) -> str:
        return str(self.found.run["name"])

    @property
    def role(self) -> Role:
        return ROLES[self.number]

    @property
    def step(self) -> Step:
        return self.trained.model.step

    @property
    def layers(self) -> int:
        return self.trained.model.recurrent.num_layers

    @property
    def hidden(self) -> int:
        return self.trained.model.recurrent.hidden_size

    @property
    def token(self) -> str:
        return {"char": "character", "byte": "byte", "word": "word"}[self.trained.vocabulary.kind]

    @cached_property
    def figures(self) -> dict[str, dict[str, Any]]:
        """The fields of every figure that was measured, as JSON values."""
        figures = {name: getattr(self.found, name) for name in FIGURES}
        return {name: figure.as_dict() for name, figure in figures.items() if figure is not None}

    def sentence(self, figure: str) -> str:
        """What a figure shows, in words."""
        return str(getattr(self.found, figure))

    def numbers(self, kind: str) -> Mapping[str, float | None]:
        """The numbers of the finding of that kind; empty where there is none."""
        return next((finding.numbers for finding in self.found.findings if finding.kind == kind), {})


def split(traced: str) -> tuple[str, int]:
    """The name and the layer of a traced array: "c_l1" is c of layer 1."""
    name, _, layer = traced.rpartition("_l")
    return name, int(layer)


def answers(runs: Sequence[Run], figure: str) -> list[Answer]:
    """The sentence of a figure for each run that has it, with the run's name where there are two."""
    return [
        Answer(run.sentence(figure), run.name if len(runs) > 1 else "", run.role)
        for run in runs
        if figure in run.figures
    ]


def spoken(given: Sequence[Answer]) -> str:
    """The answers as one text."""
    return " ".join(f"{answer.name}: {answer.said}" if answer.name else answer.said for answer in given)


def page_data(run: Run, named: Sequence[Mapping[str, Any]], first: Mapping[str, Any], storage: str | None) -> dict:
    """The data of a run for the page, without the weights. `named` are the units of the list beside the text,
    `first` is the unit that is chosen first, `storage` the type of the weights in the page or None."""
    vocabulary, passage = run.trained.vocabulary, run.found.passage
    return {
        "name": run.name,
        "role": run.role,
        "hidden": run.hidden,
        "layers": run.layers,
        "states": run.step.state,
        "gates": run.step.gates,
        "ranges": {gate: bounds(run.step, gate) for gate in run.step.gates},
        "notes": meanings(run.step),
        "tokens": vocabulary.tokens,
        "kind": vocabulary.kind,
        "preprocess": run.trained.facts.preprocess,
        "unknown": -1 if vocabulary.unknown is None else vocabulary.unknown,
        "passage": {
            "shown": list(shown(passage["tokens"], vocabulary.kind)),
            "indices": vocabulary.encode(passage["tokens"]).tolist(),
        },
        "nats": passage["loss"].tolist(),
        "named": list(named),
        "first": {"unit": first["unit"], "layer": first["layer"], "name": first["state"]},
        "keeps": keeping_gate(run.step),
        "order": by_time_constant(run),
        "connectivity": strengths(run),
        "storage": storage,
        "tolerance": TOLERANCE[storage] if storage else None,
    }


def bounds(step: Step, gate: str) -> tuple[float, float] | None:
    """The range of a gate by its equation; None where it has no finite one."""
    low, high = range_of(step.gate[gate])
    return (low, high) if np.isfinite([low, high]).all() else None


def meanings(step: Step) -> dict[str, str]:
    """What the gates of a built-in cell are called, from the lines "z = ...    update gate" of its docstring."""
    cell = next((cell for cell in CELLS.values() if as_step(cell) is step), None)
    lines = re.findall(r"^\s*(\w+)'?\s+= .*?\s{3,}(\S.*)$", (cell.__doc__ or "") if cell else "", re.MULTILINE)
    return {name: meaning.strip() for name, meaning in lines if name in step.gates}


def keeping_gate(step: Step) -> str | None:
    """The gate that is the factor of an old state in the new one: f of an LSTM, z of torch's GRU; None without one."""
    for state in step.state:
        kept = tangent(step).new[state].get(step.old[state])
        for gate, value in step.gate.items():
            if kept is value:
                return gate
    return None


def by_time_constant(run: Run) -> dict[str, list[int]]:
    """The units of each layer, those that keep their state longest first, by the number of the layer as text."""
    found: dict[str, list[int]] = {}
    for traced, constants in run.figures.get("gates", {}).get("time_constant", {}).items():
        values = [float("inf") if value is None else value for value in constants]
        found[str(split(traced)[1])] = sorted(range(len(values)), key=lambda unit: -values[unit])
    return found


def strengths(run: Run) -> dict[str, Any] | None:
    """The connectivity of each prediction of the passage in 8 bits, relative to the strongest input of that
    prediction."""
    figure = run.found.connectivity
    if figure is None:
        return None
    top = np.nanmax(figure.strength, axis=1, keepdims=True)
    relative = figure.strength / np.where(top > 0, top, 1)
    first, (rows, lags) = int(figure.steps[0]), relative.shape
    return {"first": first, "rows": rows, "lags": lags, **packed(relative, 0.0, 1.0)}
