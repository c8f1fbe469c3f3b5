"""`comparison_page`: the whole page."""

from __future__ import annotations

from html import escape

from tidegate import __version__
from tidegate.comparing.comparison import Comparison
from tidegate.comparing.sentences import headline, shown
from tidegate.report.comparison import fairness, scores, verdicts
from tidegate.report.page import RESULTS, Markup, Page, render


def comparison_page(found: Comparison) -> str:
    """The page of a comparison as the text of an HTML file, which needs no network."""
    sections = [
        verdicts.better(found),
        scores.scores(found),
        scores.against(found),
        scores.learning(found),
        fairness.further(found),
        fairness.samples(found),
        fairness.rates(found),
        fairness.equations(found),
        fairness.sure(found),
    ]
    title = f"{listed(list(dict.fromkeys(arm.cell for arm in found.arms)))} on {found.task['name']}"
    page = Page(
        title=title,
        header=header(found, title),
        sections=[section for section in sections if section is not None],
        data={},
        footer=f"Made with Tidegate {__version__}.",
        layout=RESULTS,
    )
    return render(page)


def header(found: Comparison, title: str) -> Markup:
    """Title, what was compared, and a few numbers at a glance."""
    lines = [
        '<button type="button" id="theme">Dark</button>',
        f'<div><h1>{escape(title)}</h1><p class="lead">{escape(headline(found))}</p>'
        '<p class="quiet">This file is complete: it needs no network and sends nothing.</p></div>',
        f'<div class="tiles">{"".join(map(tile, *zip(*tiles(found))))}</div>',
    ]
    return Markup("\n".join(lines))


def tiles(found: Comparison) -> list[tuple[str, str]]:
    """Numbers at a glance, each with what it is."""
    first, metric = found.arms[0], found.task["metric"]
    claimed = sum(v.kind == "better" for v in found.verdicts)
    made = [
        (f"{claimed} of {len(found.verdicts)}", "pairs differ on this task at this budget"),
        (str(len(found.seeds)), "seeds for every cell, each with its own data and weights"),
        (shown(first.solved), f"{metric} from which the task counts as solved"),
        (shown(first.chance), f"{metric} of a guess"),
    ]
    return made if not first.varied else made[:2]


def tile(value: str, words: str) -> str:
    return f'<div class="tile"><b>{escape(value)}</b><span>{escape(words)}</span></div>'


def listed(names: list[str]) -> str:
    """The names in a phrase; more than five are counted."""
    if len(names) > 5:
        return f"{len(names)} cells"
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
