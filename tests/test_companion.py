"""docs/companion.md: its commands exist, its links lead somewhere, and the Chinese page has the same rows."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from tidegate.calculus.derivation import derive
from tidegate.cli.app import app

DOCS = Path(__file__).parent.parent / "docs"
PAGES = {name: (DOCS / name).read_text(encoding="utf-8") for name in ("companion.md", "companion.zh.md")}
ROOT = DOCS.parent


def rows(page):
    """The cells of each row of its tables."""
    return [line.strip("|").split(" | ") for line in PAGES[page].splitlines() if line.startswith("| ")]


def commands(page):
    """Each command of the page; `--convention write` and the like continue the one before."""
    found = []
    for code in re.findall(r"`([^`]+)`", "\n".join(PAGES[page].split("\n## ")[1:])):
        if code.startswith("tidegate "):
            found.append(code)
        elif code.startswith("--convention"):
            found.append(f"{found[-1].rpartition(' --convention')[0]} {code}")
    return found


@pytest.mark.parametrize("page", PAGES)
def test_every_command_has_options_that_exist(page):
    group = typer.main.get_group(app)
    assert len(commands(page)) > 30
    for command in commands(page):
        verb, *arguments = shlex.split(command)[1:]
        group.commands[verb].make_context(verb, arguments)


@pytest.mark.parametrize(("page", "language", "named"), [
    ("companion.md", "en", r'`tidegate derive (\S+)[^`]*`, section "([^"]+)"'),
    ("companion.zh.md", "zh", r"`tidegate derive (\S+)[^`]*` ?的“([^”]+)”一节"),
])  # fmt: skip
def test_the_sections_of_derivations_that_are_named_exist(page, language, named):
    found = re.findall(named, PAGES[page])
    assert len(found) >= 3
    for cell, title in found:
        assert any(section.title.startswith(title) for section in derive(cell, language=language).sections), title


def anchors(path):
    """The anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file_and_a_heading(page):
    links = re.findall(r"\]\(([^)#]+)#?([^)]*)\)", PAGES[page])
    assert len(links) > 40
    for target, anchor in links:
        assert not anchor or anchor in anchors(DOCS / target), (target, anchor)
        assert (DOCS / target).exists(), target


def test_the_chinese_page_has_the_same_rows_links_and_commands():
    english, chinese = rows("companion.md"), rows("companion.zh.md")
    assert len(english) == len(chinese)
    for a, b in zip(english, chinese):
        assert len(a) == len(b) == 3
        links = [re.findall(r"\]\(([^)]+)\)", row[2]) for row in (a, b)]
        assert links[0] == links[1], a
        code = [re.findall(r"`([^`]+)`", row[2].replace(" --language zh", "")) for row in (a, b)]
        assert code[0] == code[1], a
