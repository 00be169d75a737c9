"""Ranks agree before they work together: the same options, data, code and command, or one line that says what differs.

Ranks with different options or data would otherwise go on in silence, to a wrong result, or wait for each other.
"""

import hashlib
import json
import pkgutil
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import powerqe
from powerqe.dataset.contents import contents
from powerqe.evaluation.computing_code import module_hashes
from powerqe.utils.errors import UserError
from powerqe.utils.options.tree import Options, flat
from powerqe.utils.ranks import Ranks

Facts = Mapping[str, Mapping[str, Any]]
"""Subject -> name -> value, such as "options" -> "train.seed" -> 7."""
_OWN = re.compile(r"nworker_pg$")
"""Options that each rank may have its own of."""
_OF_TRAINING = re.compile(r"dataset\.(train|val)\.|algorithm\.|train\.warm_start\.")
"""Options whose paths each rank reads in a training; the checkpoint to resume from is read by rank 0."""
_OF_TEST = re.compile(r"dataset\.test\.|test\.")
_SHOWN = 3  # differences in the line
_LONGEST = 80  # characters of a value there


def agree_to_train(options: Options, ranks: Ranks, **arguments: Any) -> None:
    """Check that all ranks were started to train the same.

    Args:
        arguments: of the command line.

    Raises:
        UserError: on every rank: what differs and where, or what one of them cannot read.
    """
    _agree(options, ranks, _OF_TRAINING, "powerqe.algorithm", arguments)


def agree_to_test(options: Options, ranks: Ranks) -> None:
    """The same for a test."""
    _agree(options, ranks, _OF_TEST, "powerqe.evaluation", {})


def _agree(options: Options, ranks: Ranks, reads: re.Pattern[str], package: str, arguments: Mapping[str, Any]) -> None:
    if ranks.world_size == 1:
        return
    with ranks.together():
        plain = flat(options.to_dict())
        place = Path(__import__(package, fromlist=["_"]).__file__ or "").parent
        modules = [module.name for module in pkgutil.iter_modules([str(place)], f"{package}.") if not module.ispkg]
        facts: dict[str, Mapping[str, Any]] = {
            "option": {key: value for key, value in plain.items() if not _OWN.search(key)},
            "code of": {name: each[:8] for name, each in module_hashes(modules, options).items()},
            "version of": {"PowerQE": powerqe.__version__, "PyTorch": torch.__version__.partition("+")[0]},
            "argument": arguments,
            "device": {"type": ranks.device.type},
        }
        for path, key in _paths(plain, reads).items():
            facts[f"{key}={path}:"] = contents(path)
    check_same(ranks, facts)


def _paths(plain: Mapping[str, Any], reads: re.Pattern[str]) -> dict[str, str]:
    """The files and folders that options name -> the first key that does."""
    found: dict[str, str] = {}
    for key, value in plain.items():
        for each in value if isinstance(value, list | tuple) else [value]:
            if reads.match(key) and isinstance(each, str) and Path(each).exists():
                found.setdefault(each, key)
    return found


def check_same(ranks: Ranks, facts: Facts) -> None:
    """Raise `UserError`, on every rank, unless all have the same facts. They are only sent if they differ."""
    digests = ranks.gather({subject: _digest(values) for subject, values in facts.items()})
    subjects = dict.fromkeys(name for each in digests for name in each)
    differing = [subject for subject in subjects if len({each.get(subject) for each in digests}) > 1]
    if not differing:
        return
    everyone = ranks.gather((socket.gethostname(), {subject: facts.get(subject, {}) for subject in differing}))
    hosts, values = [host for host, _ in everyone], [each for _, each in everyone]
    lines = [line for subject in differing for line in _differences(subject, [each[subject] for each in values], hosts)]
    more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    raise UserError(f"the ranks differ: {'; '.join(lines[:_SHOWN])}{more}; start all with the same")


def _differences(subject: str, values: list[Mapping[str, Any]], hosts: list[str]) -> list[str]:
    lines = []
    for name in dict.fromkeys(name for each in values for name in each):
        owners: dict[str, list[int]] = {}
        for rank, each in enumerate(values):
            owners.setdefault(_shown(each[name]) if name in each else "missing", []).append(rank)
        if len(owners) > 1:
            told = (f"{value} on {_ranks(numbers, hosts)}" for value, numbers in owners.items())
            lines.append(f"{subject} {name} is {', '.join(told)}")
    return lines


def _ranks(numbers: list[int], hosts: list[str]) -> str:
    """ "rank 3 (node1)" or "ranks 0, 1, ... (node0, node1)"; hosts only if there are several."""
    listed = ", ".join(map(str, numbers[:4])) + (", ..." if len(numbers) > 4 else "")
    places = ", ".join(dict.fromkeys(hosts[number] for number in numbers[:4]))
    return f"rank{'s' * (len(numbers) > 1)} {listed}" + (f" ({places})" if len(set(hosts)) > 1 else "")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()
