"""Every format is well formed, in both languages."""

import re
import string
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tidegate.calculus.derivation import LANGUAGES, derive
from tidegate.calculus.derivation.page_text import width, wrapped
from tidegate.cells import CELLS

TIDE = f"{Path(__file__).parents[3] / 'examples' / 'tide.py'}:Tide"
EVERY = [*CELLS, TIDE]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", EVERY)
def test_latex_is_balanced(name, language):
    for format in ("latex", "markdown"):
        written = derive(name, unroll=2, language=language).render(format)
        assert written.count(r"\left") == written.count(r"\right")
        assert written.count("{") - written.count(r"\{") == written.count("}") - written.count(r"\}")
        for environment in set(re.findall(r"\\begin{(.*?)}", written)):
            assert written.count(rf"\begin{{{environment}}}") == written.count(rf"\end{{{environment}}}")
        assert written.count("$") % 2 == 0


def test_latex_has_no_author_and_a_chinese_preamble_for_chinese():
    for name in EVERY:
        assert r"\author{}" in derive(name).render("latex")
    assert derive("gru", language="zh").render("latex").startswith("% !TEX program = xelatex\n\\documentclass{ctexart}")
    assert "ctex" not in derive("gru").render("latex")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", EVERY)
def test_html_is_one_offline_page_of_well_formed_mathml(name, language):
    page = derive(name, unroll=2, language=language).render("html")
    assert f'<html lang="{language}">' in page
    assert re.search(r":lang\(zh\) body {[^}]*CJK SC", page)
    assert "http" not in page
    assert "<script" not in page
    formulas = re.findall(r"<math.*?</math>", page, re.DOTALL)
    assert len(formulas) > 40
    for each in formulas:
        ElementTree.fromstring(each)


def test_both_languages_have_the_same_sentences_with_the_same_places():
    def places(template):
        return {field for _, field, _, _ in string.Formatter().parse(template) if field}

    en, zh = (LANGUAGES[name].sentences for name in ("en", "zh"))
    assert list(en) == list(zh)
    for key in en:
        assert places(en[key]) == places(zh[key]), key


def test_every_sentence_is_used_and_chinese_has_no_english_sentence():
    source = Path(derive.__code__.co_filename).parent
    code = "".join(path.read_text(encoding="utf-8") for path in source.rglob("*.py"))
    for key in LANGUAGES["en"].sentences:
        family = re.sub(r"(source: |define |in ).*", r"\1", key)
        assert f'"{key}"' in code or f"'{key}'" in code or f'f"{family}' in code or re.sub(r"s$", "", key) in code, key
    for name in CELLS:
        for line in derive(name, language="zh").render().partition("参考文献")[0].splitlines():
            assert not re.search(r"\b(the|because|with|of|and)\b", line), line


def test_lines_of_text_are_wrapped_by_their_columns():
    assert width("更新门 z̃") == 8
    lines = wrapped("梯度消失。" * 30, 40)
    assert all(width(line) <= 42 for line in lines)
    assert not any(line.startswith("。") for line in lines)
    assert "".join(lines) == "梯度消失。" * 30
    assert wrapped("one two three", 8) == ["one two", "three"]
