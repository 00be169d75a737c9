"""The JSON schema of option files: it accepts all that we ship, refuses mistakes, and explains what it knows."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from powerqe.algorithm.option_reference import TITLES
from powerqe.algorithm.option_schema import option_file_schema
from powerqe.cli import main
from powerqe.utils.options.option_file import read_option_file
from powerqe.utils.options.registry import REGISTRIES

TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, (list, tuple)),
    "string": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: TYPES["number"](value) and value == int(value),
}
ANNOTATIONS = {"$schema", "$defs", "title", "description", "default", "patternProperties", "propertyNames"}


def fits(value: Any, schema: Any, whole: dict[str, Any]) -> bool:
    """Whether a value is valid, as far as the schema's keywords are those that are known here."""
    if isinstance(schema, bool):
        return schema
    items = value if isinstance(value, (list, tuple)) else ()
    size = value if isinstance(value, (int, float)) else math.nan
    known = schema.get("properties", {})
    prefix = schema.get("prefixItems", [])
    rules = {
        "$ref": lambda path: fits(value, whole["$defs"][path.removeprefix("#/$defs/")], whole),
        "type": lambda name: TYPES[name](value),
        "anyOf": lambda schemas: any(fits(value, each, whole) for each in schemas),
        "const": lambda only: value == only,
        "enum": lambda choices: value in choices,
        "properties": lambda each: all(fits(value[key], each[key], whole) for key in each if key in (value or ())),
        "additionalProperties": lambda rest: all(fits(value[key], rest, whole) for key in set(value or ()) - {*known}),
        "items": lambda each: all(fits(item, each, whole) for item in items[len(prefix) :]),
        "prefixItems": lambda each: all(fits(item, one, whole) for item, one in zip(items, each, strict=False)),
        "minItems": lambda least: len(items) >= least,
        "maxItems": lambda most: len(items) <= most,
        "minProperties": lambda least: len(value) >= least,
        "required": lambda keys: set(keys) <= set(value),
        "minimum": lambda least: not size < least,
        "maximum": lambda most: not size > most,
        "exclusiveMinimum": lambda least: not size <= least,
        "exclusiveMaximum": lambda most: not size >= most,
        "pattern": lambda _pattern: True,
        "minLength": lambda least: len(value) >= least,
    }
    assert set(schema) <= {*rules, *ANNOTATIONS}
    return ("type" not in schema or rules["type"](schema["type"])) and all(
        rules[key](schema[key]) for key in schema if key in rules
    )


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return option_file_schema()


def test_every_option_file_fits(schema, root: Path) -> None:
    files = sorted((root / "opts").glob("*.yml"))
    assert len(files) > 15
    for path in files:
        assert fits(read_option_file(path), schema, schema), path.name


@pytest.mark.parametrize(
    "defaults",
    [
        {"network": {"type": "ARCNNN"}},
        {"network": {"type": "ARCNN", "hidden": 3}},
        {"network": {"type": "ARCNN", "kernel_sizes": 3}},
        {"trian": {}},
        {"train": {"niter": "many"}},
        {"train": {"niter": 0}},
        {"dataset": {"val": {"type": "PairedImages", "bs_pg": 8}}},  # of training data only
        {"algorithm": {"type": "Regression", "loss": {"MSE": {"wait": 1}}}},
        {"test": {"protocol": "fbcnn"}},
    ],
)
def test_mistakes_are_found(schema, defaults) -> None:
    assert not fits({"defaults": defaults, "cases": {"a": {}}}, schema, schema)


def test_syntax_of_option_files_only(schema) -> None:
    """Parts of components, a case like another, a single test set, and the name of a protocol."""
    case = {"network": {"in_channels": 1}, "like": "b", "test": {"protocol": "fbcnn_gray", "criterion": {"SSIM": None}}}
    case["dataset"] = {"train": {"bs_pg": 2}, "test": {"type": "PairedImages", "gt": "gt"}}
    assert fits({"defaults": None, "cases": {"a": case, "b": None}}, schema, schema)
    assert not fits({"defaults": {"like": "b"}, "cases": {"a": {}}}, schema, schema)
    assert not fits({"defaults": {}}, schema, schema)


def test_every_component_is_defined_with_the_meaning_of_its_arguments(schema) -> None:
    for kind in TITLES:
        for name in REGISTRIES[kind].names():
            places = [place for place in schema["$defs"] if place.partition("+")[0] == f"{kind}:{name}"]
            assert places, f"{kind} {name}"
            assert schema["$defs"][places[0]]["properties"]["type"] == {"const": name}
    assert schema["$defs"]["network:ARCNN"]["properties"]["kernel_sizes"]["description"] == "one odd size per layer"


def test_the_command_prints_it(schema, capsys) -> None:
    assert main(["options", "--schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(schema))
