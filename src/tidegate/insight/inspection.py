"""The inspection of a run: all measurements on one text, and the findings."""

from __future__ import annotations

import html
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from tidegate import __version__
from tidegate.errors import ArgumentError, ShapeError
from tidegate.insight.effort import FULL, Effort
from tidegate.insight.figure import plain
from tidegate.insight.findings import Finding, find_all
from tidegate.insight.gates import Gates, gates
from tidegate.insight.gradients.connectivity import Connectivity, connectivity
from tidegate.insight.gradients.jacobian import Jacobians, jacobians
from tidegate.insight.gradients.lag import GradientLag, gradient_lag
from tidegate.insight.gradients.lyapunov import Lyapunov, lyapunov
from tidegate.insight.initial import initial_model
from tidegate.insight.material import Material, other_material, own_material, rows, span, streams
from tidegate.insight.memory.horizon import MemoryHorizon, memory_horizon
from tidegate.insight.predictions import Predictions, predictions
from tidegate.insight.subject import check_seed
from tidegate.insight.tracking.features import Feature
from tidegate.insight.tracking.units import Units, units
from tidegate.text import Progress
from tidegate.train.load import Trained, load

VERSION = 1
SEEN = "The model was trained on this text; units are confirmed on text that it was not trained on."
LARGE = 400  # entries of the joint state; fewer dense Jacobians are computed for larger states


@dataclass(frozen=True, eq=False, repr=False)
class Inspection:
    """All measurements of one run on one text. `as_dict()` is the content of inspect.json.

    run: facts of the run (folder, cell, sizes, checkpoint, training).   text: facts of the text.   passage: the tokens
    that the page shows, with the prediction and the connectivity of each.
    heldout, training: the predictions on the text and on the training text.   bits: bits per character for one nat per
    token.   baseline: the n-gram baseline of the run, or None.
    lag, lyapunov, and lag_initial, lyapunov_initial of the model before training; jacobians, gates, horizon,
    connectivity, units.   not_measured: the reasons for which figures are None, by name.
    findings: the sentences that follow from the figures, the most important first.   seconds: the duration of the
    inspection.
    """

    run: Mapping[str, Any]
    text: Mapping[str, Any]
    passage: Mapping[str, Any]
    bits: float
    heldout: Predictions
    training: Predictions | None
    baseline: Mapping[str, Any] | None
    lag: GradientLag | None
    lag_initial: GradientLag | None
    lyapunov: Lyapunov | None
    lyapunov_initial: Lyapunov | None
    jacobians: Jacobians | None
    gates: Gates | None
    horizon: MemoryHorizon | None
    connectivity: Connectivity | None
    units: Units | None
    not_measured: Mapping[str, str]
    findings: tuple[Finding, ...]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values with six significant digits."""
        return rounded({"tidegate": "inspection", "version": VERSION, "of": __version__, **plain(fields_of(self))})

    def __str__(self) -> str:
        return "\n".join(finding.sentence for finding in self.findings)

    def __repr__(self) -> str:
        return f"<Inspection of {self.run['name']}: {len(self.findings)} findings>"

    def _repr_html_(self) -> str:
        items = "".join(f"<li>{html.escape(finding.sentence)}</li>" for finding in self.findings)
        return f"<p>{html.escape(self.run['name'])}</p><ul>{items}</ul>"


def fields_of(found: Inspection) -> dict[str, Any]:
    return {field.name: getattr(found, field.name) for field in fields(found)}


def rounded(value: Any) -> Any:
    """JSON values with six significant digits."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return {key: rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def inspect(
    run: str | Path,
    text: str | None = None,
    *,
    checkpoint: str = "best",
    effort: Effort = FULL,
    features: Mapping[str, Feature] | None = None,
    shown: tuple[int, int] | None = None,
    encoding: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Inspection:
    """Inspect the run in a folder on its held-out text, or on the text `text`, a file or the name of a corpus.

    `features` are the features that units are tested for, `shown` is the range of tokens of the passage. Raises
    CheckpointError for a run that cannot be read; DataError for a text that cannot be read or is mostly outside the
    vocabulary; ShapeError for a text that is too short.
    """
    check_seed(seed)
    begin, path = time.monotonic(), Path(run)
    trained = load(path, checkpoint)
    material = (
        own_material(trained, path, progress)
        if text is None
        else other_material(trained, path, text, encoding, progress)
    )
    found = measure(trained, material, effort, features, shown, seed, progress or Progress())
    about = described(trained, path, checkpoint)
    found = replace(found, run=about, seconds=time.monotonic() - begin)
    return replace(found, findings=find_all(found, trained))


