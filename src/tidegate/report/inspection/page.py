"""`inspection_page`: the whole page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidegate import __version__
from tidegate.insight.inspection import Inspection
from tidegate.insight.recording import record
from tidegate.insight.subject import as_input, as_subject
from tidegate.report.inspection import gates, gradients, memory, overview, sure, units
from tidegate.report.inspection.choice import Choice
from tidegate.report.inspection.run import Run, page_data
from tidegate.report.live import Live, live_part, stored_values
from tidegate.report.page import Page, render
from tidegate.train.load import Trained

LARGEST = 3_000_000  # characters of the file
PROGRAM = 6_000  # characters of the program of two models, besides their weights
START = 120  # the first position of the cursor
STORED = 48  # units of each layer whose values are stored where the model is not in the page


def inspection_page(
    found: Sequence[Inspection], models: Sequence[Trained], choice: Choice | None = None, *, largest: int = LARGEST
) -> str:
    """The page of one inspection, or of two on the same passage, as the text of an HTML file of about `largest`
    characters at most.

    `models` are the inspected runs as loaded. They run in the page, with weights in float32 or, if that is too large,
    in float16. If that is too large as well, the page has the values of some units on the passage instead.
    """
    choice = choice or Choice()
    runs = [Run(k, one, trained) for k, (one, trained) in enumerate(zip(found, models))]
    without = render(page_of(runs, choice, Live((), "")))
    live = live_part([run.trained.model for run in runs], largest - len(without) - PROGRAM)
    return render(page_of(runs, choice, live))


def page_of(runs: Sequence[Run], choice: Choice, live: Live) -> Page:
    data = []
    for run in runs:
        layer = run.layers - 1 if choice.layer is None else choice.layer
        named = units.named_units(run, layer, choice.units)
        first = {"unit": 0, "layer": layer, "state": run.step.state[0]}
        if choice.layer is None or choice.units:
            first = next(iter(named), first)
        own = page_data(run, named, first, live.storage)
        if live.programs:
            own["live"] = {"base64": live.programs[run.number].base64}
        elif live.missing:
            own["stored"] = stored(run, own)
        data.append(own)
    title = "Inside " + " and ".join(run.name for run in runs)
    found = [
        overview.verdict(runs),
        memory.horizon(runs),
        memory.connectivity(runs),
        units.units(runs),
        gates.gates(runs),
        gradients.lag(runs),
        gradients.exponents(runs),
        sure.what_if(live=not live.missing),
        sure.equations(runs),
        sure.sure(runs, missing=live.missing),
    ]
    return Page(
        title=title,
        header=overview.header(runs, title),
        sections=[section for section in found if section is not None],
        data={"runs": data, "missing": live.missing, "at": min(START, len(data[0]["passage"]["indices"]) - 1)},
        programs=[program.source for program in live.programs] or ["null"] * len(runs),
        footer=f"Made with Tidegate {__version__}.",
    )


def stored(run: Run, own: Mapping[str, Any]) -> dict[str, Any]:
    """Values of some units on the passage, and the most likely tokens of each prediction.

    The units are the named ones, then others at equal distances in the order of the time constants.
    """
    chosen: dict[int, list[int]] = {}
    for layer in range(run.layers):
        order = own["order"].get(str(layer)) or list(range(run.hidden))
        spread = order[:: max(1, len(order) // STORED)]
        named = [n["unit"] for n in own["named"] if n["layer"] == layer]
        if own["first"]["layer"] == layer:
            named.append(own["first"]["unit"])
        chosen[layer] = sorted(dict.fromkeys([*named, *spread][:STORED]))
    subject = as_subject(run.trained)
    x = as_input(subject, own["passage"]["indices"])
    arrays = {
        (k, name): values[:, 0]
        for k, layer in enumerate(record(subject, x))
        for name, values in {**layer.states, **layer.gates}.items()
    }
    passage = run.found.passage
    return {
        "values": stored_values(arrays, chosen),
        "units": chosen,
        "best": passage["best"].tolist(),
        "probability": passage["best_probability"].tolist(),
    }
