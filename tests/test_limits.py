"""No test waits for ever: whatever waits in tests/ names its limit."""

import ast
from pathlib import Path

WAITS = {"wait", "join", "get", "communicate", "acquire", "recv"}
"""Methods that wait until something happens, if they are called without arguments."""
RUNS = {"run", "call", "check_call", "check_output"}


def endless(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    if isinstance(call.func.value, ast.Name) and call.func.value.id == "subprocess":
        return call.func.attr in RUNS and "timeout" not in {keyword.arg for keyword in call.keywords}
    return call.func.attr in WAITS and not call.args and not call.keywords


def test_every_wait_has_a_limit(root: Path) -> None:
    found = []
    for path in sorted(root.glob("tests/**/*.py")):
        calls = (node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call))
        found += [f"{path.relative_to(root)}:{call.lineno}" for call in calls if endless(call)]
    assert found == []
