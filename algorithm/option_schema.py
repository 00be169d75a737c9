"""The JSON schema of option files (draft 2020-12), for editors.

It is pydantic's schema of the option models, adapted to files: no key is required, as cases complete the defaults, and
a component without `type` may be of any type that has its keys.
"""

from typing import Any

import powerqe.algorithm  # noqa: F401 - makes the registries known
from powerqe.algorithm.option_reference import argument_rows
from powerqe.utils.options.components import Slot
from powerqe.utils.options.registry import REGISTRIES
from powerqe.utils.options.tree import Options

Schema = dict[str, Any]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def option_file_schema() -> Schema:
    """Of a whole option file: `defaults` and `cases`."""
    options = Options.model_json_schema()
    definitions: Schema = options.pop("$defs")
    data, test = (definitions[name]["properties"] for name in ("DataOptions", "TestOptions"))
    data["test"] = {"anyOf": [data["test"], *data["val"]["anyOf"]]}  # a single set is the set called test
    test["protocol"]["anyOf"].append({"enum": REGISTRIES["protocol"].names()})  # its name is enough
    like = {"type": "string", "description": "another case whose changes are applied first"}
    definitions["Options"] = options
    definitions["Case"] = {**options, "properties": {**options["properties"], "like": like}}
    components: Schema = {}
    made = {name: _for_files(schema, components) for name, schema in definitions.items()}
    case = {"anyOf": [{"$ref": "#/$defs/Case"}, {"type": "null"}]}
    return {
        "$schema": _DIALECT,
        "title": "PowerQE option file",
        "type": "object",
        "properties": {
            "defaults": {
                "anyOf": [{"$ref": "#/$defs/Options"}, {"type": "null"}],
                "description": "options that all cases share",
            },
            "cases": {
                "type": "object",
                "additionalProperties": case,
                "minProperties": 1,
                "description": "experiments by name, each with its changes of the defaults",
            },
        },
        "required": ["defaults", "cases"],
        "additionalProperties": False,
        "$defs": made | dict(sorted(components.items())),
    }


def _for_files(node: Any, components: Schema) -> Any:
    """A part of the schema without what holds for resolved options only; components become references."""
    if isinstance(node, list):
        return [_for_files(each, components) for each in node]
    if not isinstance(node, dict):
        return node
    if "slot" in node:
        slot = node["slot"]
        return {key: value for key, value in node.items() if key != "slot"} | _slot(slot, components)
    # Titles are what pydantic makes of the names of fields; an option that is called title has a schema.
    left_out = {key for key in ("title", "required") if not isinstance(node.get(key), dict)}
    return {key: _for_files(value, components) for key, value in node.items() if key not in left_out}


def _slot(slot: Slot, components: Schema) -> Schema:
    """A component of any type; in a mapping of named ones the name is the type, too, and null takes one away."""
    references = {name: _reference(slot, name, components) for name in REGISTRIES[slot.kind].names()}
    if not slot.named:
        return {"anyOf": list(references.values())}
    null = {"type": "null"}
    named = {name: {"anyOf": [reference, null]} for name, reference in references.items()}
    return {"type": "object", "properties": named, "additionalProperties": {"anyOf": [*references.values(), null]}}


def _reference(slot: Slot, name: str, components: Schema) -> Schema:
    """A reference to a component, which is defined when it is first met; as `kind:NAME`, and the keys of its place."""
    added = [key for key in slot.base.model_fields if key != "type"]  # such as bs_pg of training data
    place = "+".join([f"{slot.kind}:{name}", *added])
    if place not in components:
        components[place] = {}  # it may hold itself
        model = slot.model(name).model_json_schema()
        components.update(_for_files(model.pop("$defs", {}), components))
        meanings = {row.key: row.meaning for row in argument_rows(slot.kind, name)}
        properties = _for_files(model["properties"], components)
        for key, schema in properties.items():
            if meanings.get(key):
                schema.setdefault("description", meanings[key])
        properties["type"] = {"const": name}
        components[place] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {"$ref": f"#/$defs/{place}"}
