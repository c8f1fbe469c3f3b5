"""The pages in docs/derivations are what the command prints."""

from pathlib import Path

import pytest

from tidegate.calculus.derivation import derive
from tidegate.cells import CELLS

FOLDER = Path(__file__).parents[3] / "docs" / "derivations"
CHINESE = ("rnn", "gru", "lstm")
NNDL = {"zh": "nndl", "en": "tidegate"}


@pytest.mark.parametrize(("name", "language"), [*((n, "en") for n in CELLS), *((n, "zh") for n in CHINESE)])
def test_the_page_in_docs_is_what_the_command_prints(name, language):
    place = f"{'zh/' * (language == 'zh')}{name}.md"
    options = f" --language zh --notation {NNDL['zh']}" * (language == "zh")
    again = f"tidegate derive {name}{options} --out docs/derivations/{place}"
    page = derive(name, language=language, notation=NNDL[language]).render("markdown")
    assert (FOLDER / place).read_text(encoding="utf-8") == page, f"stale; run {again}"


def test_docs_list_every_derivation():
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"]({name}.md)" in index for name in CELLS)
    assert all(f"](zh/{name}.md)" in index for name in CHINESE)
