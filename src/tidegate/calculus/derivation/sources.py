"""The publications that a derivation rests on, and the cell's own."""

import re

from tidegate.calculus.derivation.parts import Items, Section, Sentence
from tidegate.calculus.derivation.setting import Setting

#: Each with what it shows: the name of a sentence.
SOURCES = (
    ("Werbos", "P. Werbos, Backpropagation through time: what it does and how to do it, Proc. IEEE 78(10), 1990"),
    ("Hochreiter 1991", "S. Hochreiter, Untersuchungen zu dynamischen neuronalen Netzen, diploma thesis, TU München, "
                        "1991"),
    ("Bengio", "Y. Bengio, P. Simard, P. Frasconi, Learning long-term dependencies with gradient descent is difficult, "
               "IEEE Trans. Neural Networks 5(2), 1994"),
    ("Hochreiter 1997", "S. Hochreiter, J. Schmidhuber, Long short-term memory, Neural Computation 9(8), 1997"),
    ("Pascanu", "R. Pascanu, T. Mikolov, Y. Bengio, On the difficulty of training recurrent neural networks, ICML "
                "2013, arXiv:1211.5063"),
    ("Cho", "K. Cho et al., Learning phrase representations using RNN encoder-decoder for statistical machine "
            "translation, EMNLP 2014, arXiv:1406.1078"),
    ("Chung", "J. Chung, C. Gulcehre, K. Cho, Y. Bengio, Empirical evaluation of gated recurrent neural networks on "
              "sequence modeling, 2014, arXiv:1412.3555"),
)  # fmt: skip


def source_section(setting: Setting, own: str) -> Section:
    items = [setting.sentence("source: cell", cell=setting.step.name, own=own)] if own else []
    items += [Sentence((*setting.words(f"source: {name}"), citation, ".")) for name, citation in SOURCES]
    items += [setting.sentence(f"source: {book}") for book in ("NNDL", "D2L")]
    return setting.section("sources", [Items(tuple(items))])


def own_source(docstring: str) -> str:
    """The paragraph of a docstring that begins with "Source:", on one line."""
    found = re.search(r"Source: (.*?)(?:\n\s*\n|$)", docstring, re.DOTALL)
    return " ".join(found[1].split()) if found else ""


def summary(docstring: str) -> str:
    """The first line of a docstring, unless it is an equation, which the derivation prints itself."""
    first = docstring.strip().partition("\n")[0]
    return "" if "=" in first else first


def labels(docstring: str, gates: tuple[str, ...]) -> dict[str, str]:
    """What a docstring calls its gates, at the ends of the lines of their equations: {"r": "reset gate"}."""
    found = {}
    for line in docstring.splitlines():
        match = re.fullmatch(r"\s*(\w+)\s*=.*\S\s{2,}((?:\w+ )?gate|candidate)(?:[:,;].*)?", line)
        if match and match[1] in gates:
            found[match[1]] = match[2]
    return found
