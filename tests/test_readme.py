"""What the README, docs/stream.md, docs/loop.md and docs/words.md print is what happens."""

import doctest
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_examples_in_the_tour_give_the_documented_output():
    result = doctest.testfile(str(README), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0


def test_the_examples_of_streams_give_the_documented_output():
    result = doctest.testfile(str(README.parent / "docs" / "stream.md"), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0


def test_the_example_of_a_training_loop_runs():
    result = doctest.testfile(str(README.parent / "docs" / "loop.md"), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0


def test_the_example_of_a_word_model_runs():
    result = doctest.testfile(str(README.parent / "docs" / "words.md"), module_relative=False)
    assert result.attempted > 5
    assert result.failed == 0
