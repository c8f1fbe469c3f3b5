"""A trained model and a finished run in a notebook."""

import io

import pytest
from rich.console import Console
from tests.html import read_html, rows_of

import tidegate
from tidegate.cells import CELLS
from tidegate.text import Vocabulary
from tidegate.train.job import start
from tidegate.train.recipe import Recipe

EVIL = "cat & <b>dog.txt"


@pytest.mark.parametrize("cell", [*CELLS])
def test_a_saved_model_shows_its_sizes_and_leaves_out_what_it_does_not_know(cell, tmp_path):
    vocabulary = Vocabulary.build("The cat sat on the mat.")
    model = tidegate.LanguageModel(cell, len(vocabulary), 6, layers=2)
    tidegate.save(tmp_path / "run", model, vocabulary)
    shown = dict(rows_of(tidegate.load(tmp_path / "run")._repr_html_()))
    assert shown["units"] == "6"
    assert shown["layers"] == "2"
    assert shown["weights"] == f"{sum(p.numel() for p in model.parameters()):,}"
    assert shown["char tokens in the vocabulary"] == str(len(vocabulary))
    assert not any("bits" in name or "step" in name for name in shown)


def test_a_finished_run_shows_the_verdict_the_scores_and_the_curves_and_escapes_the_name_of_the_text(tmp_path):
    text = tmp_path / EVIL.replace("/", "")
    text.write_text("the cat sat on the mat and the dog sat on the cat. " * 60)
    recipe = Recipe(cell="rnn", hidden=8, epochs=1, minutes=None, batch=4, steps=16)
    done = start(recipe, str(text), tmp_path / "run", console=Console(file=io.StringIO()))
    shown, figures = done._repr_html_(), done.summary
    rows = dict(rows_of(shown))
    assert rows["best held-out bits per character"] == f"{figures['best']['heldout_bpc']:.3f}"
    assert rows[f"baseline, an order-{figures['baseline']['order']} n-gram: bits per character"] == (
        f"{figures['baseline']['bpc']:.3f}"
    )
    root = read_html(shown)
    assert figures["verdict"] in "".join(root.itertext())
    (picture,) = root.iter("img")
    assert picture.get("src").startswith("data:image/png;base64,iVBOR")
    assert EVIL.removesuffix(".txt") in picture.get("alt")
    loaded = tidegate.load(tmp_path / "run")
    again = dict(rows_of(loaded._repr_html_()))
    assert again["best held-out bits per character"] == f"{loaded.best.heldout_bpc:.3f}"
    assert again["text"] == figures["text"]
    done.folder.joinpath("curves.png").unlink()
    assert not list(read_html(done._repr_html_()).iter("img"))
