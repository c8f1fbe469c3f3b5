"""docs/verify.md: its example is right, and the judgement that it prints is the one of the changed example."""

import re
from pathlib import Path

from tidegate.cells import RNN
from tidegate.verification import judge

PAGE = (Path(__file__).parent.parent / "docs" / "verify.md").read_text(encoding="utf-8")


def function_of(text):
    namespace = {}
    exec(text, namespace)
    return namespace["gradients"]


def block(name):
    return re.search(rf"<!-- {name} -->\n```\w*\n(.*?)```", PAGE, re.DOTALL)[1]


def test_the_example_is_right():
    found = judge(RNN, function_of(block("example")))
    assert found.passed
    assert "All 6 tensors that you returned are right." in str(found)


def test_the_printed_judgement_is_that_of_the_changed_example():
    wrong = block("example").replace("h[t + 1] ** 2", "h[t] ** 2")
    assert wrong != block("example")

    def without_distances(text):
        return re.sub(r"distance \S+\)", "distance", " ".join(text.split()))

    assert without_distances(str(judge(RNN, function_of(wrong)))) == without_distances(block("output"))
