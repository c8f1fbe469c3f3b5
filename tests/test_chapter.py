"""docs/chapter.py trains the textbook's cells and writes the tables of docs/chapter.md, which show what it says."""

import importlib.util
from pathlib import Path

import pytest

from tidegate.train.recipe import recipe

FOLDER = Path(__file__).parent.parent / "docs"
PAGE = (FOLDER / "chapter.md").read_text(encoding="utf-8")


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("chapter", FOLDER / "chapter.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(name):
    lines = PAGE.split(f"<!-- measured: {name} -->\n")[1].split("<!-- end -->")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines][2:]


def test_the_command_trains_the_three_cells_and_writes_their_tables(script, tmp_path, monkeypatch, capsys):
    asked = []

    def small(name, **given):
        asked.append((name, given))
        return recipe(
            name,
            **given | {"epochs": 1},
            hidden=4,
            first=300,
            heldout=100,
            batch=4,
            steps=5,
            device="cpu",
            prompts=("ab",),
        )

    text, page = tmp_path / "text.txt", tmp_path / "chapter.md"
    text.write_text("the cab drove about and back to the old barn and the bay again and again " * 20)
    page.write_text(PAGE)
    monkeypatch.setattr(script, "recipe", small)
    monkeypatch.setattr(script, "PAGE", page)
    script.main(["--text", str(text), "--write"])
    assert asked == [("d2l", {"cell": cell, "epochs": None}) for cell in ("rnn", "gru", "lstm")]
    written = page.read_text()
    assert [line for line in written.splitlines() if not line.startswith("|") and "epochs of" not in line] == [
        line for line in PAGE.splitlines() if not line.startswith("|") and "epochs of" not in line
    ]
    assert "1 epochs of text.txt" in written
    assert capsys.readouterr().out.count("| gru | ab | `") == 2
    before = page.read_text()
    script.main(["--text", str(text), "--quick"])
    assert page.read_text() == before
    assert asked[-1] == ("d2l", {"cell": "lstm", "epochs": script.QUICK})
    with pytest.raises(SystemExit):
        script.main(["--quick", "--write"])


def test_the_tables_of_the_page_show_what_its_text_says():
    figures = {row[0]: row[1:] for row in rows("figures")}
    assert list(figures) == ["rnn", "gru", "lstm"]
    for cell, (perplexity, published, *_, end, best) in figures.items():
        assert float(perplexity) == pytest.approx(float(published), abs=0.1), cell
        assert float(end) > 5 * float(best.split()[0])
    baseline = float(PAGE.split("has a held-out perplexity of ")[1].split(".\n")[0])
    assert all(float(row[-1].split()[0]) > baseline for row in figures.values())
    strings = rows("strings")
    assert [(row[0], row[1]) for row in strings] == [
        (c, p) for c in ("rnn", "gru", "lstm") for p in ("time traveller", "traveller")
    ]
