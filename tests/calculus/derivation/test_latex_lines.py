"""Equations that are wider than a page of LaTeX are broken."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tidegate.calculus.derivation import NOTATIONS, derive
from tidegate.calculus.derivation.latex_lines import PAGE, pieces
from tidegate.calculus.derivation.latex_width import measure
from tidegate.cells import CELLS

TIDE = f"{Path(__file__).parents[3] / 'examples' / 'tide.py'}:Tide"
GRU = (
    r"\operatorname{diag}\left(\left(1 - z_{t}\right) \odot \left(1 - n_{t}^2\right) \odot q_{n,t} \odot r_{t} \odot "
    r"\left(1 - r_{t}\right)\right)\, U_{r}"
)
#: Formulas with their widths in points as pdflatex sets them.
SET = {
    GRU: 219.2,
    r"\sum_{t=1}^{T} \sum_{k=1}^{t} \delta_{g,t,k}\, x_{k}^{\top}": 67.7,
    r"\frac{\partial L}{\partial A_{i,t}}\, W_{\mathit{xi}}^{\top} + \frac{\partial L}{\partial A_{f,t}}\, "
    r"W_{\mathit{xf}}^{\top}": 101.4,
    r"\begin{bmatrix} J_{\mathit{hh},t} & J_{\mathit{hc},t} \\ J_{\mathit{ch},t} & J_{\mathit{cc},t} "
    r"\end{bmatrix}": 60.9,
    r"\max\left|F_{t}\right| - \max\left|\tilde{C}_{t} \odot I_{t} \odot \left(1 - I_{t}\right)\right|\, "
    r"\left\|W_{\mathit{hi}}\right\|": 181.6,
}


@pytest.mark.parametrize("formula", SET)
def test_the_width_of_a_formula_is_that_which_latex_sets(formula):
    assert measure(formula) == pytest.approx(SET[formula], rel=0.09)


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("cell", [*CELLS, TIDE])
def test_every_line_fits_the_page_and_has_balanced_brackets(cell, notation):
    article = derive(cell, notation=notation, unroll=2).render("latex")
    for environment in re.findall(r"\\begin{align\*}\n(.*?)\n\\end{align\*}", article, re.DOTALL):
        lines = [re.sub(r" \\\\\*?$", "", line).split(" && ")[0] for line in environment.splitlines()]
        left = max(measure(line.partition("&")[0]) for line in lines)
        for line in lines:
            right = line.partition("&")[2]
            assert line.count(r"\left") == line.count(r"\right")
            if r"\text" not in right and r"\parbox" not in right:
                assert left + measure(right) <= PAGE, line


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
@pytest.mark.parametrize("notation", NOTATIONS)
def test_latex_sets_the_article_of_a_cell_with_two_states_without_overfull_lines(notation, tmp_path):
    (tmp_path / "a.tex").write_text(derive(TIDE, notation=notation, unroll=2).render("latex"), encoding="utf-8")
    run = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "a.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert "Output written on a.pdf" in run.stdout
    assert re.findall(r"Overfull .hbox.*", run.stdout) == []


@pytest.mark.parametrize("room", [110, 150, 240])
def test_a_broken_formula_has_every_part_in_its_order(room):
    found = pieces(f"{GRU} + {GRU}", room)
    assert len(found) > 2
    joined = "".join(found)
    for inserted in (r"\left. ", r" \right.", r"\cdot ", "{} "):
        joined = joined.replace(inserted, "")
    assert re.sub(r"\s|\\,", "", joined) == re.sub(r"\s|\\,", "", f"{GRU} + {GRU}")
    assert all(measure(piece) <= room for piece in found)


def test_a_sum_is_broken_between_its_terms_and_a_product_between_matrices_before_it_is_broken_inside():
    assert pieces(f"{GRU} + {GRU}", measure(GRU) + 40) == [GRU, rf"{{}} + {GRU}"]
    first, second = pieces(rf"{GRU}\, {GRU}", measure(GRU) + 40)
    assert (first, second) == (GRU, rf"{{}} \cdot {GRU}")


def test_a_formula_that_fits_or_cannot_be_broken_stays_in_one_line():
    assert pieces(GRU, 1000) == [GRU]
    assert pieces(r"\mathit{averylongname}_{t}", 10) == [r"\mathit{averylongname}_{t}"]
    assert pieces("-a", 5) == ["-a"]
