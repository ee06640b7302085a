"""Descriptions of runs from presets, files and settings; unknown names fail with a suggestion."""

import json
import tomllib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from discovery.config.sections import RECIPE, SECTIONS, Config, Data, Section
from mpo.errors import RequestError, unknown
from mpo.settings import build

_PLAIN = ("seed", "about", "plugins")


def presets() -> dict[str, str]:
    """Return the name of every preset that ships, with a line about it."""
    return {name: preset(name).about for name in _shipped()}


def preset(name: str) -> Config:
    """Return the preset `name`."""
    if name not in (known := _shipped()):
        raise unknown("preset", name, known)
    text = resources.files("discovery.presets").joinpath(f"{name}.toml").read_text()
    return from_json(tomllib.loads(text))


def from_file(path: Path) -> Config:
    """Return what a TOML or JSON file describes, such as the `config.json` of another run.

    In a TOML file, which is somebody's wish and no record, noisy data have an exact share of
    rankings reversed unless it says `exact = false`.
    """
    values = read(path)
    given = values.get("data")
    if path.suffix != ".json" and given is not None:
        tables = given if isinstance(given, list) else [given]
        noisy = [one for one in tables if isinstance(one, dict) and _noisy(one.get("kind"))]
        for one in noisy:
            one.setdefault("exact", True)
    return from_json(values)


def read(path: Path) -> dict[str, Any]:
    """Return the settings in a TOML or JSON file."""
    try:
        text = path.read_text()
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"cannot read {path}: {error}") from error
    except (ValueError, RecursionError) as error:  # also of a number too long
        raise RequestError(f"{path} is no valid {path.suffix or 'TOML'}: {error}") from error
    if not isinstance(values, dict):
        raise RequestError(f"{path} must hold a table of settings")
    return values


def from_json(values: Mapping[str, Any]) -> Config:
    """Return the description that these plain values are.

    With `extends = "quick"` they go on top of that preset; a table `data` on top of each of
    its datasets, a list of tables in their place.
    """
    if (base := values.get("extends")) is not None:
        return from_json(merged(preset(base).as_json(), values))
    for name in values:
        if name not in SECTIONS and name not in _PLAIN:
            raise unknown("section", name, [*SECTIONS, *_PLAIN])
    if "task" not in values:
        raise RequestError("no task was given: say task.name, or start from a preset")
    sections: dict[str, Any] = {
        name: _section(SECTIONS[name], given)
        for name, given in values.items()
        if name != "data" and name in SECTIONS
    }
    if "data" in values:
        given = values["data"]
        tables = given if isinstance(given, list | tuple) else [given]
        sections["data"] = tuple(_section(Data, table) for table in tables)
    plain = {name: values[name] for name in _PLAIN if name in values}
    return build(Config, "the run", sections | plain)


def named(name: str) -> Config:
    """Return what a preset describes, or a TOML or JSON file, by its name or path."""
    path = Path(name)
    return from_file(path) if path.suffix in (".toml", ".json") else preset(name)


def changed(config: Config, settings: Mapping[str, Any]) -> Config:
    """Return the description with settings changed: `{"search.sigma": 0.2, "seed": 1}`.

    `data.rows` changes every dataset, `data.1.rows` the second one. `data.path` puts a file in
    the place of data that are generated, whatever their settings were. Where the kind is changed
    to one that reverses rankings, exactly so many are, unless `data.exact` is given, too.
    """
    values = config.as_json()
    settings = _exact(settings)
    files_first = sorted(settings.items(), key=lambda item: not _is_file(item[0].split(".")))
    for path, value in files_first:
        _put(values, path.split("."), value, path)
    return from_json(values)


def _exact(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with what follows from a change of the kind of data, before the others."""
    follows = {}
    for path, value in settings.items():
        where, _, name = path.rpartition(".")
        if name == "kind" and where.split(".")[0] == "data" and _noisy(value):
            follows[f"{where}.exact"] = True
    return follows | dict(settings)


def _noisy(kind: object) -> bool:
    return "noisy" in str(kind).split("+")


def setting(text: str) -> tuple[str, Any]:
    """Read `key=value` as TOML does; a value that is no TOML is taken for a word."""
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise RequestError(
            f"a setting is written key=value, such as search.sigma=0.2, not {text!r}"
        )
    try:
        parsed = tomllib.loads(f"value = {value.strip()}")["value"]
    except tomllib.TOMLDecodeError:
        parsed = value.strip()
    return key.strip(), parsed


def merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with others on top; a table of data on top of each dataset."""
    found = dict(base)
    for name, value in top.items():
        under = found.get(name)
        if name == "extends":
            continue
        if name == "data" and isinstance(value, Mapping) and isinstance(under, list):
            replaced = "path" in value
            found[name] = [merged(_unmade(one) if replaced else one, value) for one in under]
        elif isinstance(value, Mapping) and isinstance(under, Mapping):
            found[name] = merged(under, value)
        else:
            found[name] = value
    return found


def _put(values: dict[str, Any], path: list[str], value: Any, whole: str) -> None:
    head, *rest = path
    if head == "data" and rest:
        tables, number = values["data"], rest[0]
        if number.isdigit():
            if int(number) >= len(tables):
                raise RequestError(f"there is no dataset {number}: they are numbered from 0")
            tables, rest = [tables[int(number)]], rest[1:]
        for table in tables:
            if _is_file(path):
                kept = _unmade(table)
                table.clear()
                table.update(kept)
            _put(table, rest, value, whole)
        return
    if not rest:
        values[head] = value
        return
    inner = values.setdefault(head, {})
    if not isinstance(inner, dict):
        raise RequestError(f"{whole!r} is no setting: {head!r} has no parts")
    _put(inner, rest, value, whole)


def _is_file(path: list[str]) -> bool:
    return path[0] == "data" and path[-1] == "path"


def _unmade(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a dataset without those of how it is generated, or of which file."""
    return {n: value for n, value in table.items() if n not in (*RECIPE, "sha256")}


def _section(kind: type[Section], given: Any) -> Section:
    if not isinstance(given, Mapping):
        raise RequestError(f"{kind.__name__.lower()} must be a table of settings, not {given!r}")
    return kind.of(given)


def _shipped() -> list[str]:
    folder = resources.files("discovery.presets")
    return sorted(
        p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml")
    )