def measure(
    trained: Trained,
    material: Material,
    effort: Effort,
    features: Mapping[str, Feature] | None,
    shown: tuple[int, int] | None,
    seed: int,
    progress: Progress,
) -> Inspection:
    """All measurements, without the findings."""
    start, tokens = span(material.ids, shown, effort.passage)
    sample = rows(material.ids, effort.sequences, effort.steps)
    T = len(sample)
    lag, warmup = min(effort.lag, T // 2), min(effort.warmup, T // 4)
    initial, model = replace(trained, model=initial_model(trained)), trained.model
    size = len(model.step.state) * model.recurrent.hidden_size * model.recurrent.num_layers
    matrices = effort.jacobians if size < LARGE else max(1, effort.jacobians // 2)
    own = text_is_own(material)
    task: dict[str, Callable[[], Any]] = {
        "heldout": lambda: predictions(trained, streams(material.ids, effort.scored)),
        "training": lambda: predictions(trained, streams(material.find, effort.scored)) if own else None,
        "shown": lambda: predictions(trained, tokens),
        "gates": lambda: gates(trained, sample),
        "lag": lambda: gradient_lag(trained, sample, longest=lag, anchors=effort.anchors, seed=seed),
        "lag_initial": lambda: gradient_lag(initial, sample, longest=lag, anchors=effort.anchors, seed=seed),
        "lyapunov": lambda: lyapunov(trained, sample, k=min(effort.exponents, size), warmup=warmup, seed=seed),
        "lyapunov_initial": lambda: lyapunov(initial, sample, k=min(effort.exponents, size), warmup=warmup, seed=seed),
        "jacobians": lambda: jacobians(trained, sample, steps=matrices, longest=effort.product),
        "connectivity": lambda: connectivity(trained, tokens, longest=effort.connected),
        "horizon": lambda: memory_horizon(
            trained, material.ids, train=material.train, longest=effort.context, targets=effort.targets, seed=seed
        ),
        "units": lambda: units(
            trained, material.find, material.confirm, features=features, positions=effort.positions,
            donors=effort.donors, top=effort.candidates, controls=effort.controls, held=effort.held,
            pairs=effort.pairs, seed=seed,
        ),
    }  # fmt: skip
    done: dict[str, Any] = {}
    not_measured: dict[str, str] = {}
    if material.seen:
        del task["units"]
        done["units"], not_measured["units"] = None, SEEN
    with progress.track("Inspecting", len(task)) as advance:
        for name, run in task.items():
            try:
                done[name] = run()
            except (ShapeError, ArgumentError) as error:  # the text does not suit this measurement
                done[name], not_measured[name] = None, str(error)
            advance(1)
    of_passage: Predictions = done.pop("shown")
    baseline = trained.baseline
    return Inspection(
        run={},
        text={
            "name": material.name, "tokens": len(material.ids), "unknown": material.unknown,
            "own": own, "seen": material.seen, "no_ngrams": material.missing,
        },
        passage={
            "start": start, "tokens": [trained.vocabulary.tokens[k] for k in tokens.tolist()],
            "text": trained.vocabulary.decode(tokens), "loss": of_passage.loss, "best": of_passage.best,
            "best_probability": of_passage.best_probability,
        },
        bits=material.bits,
        baseline=baseline.figures() if baseline is not None else None,
        not_measured=not_measured,
        findings=(),
        seconds=math.nan,
        **done,
    )  # fmt: skip


def text_is_own(material: Material) -> bool:
    """Whether the text is the held-out text of the run."""
    return material.confirm is material.ids


def described(trained: Trained, path: Path, checkpoint: str) -> dict[str, Any]:
    """The facts of the run."""
    facts, model = trained.facts, trained.model
    text = facts.text or {}
    return {
        "name": path.resolve().name, "cell": facts.model.cell, "equations": model.step.name,
        "gates": list(model.step.gates), "states": list(model.step.state), "hidden": facts.model.hidden,
        "layers": facts.model.layers, "weights": sum(p.numel() for p in model.parameters()),
        "vocabulary": len(trained.vocabulary), "tokens_are": trained.vocabulary.kind, "preprocess": facts.preprocess,
        "checkpoint": checkpoint, "epochs": trained.epochs, "step": trained.step,
        "trained_on": text.get("name"), "sha256": text.get("sha256"),
        "window": trained.recipe.steps if trained.recipe else None,
        "init": trained.recipe.init if trained.recipe else None,
        "versions": dict(facts.raw.get("versions") or {}),
    }  # fmt: skip


def inspect_all(
    runs: Sequence[Path],
    text: str | None = None,
    *,
    checkpoint: str = "best",
    effort: Effort = FULL,
    shown: tuple[int, int] | None = None,
    encoding: str | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> list[Inspection]:
    """Inspect several runs on the same text. Raises ArgumentError where their texts differ."""
    check_comparable(runs, checkpoint, own_text=text is None)
    found: list[Inspection] = []
    for path in runs:
        found.append(
            inspect(
                path, text, checkpoint=checkpoint, effort=effort, shown=shown, encoding=encoding, seed=seed,
                progress=progress,
            )
        )  # fmt: skip
    names = [one.run["name"] for one in found]
    if len(set(names)) < len(names):  # folders of the same name in different places
        found = [replace(one, run={**one.run, "name": str(path)}) for one, path in zip(found, runs)]
    return found


def check_comparable(runs: Sequence[Path], checkpoint: str, *, own_text: bool) -> None:
    """Raise ArgumentError unless the runs read a text in the same way, and have the same `own_text` if that is used.

    A model without a text of its own is refused later, when it is inspected.
    """
    facts = [load(path, checkpoint).facts for path in runs]
    known = [
        (path, own, own.recipe) for path, own in zip(runs, facts) if own.text is not None and own.recipe is not None
    ]
    for path, own, recipe in known[1:]:
        first, first_own, first_recipe = known[0]
        for name in ("tokens", "preprocess"):
            one, two = getattr(first_recipe, name), getattr(recipe, name)
            if one != two:
                raise ArgumentError(
                    f"{first} and {path} read a text in different ways (--{name} {one} and {two}), so that they cannot "
                    "be compared on one page. Inspect them one by one."
                )
        same = (first_own.text or {})["sha256"] == (own.text or {})["sha256"]
        same = same and (first_recipe.heldout, first_recipe.first) == (recipe.heldout, recipe.first)
        if own_text and not same:
            raise ArgumentError(
                f"the held-out texts of {first} and {path} are different. Name one TEXT for both: tidegate inspect "
                f"{first} {path} TEXT."
            )
