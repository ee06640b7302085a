"""What is said of the distribution beside its code: versions, licences, where things went."""

import importlib
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from discovery.cli import main
from tests.packaging.test_wheel import PACKAGES

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = (ROOT / "CITATION.cff").read_text()
LICENCES = (ROOT / "docs" / "licences.md").read_text()
MIGRATION = (ROOT / "docs" / "migration.md").read_text()
INSTALLING = (ROOT / "docs" / "installing.md").read_text()


def rows(text: str, title: str) -> list[list[str]]:
    """Return the cells of the first table below a title, without its head."""
    below = text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def named(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_citation_is_of_this_version():
    said = dict(re.findall(r"^(cff-version|version|license): (.+)$", CITATION, re.MULTILINE))
    assert said == {"cff-version": "1.2.0", "version": PROJECT["version"],
                    "license": PROJECT["license"]}  # fmt: skip


def test_versions_are_semantic_and_the_page_of_migrations_knows_this_one():
    assert re.fullmatch(r"\d+\.\d+\.\d+", PROJECT["version"])
    assert PROJECT["version"] in MIGRATION


def test_the_command_tells_its_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"preference-discovery {PROJECT['version']}\n"


def test_every_file_that_ships_and_is_no_code_has_its_licence_told():
    shipped = [
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in {".py", ".pyc"}
    ]
    patterns = []
    for files, *_ in rows(LICENCES, "In the wheel"):
        folder = ""
        for name in named(files):
            folder = name.rpartition("/")[0] or folder
            patterns.append(f"{folder}/{name.rpartition('/')[2]}".replace("**/", "*"))
    assert len(shipped) > 80
    assert not [name for name in shipped if not any(fnmatch(name, one) for one in patterns)]
    assert not [one for one in patterns if not any(fnmatch(name, one) for name in shipped)]


def test_every_package_that_is_installed_has_its_licence_told():
    told = " ".join(row[0] for row in rows(LICENCES, "What is used, and comes by itself"))
    needed = [re.split(r"[^\w-]", one)[0] for one in PROJECT["dependencies"]]
    assert not [name for name in needed if name not in re.split(r"[^\w-]+", told)]


def found(name: str) -> object:
    """Return the module of a dotted name, or what a module has by it, or `None`."""
    try:
        return importlib.import_module(name)
    except ImportError:
        above, _, last = name.rpartition(".")
        return getattr(found(above), last, None) if above else None


@pytest.mark.parametrize(("before", "now"), rows(MIGRATION, "From checkouts before 0.1.0"))
def test_what_moved_is_where_the_page_says(before, now):
    (old,), (new,) = named(before), named(now)
    assert found(old) is None
    assert found(new) is not None


def test_files_that_are_said_to_load_are_held_by_tests_that_exist():
    held = [named(row[-1]) for row in rows(MIGRATION, "Files of before that still load")]
    assert all(len(files) == 1 and (ROOT / files[0]).is_file() for files in held)


def test_the_table_of_versions_has_the_bounds_and_pythons_of_the_project():
    """Its oldest are the lower bounds, and the oldest and newest Python were tried."""
    (head,) = re.findall(r"^\| (Python .*) \|$", INSTALLING, re.MULTILINE)
    tried = [
        dict(zip(head.split(" | "), row, strict=True))
        for row in rows(INSTALLING, "Versions that were tried")
    ]
    lines = "\n".join(PROJECT["dependencies"])
    bounds = dict(re.findall(r"^([\w-]+)>=([\d.]+)", lines, re.MULTILINE))
    oldest = [row for row in tried if row["Python"].endswith("oldest")]
    assert oldest
    for row in oldest:
        for name in bounds.keys() & row.keys() - {"mujoco"}:
            assert (row[name] + ".0").startswith(bounds[name]), (name, row[name], bounds[name])
    pythons = {row["Python"].rpartition(".")[0] for row in tried}
    promised = {c.split()[-1] for c in PROJECT["classifiers"] if "Python :: 3." in c}
    ends = sorted(promised, key=lambda name: int(name.removeprefix("3.")))
    assert {ends[0], ends[-1]} <= pythons <= promised
    assert PROJECT["requires-python"] == f">={ends[0]}"


def test_the_image_runs_as_nobody_in_particular_and_holds_what_it_copies():
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["1001"]
    asked = (ROOT / ".dockerignore").read_text().splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert all((ROOT / word).exists() and f"!{word}" in asked for word in copied)
