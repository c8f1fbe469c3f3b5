"""Tables in Markdown from the results of comparisons."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from measured.tables import table
from tidegate.comparing.sentences import shown, verdict_sentence
from tidegate.comparing.verdict import Verdict

Found = Mapping[str, Any]  # the content of a compare.json
SAMPLE = 60  # characters of a sample


def cells(results: Sequence[Found]) -> list[str]:
    """A row for each cell, then the verdicts. Where training time is matched, with the number of training steps."""
    (found,) = results
    timed = found["matched"] == "seconds"
    tests = list(dict.fromkeys(name for arm in found["arms"] for name in further(arm)))
    header = ["cell", "units", "learning rate", f"{found['task']['metric']}, median (quartiles)"]
    header += ["solved, 95 % limits", "steps", "seconds", *tests, *["steps trained"] * timed]
    rows = []
    for arm in found["arms"]:
        trained = [f"{arm['settings']['steps']:,}"] * timed
        rows.append([*row(arm), *(shown(further(arm)[name]) for name in tests), *trained])
    return [
        *table(header, rows),
        "",
        *(f"* {verdict_sentence(Verdict(**verdict))}" for verdict in found["verdicts"]),
    ]


def further(arm: Mapping[str, Any]) -> dict[str, float]:
    """The medians of the further tests and figures."""
    return {**arm["summary"]["tests"], **arm["summary"]["figures"]}


def row(arm: Mapping[str, Any]) -> list[str]:
    own = arm["summary"]
    low, median, high = own["score"]
    return [
        arm["label"],
        f"{arm['settings']['hidden']:,}",
        rate(arm),
        f"{shown(median)} ({shown(low)} to {shown(high)})",
        f"{own['solved']} of {own['runs']}, {100 * own['share_low']:.0f} to {100 * own['share_high']:.0f} %",
        "" if own["steps"] is None else f"{own['steps']:,.0f}",
        shown(own["seconds"]),
    ]


def rate(arm: Mapping[str, Any]) -> str:
    """The learning rate; ? where it is at the edge of those tried."""
    return f"{arm['rate']['rate']:g}" + "?" * arm["rate"]["unfinished"]


def by_lag(results: Sequence[Found]) -> list[str]:
    """A row for each cell and initialisation, a column for each length of the sequences."""
    (found,) = results
    lengths = sorted({arm["varied"]["length"] for arm in found["arms"]})
    by_row: dict[tuple[str, str], dict[int, str]] = {}
    for arm in found["arms"]:
        own = arm["summary"]
        steps = "" if own["steps"] is None else f", {own['steps']:,.0f} steps"
        text = f"{own['score'][1]:.2f} ({own['solved']} of {own['runs']}{steps})"
        by_row.setdefault((arm["cell"], arm["varied"]["init"]), {})[arm["varied"]["length"]] = text
    header = ["cell", "initialisation", *(f"lag {length - 1}" for length in lengths)]
    return table(
        header, ([*name, *(own[length] for length in lengths)] for name, own in sorted(by_row.items(), key=order))
    )


def order(item: tuple[tuple[str, str], Any]) -> tuple[bool, str]:
    """Default initialisation first."""
    (cell, start), _ = item
    return start != "default", cell


def settings(results: Sequence[Found]) -> list[str]:
    """A row for each value of each setting, with what the network of the first seed writes."""
    header = ["setting", "bits per character", "perplexity", "characters trained on", "seconds", "text that it writes"]
    return table(header, (setting(arm) for found in results for arm in found["arms"]))


def setting(arm: Mapping[str, Any]) -> list[str]:
    ((name, value),) = arm["varied"].items()
    bits, own = arm["summary"]["score"][1], arm["settings"]
    steps = [run["steps"] for run in arm["outcomes"]]
    length = value if name == "length" else 35
    written = " ".join(arm["outcomes"][0]["sample"].split())[:SAMPLE].replace("|", "\\|")
    return [
        f"{NAMES[name]} {value:g}",
        f"{bits:.3f}",
        f"{2**bits:.2f}",
        f"{own['batch'] * length * max(steps):,}",
        shown(arm["summary"]["seconds"]),
        written,
    ]


NAMES = {"hidden": "units", "length": "steps of a window", "batch": "batch", "lr": "learning rate"}


def batches(results: Sequence[Found]) -> list[str]:
    """A row for each batch size, number of updates and learning rate."""
    header = ["batch", "updates", "learning rate", "sequences", "bits per character", "diverged"]
    rows = []
    for found in results:
        for arm in found["arms"]:
            own, summary = arm["settings"], arm["summary"]
            rows.append(
                [
                    f"{own['batch']}",
                    f"{own['steps']:,}",
                    f"{own['lr']:g}",
                    f"{own['batch'] * own['steps']:,}",
                    f"{summary['score'][1]:.3f}",
                    f"{summary['diverged']} of {summary['runs']}",
                ]
            )
    return table(header, rows)


def clipping(results: Sequence[Found]) -> list[str]:
    """A row for each cell, a column for each norm at which gradients are clipped."""
    (found,) = results
    norms = list(dict.fromkeys(arm["varied"]["clip"] for arm in found["arms"]))
    by_cell: dict[str, list[str]] = {}
    for arm in found["arms"]:
        own = arm["summary"]
        lost = f", {own['diverged']} of {own['runs']} diverged" if own["diverged"] else ""
        by_cell.setdefault(arm["cell"], []).append(f"{own['score'][1]:.3f}{lost}")
    header = ["cell", *("not clipped" if norm >= 1e6 else f"norm {norm:g}" for norm in norms)]
    return table(header, ([cell, *own] for cell, own in by_cell.items()))


def rates(results: Sequence[Found]) -> list[str]:
    """How often each learning rate was the best for a cell, over tasks, lengths and initialisations."""
    counts: dict[str, Counter[float]] = {}
    for found in results:
        for arm in found["arms"]:
            if arm["summary"]["solved"] or found["task"]["name"] == "text":
                counts.setdefault(arm["cell"], Counter())[arm["rate"]["rate"]] += 1
    known = sorted({value for own in counts.values() for value in own})
    return table(
        ["cell", *(f"{value:g}" for value in known)],
        ([cell, *(str(own[v]) for v in known)] for cell, own in counts.items()),
    )


def published(results: Sequence[Found]) -> list[str]:
    """Published results beside those of the tables above."""
    adding, counting, parity = results
    counted = ", ".join(f"{arm['cell']} {shown(*further(arm).values())}" for arm in counting["arms"])
    return table(
        ["claim", "published", "here", "why they differ"],
        [
            [
                "adding: the GRU solves it, the tanh RNN does not",
                "T = 600, 70,000 weights: mean squared error RNN 0.177, LSTM 0.164, GRU 5.3e-5 (Bai, Kolter, Koltun, "
                "arXiv:1803.01271, 2018)",
                "T = 50: " + ", ".join(f"{name} {median(adding, name)}" for name in known(adding)),
                "shorter sequences, which the LSTM solves too; training stops at an error of 0.0017",
            ],
            [
                "counting: LSTM and relu RNN count beyond the trained n, GRU and tanh RNN do not",
                "LSTM and relu RNN can count without a limit, and the LSTM learns it (Weiss, Goldberg, Yahav, "
                "arXiv:1805.04908, 2018)",
                f"a^n b^n c^n, n = 31 to 60 after training to 30: {counted}",
                "small networks and few updates; training ends when the trained lengths are solved",
            ],
            [
                "parity: RNN and LSTM solve it for longer strings",
                "1 to 40 bits in training, 256 units: RNN and LSTM right on longer strings too (Delétang et al., "
                "arXiv:2207.02098, 2023)",
                "1 to 20 bits: " + ", ".join(f"{name} {median(parity, name)}" for name in known(parity)),
                "at most 2,000 steps, fewer units",
            ],
        ],
    )  # fmt: skip


def known(found: Found) -> list[str]:
    return [arm["cell"] for arm in found["arms"]]


def median(found: Found, cell: str) -> str:
    """The median score of a cell, and how many seeds solved the task."""
    own = next(arm["summary"] for arm in found["arms"] if arm["cell"] == cell)
    return f"{shown(own['score'][1])} ({own['solved']} of {own['runs']} solved)"
