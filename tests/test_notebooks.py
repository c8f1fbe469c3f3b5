"""The notebooks of the documentation run from top to bottom and show what is stored in them."""

import importlib.util
from pathlib import Path

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).parent.parent / "docs" / "notebooks"
spec = importlib.util.spec_from_file_location("run_notebooks", FOLDER / "run.py")
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)

WARNINGS = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning:jupyter_client")


def stored(name):
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


@WARNINGS
@pytest.mark.parametrize("name", [path.stem for path in run.NOTEBOOKS])
def test_a_notebook_runs_from_top_to_bottom_and_shows_what_is_stored(name):
    notebook = stored(name)
    assert run.differences(notebook, run.execute(notebook)) == []


def test_there_are_three_notebooks_with_outputs_and_without_machine_paths():
    assert {path.stem for path in run.NOTEBOOKS} == {"chapter", "own-cell", "replace-torch"}
    for path in run.NOTEBOOKS:
        text, notebook = path.read_text(encoding="utf-8"), stored(path.stem)
        assert "/home/" not in text
        assert "/tmp/" not in text
        assert "ipykernel_" not in text
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
        assert sum(bool(cell.outputs) for cell in code) >= 5
        assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
        assert not any(output.get("name") == "stderr" for cell in code for output in cell.outputs)


def test_a_changed_output_is_found_unless_it_varies():
    notebook = stored("replace-torch")
    shown = next(cell for cell in notebook.cells if cell.get("outputs") and cell.outputs[0].output_type == "stream")
    changed = nbformat.from_dict(notebook)
    same = next(cell for cell in changed.cells if cell.id == shown.id)
    same.outputs[0]["text"] = "something else"
    (found,) = run.differences(notebook, changed)
    assert "something else" in found
    shown.metadata["tags"] = ["varies"]
    assert run.differences(notebook, changed) == []
    same.outputs.clear()
    assert len(run.differences(notebook, changed)) == 1


def test_of_html_the_words_are_compared_and_not_the_style():
    def cell(html):
        output = nbformat.v4.new_output("display_data", {"text/html": html})
        return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[output])])

    stored_cell = cell("<style>p {}</style><p class='a'>one  two</p>")
    assert run.differences(stored_cell, cell("<style>q {}</style><p class='b'>one two</p>")) == []
    assert len(run.differences(stored_cell, cell("<p>one three</p>"))) == 1


@WARNINGS
def test_a_cell_that_fails_stops_the_execution():
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        run.execute(broken)
