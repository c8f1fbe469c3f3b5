"""The pages in docs/derivations are what the command prints."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from tidegate.calculus.derivation import derive
from tidegate.calculus.diagram import diagram
from tidegate.cells import CELLS

FOLDER = Path(__file__).parents[3] / "docs" / "derivations"
CHINESE = ("rnn", "gru", "lstm")
NNDL = {"zh": "nndl", "en": "tidegate"}


@pytest.mark.parametrize(("name", "language"), [*((n, "en") for n in CELLS), *((n, "zh") for n in CHINESE)])
def test_the_page_in_docs_is_what_the_command_prints(name, language):
    place = f"{'zh/' * (language == 'zh')}{name}.md"
    options = " --diagram" if language == "en" else f" --language zh --notation {NNDL['zh']}"
    again = f"tidegate derive {name}{options} --out docs/derivations/{place}"
    page = derive(name, language=language, notation=NNDL[language]).render(
        "markdown", picture=f"{name}.svg" if language == "en" else None
    )
    assert (FOLDER / place).read_text(encoding="utf-8") == page, f"stale; run {again}"


@pytest.mark.parametrize("name", CELLS)
def test_the_diagram_in_docs_shows_the_cell(name):
    stored, now = ((ElementTree.fromstring(svg)) for svg in ((FOLDER / f"{name}.svg").read_text(), diagram(name).svg))
    # Coordinates can depend on the version of a library; texts and arrows cannot.
    for stored_part, part in zip((texts(stored), arrows(stored)), (texts(now), arrows(now))):
        assert stored_part == part, f"stale; run tidegate derive {name} --diagram --out docs/derivations/{name}.md"


def texts(svg):
    return sorted("".join(e.itertext()) for e in svg.iter() if e.tag.endswith(("}text", "}title", "}desc")))


def arrows(svg):
    heads = (e.get("d") for e in svg.iter() if (e.get("class") or "").startswith("tg-head"))
    return sum(d.count("M") for d in heads if d)


def test_docs_list_every_derivation():
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"]({name}.md)" in index for name in CELLS)
    assert all(f"](zh/{name}.md)" in index for name in CHINESE)
