"""Trainings on two nodes, network namespaces of this machine: one is killed, or the link between them cut or slow."""

import functools
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from powerqe.benchmarks.attacks.children import Child, Outcome
from powerqe.benchmarks.attacks.interrupted import calls, judge_end, one_error, place, uninterrupted
from powerqe.benchmarks.attacks.ranks import launched
from powerqe.benchmarks.attacks.tally import Sandbox, Tally
from powerqe.benchmarks.attacks.training import SECONDS, struck, training

MINUTES = 0.15
"""The option train.timeout."""
GRACE = 60.0
"""Seconds beyond it in which the rank that is left has to end, on a machine with other work."""
LIMIT = ("--set", f"train.timeout={MINUTES}")
_MASTER, _PORT = "10.77.0.1", "29511"
_SLOW = (
    ("netem", "delay", "20ms", "5ms", "loss", "1%"),
    ("tbf", "rate", "2mbit", "burst", "4kb", "latency", "400ms"),
)
"""What `tc` does to a slow link: delays and losses, or, where the kernel lacks that, a low rate."""

Nodes = tuple[str, str]


def killed(folder: Path, count: int, seed: int) -> Tally:
    """A node dies at a random call."""
    return _attacked(Tally("two nodes, one killed"), folder, count, seed, lambda _: os.killpg(0, signal.SIGKILL))


def cut(folder: Path, count: int, seed: int) -> Tally:
    """The link is cut at a random call; later it is mended."""
    return _attacked(Tally("two nodes, link cut"), folder, count, seed, lambda nodes: _ip(nodes, "down"))


def slow(folder: Path, count: int, seed: int) -> Tally:
    """The link is slow from the start; nothing else happens."""
    tally = Tally("two nodes, slow link")
    return _attacked(tally, folder, count, seed, None)


def _attacked(tally: Tally, folder: Path, count: int, seed: int, act: Callable[[Nodes], None] | None) -> Tally:
    reference = uninterrupted(folder, task=launched(training(), folder / "ranks"))
    total, chance = calls(folder), random.Random(f"{seed} {tally.title}")
    for _ in range(count):
        victim, at = chance.randrange(2), chance.randint(1, total)
        case = f"call {at} of rank {victim}" if act else "a slow link"
        with place(folder, reference) as sandbox, two_nodes(tally) as nodes:
            if not nodes:
                return tally
            tally.add("tried")
            if act is None:
                tally.note = "by tc " + _slow_down(nodes)
            ends = _train(sandbox, nodes, at if act else 0, victim, act)
            judged = [tally.judge(end, f"{case}, rank {rank}") for rank, end in enumerate(ends)]
            for rank, end in enumerate(ends):
                if judged[rank] and end.code not in (0, -signal.SIGKILL) and not one_error(end):
                    tally.fault("tracebacks", case, f"rank {rank}, status {end.code}: {end.text}")
            if act:
                with suppress(subprocess.CalledProcessError):
                    _ip(nodes, "up")
                ends = _train(sandbox, nodes)
                judged = [tally.judge(end, f"resumed after {case}, rank {rank}") for rank, end in enumerate(ends)]
            if all(judged):
                judge_end(sandbox, reference, tally, case, max(ends, key=lambda end: abs(end.code or 0)))
    return tally


def _train(
    sandbox: Sandbox, nodes: Nodes, at: int = 0, victim: int = 0, act: Callable[[Nodes], None] | None = None
) -> list[Outcome]:
    """Both ranks, each on its node, to their ends."""
    children = []
    for rank, node in enumerate(nodes):
        log = sandbox.root / f"log-{rank}"
        log.unlink(missing_ok=True)
        task = training(*LIMIT)
        if act and rank == victim:
            task = functools.partial(struck, task, at, functools.partial(act, nodes))
        place = {"RANK": str(rank), "LOCAL_RANK": "0", "WORLD_SIZE": "2"}
        place |= {"MASTER_ADDR": _MASTER, "MASTER_PORT": _PORT, "GLOO_SOCKET_IFNAME": "wire"}
        children.append(Child(task, sandbox.inside, log, sandbox.environment | place, node))
    limit = MINUTES * 60 + GRACE if act else SECONDS
    return [child.wait(limit) for child in children]


# --------------------------------------------------------------------------- the network


@contextmanager
def two_nodes(tally: Tally) -> Iterator[Nodes | None]:
    """Two network namespaces with the addresses 10.77.0.1 and .2; None without the right or the programs."""
    if not shutil.which("ip") or os.geteuid() != 0:
        tally.note = "not run: it needs the right to make network namespaces (root), and iproute2"
        yield None
        return
    nodes = (f"torture-{os.getpid()}-0", f"torture-{os.getpid()}-1")
    try:
        for node in nodes:
            _do("ip", "netns", "add", node)
        _do("ip", "link", "add", "wire", "netns", nodes[0], "type", "veth", "peer", "name", "wire", "netns", nodes[1])
        for number, node in enumerate(nodes, 1):
            _do("ip", "-n", node, "addr", "add", f"10.77.0.{number}/24", "dev", "wire")
            _do("ip", "-n", node, "link", "set", "lo", "up")
        _ip(nodes, "up")
        yield nodes
    finally:
        for node in nodes:
            subprocess.run(["ip", "netns", "del", node], capture_output=True, timeout=60)


def _ip(nodes: Nodes, state: str) -> None:
    for node in nodes:
        _do("ip", "-n", node, "link", "set", "wire", state)


def _slow_down(nodes: Nodes) -> str:
    for what in _SLOW:
        try:
            for node in nodes:
                _do("tc", "-n", node, "qdisc", "replace", "dev", "wire", "root", *what)
        except subprocess.CalledProcessError:
            continue
        return " ".join(what)
    return "nothing: this kernel cannot"


def _do(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)
