"""net/weights/tensorflow_checkpoint.py on what TensorFlow 2.21's Saver wrote, on damage, and on other forms.

tests/data/tensorflow/tiny.ckpt-37 holds variables of several types, Adam's slots and a variable of text; tiny.npz what
TensorFlow itself said of all of them but the text.
"""

import shutil
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from torch import Tensor, nn

from powerqe.net import load_weights
from powerqe.net.mfqe import MFQE
from powerqe.net.weights.tensorflow_checkpoint import crc32c, index_file, pytorch_layout, read_variables
from powerqe.utils.errors import UserError

TINY = Path(__file__).parents[2] / "data/tensorflow/tiny.ckpt-37"
EXPECTED = dict(np.load(TINY.with_name("tiny.npz")))
DATA = "tiny.ckpt-37.data-00000-of-00001"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A copy; its index."""
    for name in ("tiny.ckpt-37.index", DATA):
        shutil.copy(TINY.with_name(name), tmp_path)
    return tmp_path / "tiny.ckpt-37.index"


def same(found: dict[str, Tensor], expected: dict[str, np.ndarray]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].numpy().dtype == array.dtype and np.array_equal(found[name].numpy(), array)
        for name, array in expected.items()
    )


class Two(nn.Module):
    """Two layers of the checkpoint, by the names of MFQE."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 3, 5), nn.Conv2d(3, 3, 3)
        self.prelu = nn.PReLU(3)

    def upstream_name(self, name: str) -> str | None:
        if name.startswith(("netflow", "other")):
            return None
        ours = MFQE.upstream_name(self, name)  # pyright: ignore[reportArgumentType] - needs nothing of the network
        places = {"motion.coarse.0.conv": "first", "motion.coarse.1.conv": "second", "motion.coarse.0.prelu": "prelu"}
        place, _, tensor = (ours or "").rpartition(".")
        return ours and f"{places[place]}.{tensor}"


def test_sum_of_castagnoli() -> None:
    """RFC 3720, B.4."""
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E


def test_all_variables_of_a_real_checkpoint() -> None:
    assert {str(array.dtype) for array in EXPECTED.values()} == {"float32", "float16", "int64"}
    assert same(read_variables(TINY.with_name("tiny.ckpt-37.index")), EXPECTED)


@pytest.mark.parametrize("name", ["tiny.ckpt-37", "tiny.ckpt-37.index", DATA])
def test_weights_by_the_prefix_or_a_file(name: str) -> None:
    network = Two()
    load_weights(network, TINY.with_name(name))
    kernel = EXPECTED["easyflow/c1/weights"]
    for place in np.ndindex(kernel.shape):
        row, column, before, after = place
        assert network.first.weight[after, before, row, column].item() == kernel[place]
    assert np.array_equal(network.second.bias.detach().numpy(), EXPECTED["easyflow/c2/biases"])
    assert np.array_equal(network.prelu.weight.detach().numpy(), EXPECTED["easyflow/c1/PReLU/alphas"])


def test_variables_in_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "tiny.npz", **EXPECTED)
    found, expected = Two(), Two()
    load_weights(found, tmp_path / "tiny.npz")
    load_weights(expected, TINY)
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), expected.parameters(), strict=True))
    (tmp_path / "bad.npz").write_bytes((tmp_path / "tiny.npz").read_bytes()[:300])
    with pytest.raises(UserError, match="damaged"):
        load_weights(found, tmp_path / "bad.npz")


def test_only_kernels_are_laid_out_anew() -> None:
    for shape in ((), (3,), (2, 3), (2, 3, 4)):
        assert pytorch_layout(torch.zeros(shape)).shape == shape
    assert pytorch_layout(torch.zeros(2, 3, 4, 5)).shape == (5, 4, 2, 3)


def test_another_file_of_such_a_name_is_not_taken_for_the_prefix(tmp_path: Path) -> None:
    (tmp_path / "net.pt").touch()
    (tmp_path / "net.pt.index").touch()
    assert index_file(tmp_path / "net.pt") is None
    assert index_file(tmp_path / "missing") is None
    with pytest.raises(UserError, match="no weights file"):
        load_weights(Two(), tmp_path / "missing.index")


def test_data_file_is_missing(tiny: Path) -> None:
    tiny.with_name(DATA).unlink()
    with pytest.raises(UserError, match=rf"TensorFlow.*{DATA}"):
        load_weights(Two(), tiny)


def outcome(index: Path) -> str:
    """Of loading a damaged checkpoint. Whatever is raised beside the one message fails the test."""
    try:
        load_weights(Two(), index)
    except UserError as error:
        return "refused" if str(error) == f"{index} is truncated, damaged or no checkpoint" else str(error)
    return "right" if same(read_variables(index), EXPECTED) else "wrong"


