import json

import numpy as np
import pytest

from powerqe.utils.codecs.table_file import read_table_file, write_table_file
from powerqe.utils.errors import UserError

COLOR, GRAY = bytes(range(1, 129)), bytes(range(101, 165))


def test_what_was_written_is_read_the_most_frequent_first(tmp_path):
    write_table_file(tmp_path / "tables.json", {GRAY: 2, COLOR: 5})
    first, second = read_table_file(tmp_path / "tables.json")
    assert first.dtype == np.float32
    assert first.reshape(-1).tolist() == list(COLOR)
    assert second.reshape(-1).tolist() == list(GRAY) * 2
    content = json.loads((tmp_path / "tables.json").read_text())
    assert [entry["count"] for entry in content["tables"]] == [5, 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "no JSON file"),
        ("[]", "expected a mapping with the keys tables"),
        ('{"tables": []}', "tables"),
        ('{"tables": [{"luma": [1, 2]}]}', "luma"),
        (json.dumps({"tables": [{"luma": [0] * 64}]}), "luma"),
    ],
)
def test_other_files(tmp_path, text, message):
    (tmp_path / "tables.json").write_text(text)
    with pytest.raises(UserError, match=rf"tables\.json: .*{message}"):
        read_table_file(tmp_path / "tables.json")
    with pytest.raises(UserError, match=r"none\.json"):
        read_table_file(tmp_path / "none.json")
