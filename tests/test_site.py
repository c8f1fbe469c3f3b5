"""The documentation site is built without a warning, so without a broken link, and loads nothing from other hosts."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
SITE = ROOT / "docs" / "site"


def module(name):
    spec = spec_from_file_location(name, SITE / f"{name}.py")
    loaded = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


class Addresses(HTMLParser):
    """Everything that a page loads, and where its links go."""

    def __init__(self):
        super().__init__()
        self.loaded, self.links, self.ids = [], [], set()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids.add(given.get("id"))
        if tag == "a":
            self.links.append(given.get("href") or "")
        elif tag == "link" and given.get("rel") in ("index", "search", "next", "prev"):
            self.links.append(given["href"])
        else:
            self.loaded += [given[name] for name in ("src", "href", "data", "srcset") if given.get(name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet", "-c", str(SITE)]
    done = subprocess.run(
        [*command, "-d", str(folder / "doctrees"), str(ROOT), str(folder / "html")],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site):
    found = {}
    for path in site.rglob("*.html"):
        found[path] = Addresses()
        found[path].feed(path.read_text(encoding="utf-8"))
    return found


def test_pages_load_only_files_of_the_site(site, pages):
    assert len(pages) > 30
    for path, page in pages.items():
        for address in page.loaded:
            parts = urlsplit(address)
            if parts.scheme != "data" and not address.startswith("#"):
                assert not parts.scheme, f"{path.name} loads {address}"
                assert not parts.netloc, f"{path.name} loads {address}"
                assert (path.parent / unquote(parts.path)).is_file(), f"{path.name} loads {address}"
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*['\"]?(https?:)?//", sheet.read_text(encoding="utf-8"))


def test_every_link_inside_the_site_leads_to_a_page_and_a_place_on_it(pages):
    checked = 0
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or not link or link == "#":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            assert target.is_file(), f"{path.name}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].ids, f"{path.name}: {link}"
            checked += 1
    assert checked > 500


def test_the_site_has_formulas_the_reference_diagrams_and_the_notebooks_with_their_outputs(site):
    derivation = (site / "docs" / "derivations" / "gru.html").read_text(encoding="utf-8")
    assert derivation.count("<math") > 20
    assert "\\begin" not in derivation
    reference = (site / "docs" / "reference" / "layers.html").read_text(encoding="utf-8")
    assert 'id="tidegate.GRU"' in reference
    tour = (site / "docs" / "notebooks" / "chapter.html").read_text(encoding="utf-8")
    assert "equal up to rounding: True" in tour
    assert "tg-table" in tour
    assert "<svg" in tour
    assert "GRU" in (site / "searchindex.js").read_text(encoding="utf-8")


def test_pages_in_chinese_say_so_and_have_fonts_with_its_characters(site):
    chinese = 0
    for path in site.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        if path.parent == site:  # a page that only leads to the first one, the index and the search
            continue
        content = re.sub(r"<math.*?</math>|<[^>]*>", "", page.partition("<article")[2].partition("</article")[0])
        share = len(re.findall(r"[\u4e00-\u9fff]", content)) / max(1, len(content))
        language = "zh" if share > 0.1 else "en"
        assert re.search(r'<html[^>]* lang="([^"]*)"', page)[1] == language, path
        chinese += language == "zh"
    assert chinese >= 4
    style = (site / "_static" / "site.css").read_text(encoding="utf-8")
    assert re.search(r":lang\(zh\)[^}]*CJK SC", style)


def test_aligned_equations_become_a_table_and_what_is_not_understood_is_an_error():
    mathematics = module("mathematics")
    matrix = r"\begin{bmatrix} b & c \\ d & e \end{bmatrix}"
    shown = mathematics.mathml(rf"\begin{{aligned}} a &= {matrix} \\ f &= g \end{{aligned}}", block=True)
    assert shown.count("<mtr>") == 2 + 2
    assert shown.count('class="aligned"') == 1
    assert "<mi>d</mi>" not in mathematics.mathml(r"\mathrm{d}x", block=False)
    text = mathematics.mathml(r"\text{so $\mathbf{h}_{t}$ is {it}}", block=False)
    assert "$" not in text
    assert "<msub>" in text
    for wrong in (r"\nosuchcommand{x}", r"a & b", r"\frac{1"):
        with pytest.raises(Exception, match="cannot be converted"):
            mathematics.mathml(wrong, block=False)


def test_a_new_page_is_listed_once():
    text = "```\nA title <speed>\nnotebooks/one\n(other pages)\n```\n"
    found = {"docs/index", "docs/speed", "docs/new", "docs/notebooks/one", "README"}
    assert module("contents").with_other_pages(text, found) == "```\nA title <speed>\nnotebooks/one\nnew\n```\n"


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("One * two_ |x|.", r"One \* two\_ \|x\|."),
        ("Use `a_b * c`.", "Use ``a_b * c``."),
        ("Text.\n\nr  = sigmoid(a)\nz  = tanh(b)", "Text.\n\n::\n\n    r  = sigmoid(a)\n    z  = tanh(b)"),
        ("As follows::\n\n    x = 1", "As follows:\n\n::\n\n        x = 1"),
        ("Two:\n* a_\n* b", "Two:\n\n* a\\_\n* b"),
        ("Class::\n\n    a\n\n        b\n\nText.", "Class:\n\n::\n\n        a\n\n            b\n\nText."),
    ],
)
def test_docstrings_keep_their_equations_and_their_signs(docstring, expected):
    assert module("docstrings").as_rst(docstring) == expected
