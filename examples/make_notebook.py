"""Make examples.ipynb of the examples: ``python examples/make_notebook.py``.

The notebook runs in a clone. Each example becomes a cell with its text and a cell that runs it on a
sample clip.
"""

import ast
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
NOTEBOOK = FOLDER / "examples.ipynb"
CALLS = {
    "enhance_file": 'main("../clips/portrait.mp4", "portrait.enhanced.mp4")',
    "enhance_folder": 'main("../clips", "enhanced")',
    "opencv_frames": 'main("../clips/portrait.mp4", "frames")',
    "pillow_pictures": 'main("frames/frame0000.png")',
    "choose_people": 'main("../clips/two_faces_cut.mp4", "chosen.mp4")',
}
"""The call that ends the cell of each example. The other examples need a camera, a running studio
or a folder of pictures."""


def cell(kind: str, number: int, text: str) -> dict[str, Any]:
    """Return a cell of a notebook."""
    lines = text.strip("\n").splitlines(keepends=True)
    common = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}, "source": lines}
    return common | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def cells() -> list[dict[str, Any]]:
    """Return all cells, in the order of `CALLS`."""
    texts = [("markdown", "# Examples\n\nRun this notebook in the folder `examples` of a clone.")]
    for name, call in CALLS.items():
        source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
        title = (ast.get_docstring(ast.parse(source)) or "").partition(":")[0]
        body = source.partition('"""\n')[2].partition('\n\nif __name__ == "__main__":')[0]
        texts += [("markdown", f"## {title}"), ("code", f"{body.strip()}\n\n\n{call}")]
    return [cell(kind, number, text) for number, (kind, text) in enumerate(texts)]


def notebook() -> str:
    """Return the notebook as JSON."""
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    document = {"cells": cells(), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook(), encoding="utf-8", newline="\n")
