"""Read and validate the configuration; errors name key, value, what is allowed and the line to edit."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from pillsnap.config.config import Config


class ConfigError(ValueError):
    """An invalid configuration; the message names key, value, what is allowed and the line to edit."""


def load_config(values: Mapping[str, Any], files: Sequence[str | Path] = ()) -> Config:
    """Validate merged configuration values.

    Args:
        values: nested values as Snakemake merged them from `files` and the command line.
        files: the YAML files, later ones win; used to say which line to edit.

    Raises:
        ConfigError: every wrong key or value in one message, each with its cure.
    """
    try:
        json.dumps(values, default=str, skipkeys=True)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{', '.join(map(str, files)) or 'the configuration'}: a value holds itself, by an anchor (&) and an alias "
            f"(*), or values are nested too deeply ({error}). Write the value out."
        ) from error
    values = _last_of_two(values, files)
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        problems = [_explain(problem, values, files) for problem in error.errors()]
    raise ConfigError("The configuration cannot be used:\n" + "\n".join(f"  {line}" for line in problems))


def read_config(*files: str | Path) -> Config:
    """Read YAML files (later ones win, key by key) and validate the result; raises `ConfigError`."""
    merged: dict[str, Any] = {}
    for file in files:
        merge_into(merged, read_values(file))
    return load_config(merged, files)


def read_values(file: str | Path) -> dict[str, Any]:
    """Read one YAML file as nested values, which are not validated; raises `ConfigError` where it holds none."""
    try:
        values = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: is not text in UTF-8 ({error}). Save it as UTF-8, or correct the path.") from error
    except OSError as error:
        said = (error.strerror or str(error)).lower()
        raise ConfigError(f"{file}: {said}. Correct the path, or give the command in the project's folder.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no such date or number
        raise ConfigError(f"{file}: cannot be read as YAML ({error}). Correct the file or its path.") from error
    if not isinstance(values, dict | None):
        raise ConfigError(
            f"{file}: holds no settings by name. A configuration has lines `key: value`, see docs/configuration.md. "
            "Correct the file or its path."
        )
    return values or {}


def merge_into(target: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Merge nested `values` into `target` in place, as Snakemake merges its configuration files."""
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            merge_into(target[key], value)
        else:
            target[key] = dict(value) if isinstance(value, Mapping) else value


def _last_of_two(values: Mapping[str, Any], files: Sequence[str | Path]) -> Mapping[str, Any]:
    """Leave out `source` where what was given later has `sources` in its place, and the other way round."""
    both = {"source", "sources"}
    merged: dict[str, Any] = {}
    last: set[str] = set()
    for file in filter(Path.is_file, dict.fromkeys(Path(file).absolute() for file in files)):
        given = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        merge_into(merged, given)
        last = {key for key in both if given.get(key)} or last
    # what differs from the files was given on the command line, which is later than all of them
    last = {key for key in both if values.get(key) and files and values[key] != merged.get(key)} or last
    return values if len(last) != 1 else {key: value for key, value in values.items() if key not in both - last}


def _explain(problem: Mapping[str, Any], values: Mapping[str, Any], files: Sequence[str | Path]) -> str:
    path = list(problem["loc"])
    key, message = ".".join(str(part) for part in path), problem["msg"].removeprefix("Value error, ")
    where = _where(path, problem["input"], files)
    if problem["type"] == "extra_forbidden":
        allowed = ", ".join(_allowed_keys(path[:-1]))
        return f"{key}: unknown key; allowed here: {allowed}. {where}"
    if problem["type"] == "missing":
        return f"{key}: is missing. Add it to {files[0] if files else 'the configuration'} (see docs/configuration.md)."
    if not path:
        return f"{message}. Edit one of the two in {files[-1] if files else 'the configuration'}."
    return f"{key} = {problem['input']!r}: {message[0].lower()}{message[1:]}. {where}"


def _allowed_keys(path: Sequence[str | int]) -> list[str]:
    model: Any = Config
    for part in path:
        model = get_args(model)[0] if isinstance(part, int) else model.model_fields[part].annotation
        model = section_of(model) or model
    return list(model.model_fields)


def section_of(annotation: Any) -> type[BaseModel] | None:
    """Return the section that a field holds, one that may be empty included; `None` for lists and plain values."""
    choices = get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)
    return next((one for one in choices if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _where(path: Sequence[str | int], given: Any, files: Sequence[str | Path]) -> str:
    # the default file is named again at the end; its first mention has the right rank
    for file in reversed(dict.fromkeys(Path(file).absolute() for file in files)):
        line = _line_of(path, file)
        if line and _value_at(path, yaml.safe_load(file.read_text(encoding="utf-8"))) == given:
            return f"Edit {file.name} line {line}."
    return "It was given on the command line (--config)."


def _value_at(path: Sequence[str | int], values: Any) -> Any:
    for part in path:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return None
    return values


def _line_of(path: Sequence[str | int], file: Path) -> int | None:
    node = yaml.compose(file.read_text(encoding="utf-8")) if file.is_file() else None
    line = None
    for part in path:
        if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
            continue
        if not isinstance(node, yaml.MappingNode):
            break
        match = [(key, value) for key, value in node.value if key.value == part]
        if not match:
            return None
        line, node = match[0][0].start_mark.line + 1, match[0][1]
    return line
