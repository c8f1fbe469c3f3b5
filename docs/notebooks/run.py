"""Execute the notebooks of this folder from top to bottom, and compare or store their outputs.

    python docs/notebooks/run.py            # fails where a cell fails or a stored output differs
    python docs/notebooks/run.py --write    # store the outputs

Outputs are compared as text, except those of cells with the tag "varies", which depend on the processor; pictures are
only counted. `tests/test_notebooks.py` does the same.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

HERE = Path(__file__).parent
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))
LIMIT = 300  # seconds for one cell
TEXT = ("text/plain", "text/html", "text/latex", "image/svg+xml")


def execute(stored: NotebookNode) -> NotebookNode:
    """A copy of the notebook with new outputs, and without what changes at every execution."""
    new = nbformat.from_dict(stored)
    here = {"metadata": {"path": str(HERE)}}
    NotebookClient(new, timeout=LIMIT, kernel_name="python3", coalesce_streams=True, resources=here).execute()
    for cell in new.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", ()):
            if output.output_type == "execute_result" or "data" in output:
                output.data = {kind: cleaned(data) for kind, data in output.data.items()}
    new.metadata.language_info = {"name": "python"}
    return new


def cleaned(data: object) -> object:
    """A text without the address that Python prints for an object."""
    return re.sub(r" at 0x[0-9a-f]+", "", data) if isinstance(data, str) else data


def differences(stored: NotebookNode, new: NotebookNode) -> list[str]:
    """The cells whose outputs are not those that are stored, with both."""
    found = []
    for old, again in zip(stored.cells, new.cells, strict=True):
        varies = "varies" in old.metadata.get("tags", ())
        before, now = ([seen(output, varies) for output in cell.get("outputs", ())] for cell in (old, again))
        if before != now:
            found.append(f"{old.source}\n--- stored\n{before}\n--- now\n{now}")
    return found


def seen(output: NotebookNode, varies: bool) -> object:
    """What is compared of an output: its kinds, and its texts unless they vary. Of HTML and SVG that is what a reader
    sees, not the style and the coordinates."""
    if output.output_type == "stream":
        return output.name, None if varies else output.text
    data = output.get("data", {})
    return {kind: words(data[kind]) if kind in TEXT and not varies else None for kind in sorted(data)}


def words(text: str) -> str:
    return " ".join(re.sub(r"<style.*?</style>|<[^>]*>", " ", text, flags=re.S).split())


def main() -> int:
    arguments = argparse.ArgumentParser(description="Execute the notebooks of this folder.")
    arguments.add_argument("--write", action="store_true", help="store the outputs")
    write, wrong = arguments.parse_args().write, 0
    for path in NOTEBOOKS:
        stored = nbformat.read(path, as_version=4)
        new = execute(stored)
        if write:
            nbformat.write(new, path)
            continue
        for difference in differences(stored, new):
            wrong += 1
            print(f"{path.name}: another output than is stored:\n{difference}\n", file=sys.stderr)
    return wrong


if __name__ == "__main__":
    sys.exit(min(main(), 1))