def test_a_bit_that_is_wrong(tiny: Path) -> None:
    """None can be wrong unnoticed; some, such as those of the text, are not needed."""
    assert outcome(tiny) == "right"
    outcomes = []
    for path, step in ((tiny, 3), (tiny.with_name(DATA), 89)):
        good = path.read_bytes()
        for place in range(0, len(good), step):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1 << place % 8]) + good[place + 1 :])
            outcomes.append(outcome(tiny))
        path.write_bytes(good)
    assert set(outcomes) == {"refused", "right"}
    assert outcomes.count("refused") > 0.9 * len(outcomes)


def test_files_that_end_early(tiny: Path) -> None:
    for path in (tiny, tiny.with_name(DATA)):
        good = path.read_bytes()
        for length in range(0, len(good) - 1, 61):
            path.write_bytes(good[:length])
            with pytest.raises(UserError, match="damaged"):
                load_weights(Two(), tiny)
        path.write_bytes(good)


# --------------------------------------------------------------------------- forms that the real one does not have


def varint(number: int) -> bytes:
    head = b""
    while number > 127:
        head, number = head + bytes([number & 127 | 128]), number >> 7
    return head + bytes([number])


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def masked(data: bytes) -> bytes:
    total = crc32c(data)
    return struct.pack("<I", ((total >> 15 | total << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def block(entries: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Every third key is whole."""
    content, restarts, before = b"", [], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % 3:
            while shared < min(len(key), len(before)) and key[shared] == before[shared]:
                shared += 1
        else:
            restarts.append(len(content))
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        before = key
    return content + struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))


def write(
    prefix: Path,
    variables: dict[str, np.ndarray],
    *,
    per_block: int = 2,
    shards: int = 1,
    endianness: int = 0,
    compression: int = 0,
    extra: bytes = b"",
) -> Path:
    """A checkpoint; its index. Extra: fields of each entry."""
    contents = [b""] * shards
    entries = [(b"", field(1, shards) + field(2, endianness) + field(3, field(1, 1)))]
    for number, (name, array) in enumerate(sorted(variables.items(), key=lambda item: item[0].encode())):
        data, shard = array.astype("<f4").tobytes(), number % shards
        shape = b"".join(field(2, field(1, size)) for size in array.shape)
        place = field(3, shard) + field(4, len(contents[shard])) + field(5, len(data))
        entry = field(1, 1) + field(2, shape) + place + varint(6 << 3 | 5) + masked(data) + extra
        entries.append((name.encode(), entry))
        contents[shard] += data
    for shard, content in enumerate(contents):
        prefix.with_name(f"{prefix.name}.data-{shard:05d}-of-{shards:05d}").write_bytes(content)
    file, handles = b"", []

    def add(content: bytes) -> bytes:
        nonlocal file
        handle = varint(len(file)) + varint(len(content))
        file += content + bytes([compression]) + masked(content + bytes([compression]))
        return handle

    for first in range(0, len(entries), per_block):
        part = entries[first : first + per_block]
        handles.append((part[-1][0], add(block(part))))
    footer = add(block([])) + add(block(handles))
    index = prefix.with_name(f"{prefix.name}.index")
    index.write_bytes(file + footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57))
    return index


float32 = arrays(np.float32, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3))


@given(
    st.dictionaries(st.text(min_size=1, max_size=9), float32, max_size=8),
    st.integers(1, 4),
    st.integers(1, 3),
)
@settings(max_examples=12, deadline=None)
def test_many_blocks_and_files(
    tmp_path_factory: pytest.TempPathFactory, variables: dict[str, np.ndarray], per_block: int, shards: int
) -> None:
    index = write(tmp_path_factory.mktemp("ckpt") / "a.ckpt", variables, per_block=per_block, shards=shards)
    found = read_variables(index)
    assert found.keys() == variables.keys()
    for name, array in variables.items():
        assert found[name].shape == array.shape
        assert found[name].numpy().tobytes() == array.tobytes()


VARIABLES = {"easyflow/c1/biases": np.ones(3, np.float32)}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: write(path, VARIABLES, compression=1), "is compressed; save the checkpoint again"),
        (lambda path: write(path, VARIABLES, endianness=1), "damaged"),
        (lambda path: write(path, VARIABLES, extra=field(7, b"")), "easyflow/c1/biases"),
        (lambda path: write(path, VARIABLES), "4 missing"),
    ],
)
def test_what_is_refused(make: Callable[[Path], Path], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        load_weights(Two(), make(tmp_path / "a.ckpt"))
