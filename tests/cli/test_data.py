"""`tidegate data`."""

import json

import pytest
import typer
from typer.testing import CliRunner

from tidegate.cli.data import data
from tidegate.text import NAMES, Text, make_dataset


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("TIDEGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TIDEGATE_DATA", raising=False)
    app = typer.Typer()
    app.command()(data)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_every_corpus_is_listed_with_size_licence_source_and_presence(run, tmp_path):
    output = run()
    for piece in (
        "178,979 bytes",
        "1,115,394 bytes",
        "public domain",
        "PSF-2.0",
        "timemachine.txt",
        "pydoc_data",
    ):
        assert piece in output
    assert output.count("no, fetched when first used") == 2
    assert str(tmp_path / "cache") in output


def test_the_list_is_available_as_json(run):
    listed = json.loads(run("--json"))
    assert tuple(corpus["name"] for corpus in listed) == NAMES
    assert [corpus["where"] is None for corpus in listed] == [False, True, True]


def test_the_tokens_of_large_texts_are_listed_and_cleared(run, monkeypatch):
    monkeypatch.setattr("tidegate.text.source.LARGE", 10)
    assert "--clear" not in run()
    make_dataset(Text.of("big.txt", "the text " * 20))
    listed = run()
    assert "big.txt: raw char tokens" in listed
    assert "tidegate data --clear" in listed
    assert run("--clear").startswith("Removed the tokens of 1 text, ")
    assert "big.txt" not in run()
