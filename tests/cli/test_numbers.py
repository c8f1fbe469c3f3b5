from dataclasses import asdict

import pytest
import typer

from tidegate.cli.app import app
from tidegate.train.recipe import Recipe


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("train", "x", "--hidden", "many"), "'--hidden': expected an integer such as 64, got 'many'."),
        (("train", "x", "--first", "1e4"), "'--first': expected an integer such as 64, got '1e4'."),
        (("train", "x", "--lr", "1e-3x"), "'--lr': expected a number such as 0.1 or 2e-3, got '1e-3x'."),
        (("train", "x", "--heldout", "10%"), "'--heldout': expected a number such as 0.1 or 2e-3, got '10%'."),
        (("sample", "x", "--length", ""), "'--length': expected an integer such as 64, got ''."),
        (("verify", "gru", "--seed", "x"), "'--seed': expected an integer such as 64, got 'x'."),
        (("derive", "gru", "--unroll", "two"), "'--unroll': expected an integer such as 64, got 'two'."),
        (("eval", "x", "--streams", "2.5"), "'--streams': expected an integer such as 64, got '2.5'."),
    ],
)
def test_a_value_that_is_not_a_number_is_repeated_in_the_message(tidegate, arguments, words):
    outcome = tidegate(*arguments)
    assert outcome.code == 2
    assert f"Invalid value for {words}" in outcome.err


def test_every_numeric_option_of_a_run_gives_this_message():
    read = {
        verb: {p.name for p in command.params if p.metavar in ("INTEGER", "NUMBER")}
        for verb, command in typer.main.get_group(app).commands.items()
    }
    numbers = {name for name, value in asdict(Recipe(epochs=1)).items() if type(value) in (int, float)}
    assert read["train"] >= numbers | {"minutes", "first", "eval_every"}
    assert read["sample"] == {"length", "temperature", "top_k", "seed"}
    assert read["eval"] == {"streams"}
