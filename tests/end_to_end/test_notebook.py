"""Run the notebook of the documents, as a reader would."""

from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "docs" / "first-model.ipynb"


def shown(cell):
    """Return what a cell shows as text and as HTML."""
    texts = [output.get("text", "") for output in cell.outputs]
    pages = [data for output in cell.outputs for data in output.get("data", {}).values()]
    return "\n".join((*texts, *pages))


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not kept in the repository"
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}).execute()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    exported = next(cell for cell in code if "tflite_sparse.export(" in cell.source)
    assert "<strong>Report</strong>" in shown(exported)
    assert "encode (" in shown(exported)  # a stage, as progress shows it
    pruned = next(cell for cell in code if "MagnitudePruning" in cell.source)
    assert "0.75" in shown(pruned)
    assert {"model.tflite", "report.html"} <= {path.name for path in (tmp_path / "digits-export").iterdir()}
