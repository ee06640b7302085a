"""Artifacts on disk: loaded without executing anything, and whole whenever a save is cut off.

A reader goes by the JSON file, and takes only arrays with the checksum that it names. New
arrays wait in NAME.npz.next until the JSON file that names them is in its place; then they get
their name. A reader looks in both, so at any moment what loads is the whole artifact from
before the save, or the whole new one. Any number may read, and one at a time may save.
"""

import os
import stat
from pathlib import Path

from mpo import treefile
from mpo.artifact.encoding import Artifact, ArtifactError, checksum, decode, decode_head, encode
from mpo.artifact.places import beside, destination, locate, shipped_names
from mpo.artifact.provenance import Provenance
from mpo.errors import cannot_write
from mpo.objectives import Objective
from mpo.versions import versions

PACKAGES = ("preference-discovery", "jax", "jaxlib", "numpy")

_ABOUT, _ARRAYS, _WAITING = ".json", ".npz", ".npz.next"


def save(
    objective: Objective, path: str | os.PathLike[str], provenance: Provenance | None = None
) -> None:
    """Write `path`.json and `path`.npz, which `load(path)` reads.

    Args:
      objective: one objective, not a batch of them.
      path: of the files, without their endings; `RUN/objective` in the folder of a run.
      provenance: where it comes from; if not given, the versions of the packages.

    Raises:
      RequestError: it is nothing that could be loaded again, or `path` cannot be written to.
      OSError: the disk is full, or fails; what was there before still loads.
    """
    if provenance is None:
        provenance = Provenance(versions=versions(*PACKAGES))
    text, content = encode(Artifact(objective, provenance))
    stem = destination(path)
    about = beside(stem, _ABOUT)
    try:
        about.parent.mkdir(parents=True, exist_ok=True)
        _settle(stem)
        try:
            treefile.replace(beside(stem, _WAITING), content)
            treefile.replace(about, text)
        finally:
            _settle(stem)
    except OSError as error:
        if refused := cannot_write(about, error):
            raise refused from error
        raise OSError(error.errno, f"could not write {about}: {error.strerror}") from error


def load(path: str | os.PathLike[str]) -> Artifact:
    """Return the artifact in a run's folder, in a file, or of a name such as `found/NAME`.

    Raises:
      ArtifactError: its files are damaged, or of a later version.
      RequestError: there is none.
    """
    stem = locate(path)
    about = beside(stem, _ABOUT)
    text = None
    while True:
        text, before = _content(about), text
        if text is None:
            raise ArtifactError(f"{about} is missing")
        if text == before:  # or else another process saved between the two reads
            raise ArtifactError(
                f"{beside(stem, _ARRAYS)} is missing, or damaged, or another artifact's: "
                f"its checksum is not the one in {about.name}"
            )
        head = decode_head(text, about)
        content = _arrays(stem, head.arrays)
        if content is not None:
            return decode(head, content, beside(stem, _ARRAYS))


def shipped() -> dict[str, Provenance]:
    """Return where each objective that ships with the package comes from, by its name."""
    abouts = {name: beside(locate(name), _ABOUT) for name in shipped_names()}
    return {name: decode_head(at.read_bytes(), at).provenance for name, at in abouts.items()}


def _arrays(stem: Path, wanted: str) -> bytes | None:
    """Return the content of the file with the `wanted` checksum, if there is one.

    Arrays may get their name between a look here and a look there, so the first place is
    looked at once more.
    """
    for ending in (_ARRAYS, _WAITING, _ARRAYS):
        content = _content(beside(stem, ending))
        if content is not None and checksum(content) == wanted:
            return content
    return None


def _settle(stem: Path) -> None:
    """Give waiting arrays their name if the JSON file names them, and drop them if not."""
    waiting, about = beside(stem, _WAITING), beside(stem, _ABOUT)
    if not waiting.exists():
        return
    try:
        wanted = decode_head(about.read_bytes(), about).arrays
    except (ArtifactError, FileNotFoundError):
        wanted = None
    if checksum(waiting.read_bytes()) == wanted:
        waiting.replace(beside(stem, _ARRAYS))
    else:
        waiting.unlink()


def _content(path: Path) -> bytes | None:
    """Return the content of a file, if there is one."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe or a device might never end
            raise ArtifactError(f"{path} is not a file")
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtifactError(f"cannot read {path}: {error.strerror}") from error
