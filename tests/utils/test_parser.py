import pytest

from powerqe.utils.errors import UserError
from powerqe.utils.parser import Parser


def test_what_was_written_stays_as_it_is() -> None:
    parser = Parser("First line.\n\n    indented", examples=["tool a", "tool b    a remark"], prog="tool")
    said = parser.format_help()
    assert "First line.\n\n    indented\n" in said
    assert said.endswith("examples:\n  tool a\n  tool b    a remark\n")
    assert "example" not in Parser("Without any.").format_help()


@pytest.mark.parametrize("arguments", [["--size", "x"], ["--sizes", "1"], ["sub", "1"]])
def test_a_mistake_is_an_error_of_the_user(arguments: list[str]) -> None:
    parser = Parser(prog="tool")
    parser.add_argument("--size", type=int)
    parser.add_subparsers().add_parser("sub")
    with pytest.raises(UserError, match=r"\(see tool( sub)? --help\)$"):
        parser.parse_args(arguments)
