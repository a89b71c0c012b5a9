"""Generate `docs/configuration.md` and `docs/config.schema.json` from the configuration's models."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from pillsnap.config.config import Config
from pillsnap.config.data import Stage, Stages
from pillsnap.config.load import read_config, section_of
from pillsnap.files import write_text

PAGE, SCHEMA = Path("docs/configuration.md"), Path("docs/config.schema.json")

_HEAD = """\
# Configuration

<!-- Written by `make docs` from pillsnap/config/: edit descriptions there. -->

All settings are in [config.yaml](../config.yaml), the configuration for a laptop. Everything is checked before the
first job: an unknown key, a value of the wrong kind or out of bounds, or two values that contradict each other stop the
run with a message that names the key, the value, what is allowed, and the file and line to edit.

An overlay is a YAML file with only the keys that differ. Later files win, key by key:

```bash
snakemake --cores 8 --configfile config.yaml examples/pushin-pill.yaml -- results/pushin-pill/stage4/report.html
```

One value can be changed for one run; it wins over all files:

```bash
snakemake --cores 8 --config "classifier={epochs: 40}" -- results/stage4/report.html
```

In the tables, *default* is what holds where no file names the key, and *config.yaml* is the value there, where it is
another one. *Required* keys have no default. [config.schema.json](config.schema.json) is the same as JSON Schema, with
which editors complete and check a whole configuration (an overlay lacks the required keys).

Rules between keys:

- Exactly one of `source` and `sources` is used. Where an overlay, or the command line, gives the other one of the
  two, it takes its place.
- `detector.image_size` must not exceed `prepare.photo_size`: photographs are kept at that size.
- `classifier.image_size` must not exceed `crops.size`.
- `audit.lowest_score` must not exceed `audit.min_score` and `benchmark.min_score`, which choose among what it leaves.
- `classifier.start_size` must not exceed `classifier.image_size`.
- `crops.margin` must not exceed twice `prepare.crop_context`, the context that is kept around a pill.
- `source.synthetic.photos_per_drug` and `source.synthetic.validation_photos_per_drug` must fit together into the 72
  capture groups of 18 views that an invented drug has; a capture group belongs to one of the two parts.
"""


def configuration_page(values: Mapping[str, Any]) -> str:
    """Reference of all keys, as Markdown.

    Args:
        values: the checked configuration of `config.yaml`, nested, every key named.
    """
    parts = [_HEAD, "\n## Top level\n\nKeys outside any section.\n\n", *_table(Config, "", values)]
    for path, model, text in _sections(Config, ""):
        parts += [f"\n## `{path}`\n\n{text}\n\n", *_table(model, path, values)]
    return "".join(parts)


def json_schema() -> str:
    """JSON Schema of a whole configuration."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Config.model_json_schema()
    return json.dumps(schema | {"title": "PillSnap configuration"}, ensure_ascii=False, indent=2) + "\n"


def _submodel(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    return section_of(model.model_fields[name].annotation)


def _item_model(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The section that a list is made of."""
    annotation = model.model_fields[name].annotation
    return None if section_of(annotation) else next(filter(None, map(section_of, get_args(annotation))), None)


def _sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel], str]]:
    """Path, model and description of every section below `model`; the four stages appear once, as `stages.<stage>`."""
    described = {_submodel(model, name) for name in model.model_fields}
    for name in model.model_fields:
        below, item = _submodel(model, name), _item_model(model, name)
        place = f"{path}.{name}" if path else name
        if item and item not in described:
            yield f"{place}[]", item, f"An entry of the list. {item.__doc__}"
            yield from _sections(item, f"{place}[]")
        if not below:
            continue
        if below is Stages:
            purposes = "; ".join(f"`{stage}`: {about.description}" for stage, about in Stages.model_fields.items())
            yield f"{place}.<stage>", Stage, f"{Stages.__doc__} {purposes}. All four are required."
            yield from _sections(Stage, f"{place}.<stage>")
            continue
        yield place, below, str(below.__doc__)
        yield from _sections(below, place)


def _table(model: type[BaseModel], path: str, values: Mapping[str, Any]) -> list[str]:
    """Table of the keys of one section; nested sections have their own."""
    described = model.model_json_schema()["properties"]
    lines = ["| key | value | default | config.yaml | meaning |\n", "|---|---|---|---|---|\n"]
    for name, field in model.model_fields.items():
        if _submodel(model, name):
            continue
        key = f"{path}.{name}" if path else name
        default = "required" if field.is_required() else _shown(field.get_default(call_default_factory=True))
        here = _in_file(key, values)
        cells = [f"`{key}`", allowed(described[name]), default, "" if here == default else here, field.description]
        lines.append("| " + " | ".join(str(cell).replace("|", r"\|") for cell in cells) + " |\n")
    return lines


def _in_file(key: str, values: Mapping[str, Any]) -> str:
    """Value of a key in the file; for `stages.<stage>` the value of each stage; empty for entries of lists."""
    if "[]" in key:
        return ""
    found: list[Any] = [values]
    for part in key.split("."):
        found = [below for node in found for below in (node.values() if part == "<stage>" else [node[part]])]
    shown = [_shown(value) for value in found]
    return shown[0] if len(set(shown)) == 1 else " / ".join(shown)


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, list | tuple):
        return f"{len(value)} entries" if value else "none"
    if isinstance(value, bool | dict):
        return f"`{json.dumps(value, ensure_ascii=False)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def allowed(described: Mapping[str, Any]) -> str:
    """Describe type and bounds of a value in words.

    Args:
        described: its JSON Schema, as pydantic writes it.
    """
    if "anyOf" in described:
        return " or ".join(allowed(choice) for choice in described["anyOf"])
    if "const" in described:
        return f"`{described['const']}`"
    if "enum" in described:
        return ", ".join(f"`{value}`" for value in described["enum"])
    words = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "`true`, `false`",
        "object": "mapping",
        "array": "list, see below",
        "null": "empty",
    }
    bounds = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
        "multipleOf": "multiple of",
    }
    limits = [f"{sign} {described[bound]:.10g}" for bound, sign in bounds.items() if bound in described]
    return " ".join([words[described["type"]], ", ".join(limits)]).strip()


def main() -> None:
    """Write both files below the working folder."""
    values = read_config("config.yaml").model_dump(mode="json")
    write_text(PAGE, configuration_page(values))
    write_text(SCHEMA, json_schema())


if __name__ == "__main__":
    main()
