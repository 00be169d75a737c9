"""YAML to plain data. What cannot be read, or is too much, is one line with its place, before anything is built."""

import re
from typing import Any

import yaml
from yaml.constructor import ConstructorError
from yaml.error import MarkedYAMLError

from powerqe.utils.errors import UserError

LONGEST = 256 << 10
"""Characters of an option file; ours have up to 7 thousand, and PyYAML reads about 100 thousand a second."""
DEEPEST = 32
"""Lists and mappings in each other; ours have up to 9."""
MOST_NODES = 20_000
"""Values, counted as often as aliases repeat them; ours have up to 800."""
_INTEGERS = range(-(1 << 63), 1 << 63)


def read_yaml(text: str | bytes, where: str) -> Any:
    """Mappings, lists, texts, numbers, true, false and null.

    Args:
        text: one YAML document; bytes are UTF-8.
        where: what is read, for messages: a file, or the words of an argument.

    Raises:
        UserError: no valid YAML, or beyond the limits of this module, in which line.
    """
    if len(text) > LONGEST:
        raise UserError(f"{where} is longer than {LONGEST:,} characters; is it an option file?")
    loader = None
    try:
        loader = _PlainLoader(text.decode() if isinstance(text, bytes) else text)
        return loader.get_single_data()
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _invalid(where, mark and mark.line, " ".join(filter(None, (error.context, error.problem)))) from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # PyYAML's scanner lets Python's own errors through
        raise _invalid(where, loader and loader.line, str(error)) from None


def _invalid(where: str, line: int | None, reason: str) -> UserError:
    place = "" if line is None else f" (line {line + 1})"
    return UserError(f"{where} is no valid YAML: {' '.join(reason.split())}{place}")


class _PlainLoader(yaml.SafeLoader):
    """SafeLoader with limits, no key twice, and JSON's types only: a date is text, and only true and false are bool."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = self._count = 0
        self._sizes: dict[yaml.Node, int] = {}
        """Of complete nodes: how many they are, with what aliases repeat."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event, before = self.peek_event(), self._count
        self._depth += 1
        self._count += 1
        if self._depth > DEEPEST:
            raise _problem(f"more than {DEEPEST} lists and mappings in each other", event)
        node: Any = super().compose_node(parent, index)
        if not isinstance(event, yaml.AliasEvent):
            self._sizes[node] = self._count - before
        elif node in self._sizes:
            self._count += self._sizes[node]
        else:
            raise _problem(f"*{event.anchor} stands inside of what it repeats", event)
        if self._count > MOST_NODES:
            raise _problem(f"more than {MOST_NODES:,} values, with those that aliases repeat", event)
        self._depth -= 1
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        known = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in known:
                raise _problem(f"key {key.value!r} stands twice", key)
            known.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError):  # !!int "abc", 0b_, !!bool "maybe", 5,000 digits
            raise _problem(f"found {str(node.value)[:40]}, which is no {node.tag.rpartition(':')[2]}", node) from None
        if isinstance(value, int) and value not in _INTEGERS:
            raise _problem("an integer of more than 64 bits", node)
        if isinstance(value, str) and re.search("[\0\ud800-\udfff]", value):
            raise _problem(f"found {value[:40]!a}, which is no text", node)
        return value


def _problem(words: str, where: Any) -> ConstructorError:
    """About an event or a node."""
    return ConstructorError(None, None, words, where.start_mark)


def _tag(name: str) -> str:
    return f"tag:yaml.org,2002:{name}"


_PlainLoader.yaml_constructors = {
    tag: yaml.SafeLoader.yaml_constructors[tag]
    for tag in (None, *map(_tag, ("null", "bool", "int", "float", "str", "seq", "map")))
}
_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag in map(_tag, ("null", "int", "float", "merge"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_PlainLoader.add_implicit_resolver(_tag("bool"), re.compile("^(true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
