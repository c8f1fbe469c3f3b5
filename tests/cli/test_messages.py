from tidegate.cli.app import parameters
from tidegate.cli.messages import as_typed


def test_a_python_name_that_is_an_option_becomes_the_option():
    message = "`min_freq` must be at least 1; `batch` 8 or a smaller `hidden_size` with `num_layers` 2."
    expected = "--min-freq must be at least 1; --batch 8 or a smaller --hidden with --layers 2."
    assert as_typed(message, parameters(["train", "x"])) == expected


def test_the_same_name_is_an_argument_of_one_verb_and_an_option_of_another():
    assert as_typed("`cell` must be", parameters(["train"])) == "--cell must be"
    assert as_typed("`cell` must be", parameters(["verify", "gruu"])) == "CELL must be"


def test_flags_keep_their_own_spelling():
    assert as_typed("`as_json` and `every`", parameters(["verify"])) == "--json and --all"


def test_other_words_in_backticks_are_not_changed():
    message = "Train one with `tidegate train`; `prompt` is no option here."
    assert as_typed(message, parameters(["eval"])) == message


def test_without_a_verb_nothing_is_replaced():
    assert as_typed("`hidden`", parameters(["--version"])) == "`hidden`"
