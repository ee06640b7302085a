"""Every notebook runs from top to bottom at its small setting, and is committed without outputs."""

import base64
import io
from pathlib import Path

import nbformat
import numpy as np
import pytest
from matplotlib.image import imread
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
DRAWS = ("Image(", "plt.show()")

every = pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.llm] if "torch" in path.stem else [])
        for path in NOTEBOOKS
    ],
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Return a cache folder that the notebooks share: of datasets, and of what JAX compiles."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def small(cache, tmp_path, monkeypatch):
    """Let kernels run the small setting, compile quickly and see no settings of the user's."""
    monkeypatch.setenv("NOTEBOOK_SMALL", "1")
    monkeypatch.setenv("DISCOVERY_CACHE", str(cache))
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    monkeypatch.delenv("MPLBACKEND", raising=False)


def test_there_are_notebooks():
    assert [path.name[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06", "07"]


@every
def test_committed_without_outputs(path):
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}
    assert notebook.cells[0].source.startswith("# ")
    for cell in notebook.cells:
        assert not cell.metadata
        if cell.cell_type == "code":
            assert not cell.outputs
            assert cell.execution_count is None


@every
@pytest.mark.slow
@pytest.mark.usefixtures("small")
def test_runs_at_its_small_setting(path, tmp_path):
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    folder = tmp_path / "notebooks"
    folder.mkdir()
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=where).execute()
    drawing = [cell for cell in notebook.cells if any(word in cell.source for word in DRAWS)]
    assert drawing
    for cell in drawing:
        drawn = [_png(output) for output in cell.outputs if "image/png" in output.get("data", {})]
        assert drawn, f"no figure came out of {cell.source!r}"
        assert all(np.ptp(pixels) > 0 for pixels in drawn)


def _png(output):
    """Return the pixels of a figure."""
    return imread(io.BytesIO(base64.b64decode(output["data"]["image/png"])))
