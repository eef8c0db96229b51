"""The hosts of a training that several share: who they are, and how they meet."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from model.errors import TrainingError, UsageError

PATIENCE_S = 300.0
"""Seconds to wait at the start until every host has come."""

RETRY_S = 0.2
"""Seconds between attempts to reach the first host."""

PROMPT_S = 5.0
"""Seconds in which whoever has connected must say who it is."""

ENVIRONMENT = "TF_CONFIG"
"""Variable that cluster managers set; read for either backend where no hosts are given."""

READY = "ready"
"""What the first host answers when all have come."""


@dataclass(frozen=True)
class Hosts:
    """The hosts of one training; a host is a process, most often a machine's only one.

    Attributes:
        addresses: ``HOST:PORT`` of each, the same list on every host; empty for one
            host alone.  JAX's processes meet at the first; TensorFlow's use all.
        index: Which of them this one is, from 0 on.  The first writes the files.
    """

    addresses: tuple[str, ...] = ()
    index: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return max(1, len(self.addresses))


def find_hosts(
    addresses: Sequence[str], index: int | None, environment: Mapping[str, str] = os.environ
) -> Hosts:
    """Return the hosts that were given, else those of ``TF_CONFIG``, else one alone.

    Args:
        addresses: ``HOST:PORT`` of each, in the same order on every host.
        index: Which of them this host is.
        environment: Holds ``TF_CONFIG``, as TensorFlow defines it: its ``worker`` list
            and the ``task``'s ``index`` are read.

    Raises:
        UsageError: If the index is missing or out of range, an address has no port or
            occurs twice, or ``TF_CONFIG`` is damaged.
    """
    source = "--hosts"
    if not addresses and index is not None:
        raise UsageError("--host-index: must be given together with --hosts")
    if not addresses and environment.get(ENVIRONMENT):
        source = ENVIRONMENT
        addresses, index = _read_environment(environment[ENVIRONMENT])
    for address in addresses:
        name, _, port = address.rpartition(":")
        if not name or not port.isdecimal() or not 0 < int(port) < 65536:
            raise UsageError(f"{source}: must be HOST:PORT each, got {address}")
    if len(set(addresses)) < len(addresses):
        raise UsageError(f"{source}: must be different addresses, got {' '.join(addresses)}")
    if addresses and (index is None or not 0 <= index < len(addresses)):
        got = "nothing" if index is None else index
        raise UsageError(f"--host-index: must be 0 to {len(addresses) - 1}, got {got}")
    return Hosts(tuple(addresses), index or 0) if len(addresses) > 1 else Hosts()


def meet(hosts: Hosts, same: str, patience_s: float = PATIENCE_S) -> None:
    """Wait until every host has come to the first one's address; one host alone goes on.

    The engines wait for ever, or end the process, when a host does not come.

    Args:
        hosts: Who is to come.
        same: What all hosts must have been started with.
        patience_s: How long to wait.

    Raises:
        TrainingError: If a host does not come in time, two have the same index or were
            started with different things, or the first host's port is not free.
    """
    if hosts.count == 1:
        return
    deadline = time.monotonic() + patience_s
    answer = _receive(hosts, same, deadline) if hosts.index == 0 else _report(hosts, same, deadline)
    if answer != READY:
        raise TrainingError(answer)


def _receive(hosts: Hosts, same: str, deadline: float) -> str:
    """Let every host report, tell all of them the outcome, and return it."""
    missing, answer = set(range(1, hosts.count)), READY
    with ExitStack() as stack:
        server = stack.enter_context(_serve(hosts.addresses[0]))
        connections = []
        while missing and answer == READY:
            server.settimeout(max(0.01, deadline - time.monotonic()))
            try:
                connection = stack.enter_context(server.accept()[0])
            except TimeoutError:
                answer = f"host {min(missing)} did not come to {hosts.addresses[0]}; start it too"
                break
            connection.settimeout(PROMPT_S)
            connections.append(connection)
            with suppress(OSError):
                answer = _check_in(connection, same, missing)
        for connection in connections:
            with suppress(OSError):
                connection.sendall(f"{answer}\n".encode())
                connection.recv(1)
    return answer


def _check_in(connection: socket.socket, same: str, missing: set[int]) -> str:
    """Take one host's report; return what is wrong with it, or that nothing is."""
    index, _, told = _read_line(connection).partition(" ")
    if not index.isdecimal():
        return READY
    if int(index) not in missing:
        return f"--host-index {index} was given to two hosts; give each its own"
    if told != same:
        return f"host {index} was started with {told}, host 0 with {same}; start all alike"
    missing.discard(int(index))
    return READY


def _report(hosts: Hosts, same: str, deadline: float) -> str:
    """Go to the first host and return what it answers."""
    address, patience = _parts(hosts.addresses[0]), threading.Event()
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(address, timeout=PROMPT_S) as connection:
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                connection.sendall(f"{hosts.index} {same}\n".encode())
                if answer := _read_line(connection):
                    return answer
        except OSError:
            pass
        patience.wait(RETRY_S)
    return (
        f"host {hosts.index} cannot reach host 0 at {hosts.addresses[0]}; start that one too, "
        "or mend --hosts"
    )


def _serve(address: str) -> socket.socket:
    _, port = _parts(address)
    try:
        return socket.create_server(("", port))
    except OSError as error:
        raise TrainingError(
            f"host 0: port {port} cannot be used ({error.strerror or error}); give another in "
            "--hosts, on every host"
        ) from error


def _read_line(connection: socket.socket) -> str:
    with connection.makefile(encoding="utf-8", errors="replace") as lines:
        return lines.readline().strip()


def _parts(address: str) -> tuple[str, int]:
    name, _, port = address.rpartition(":")
    return name, int(port)


def _read_environment(text: str) -> tuple[list[str], int]:
    try:
        cluster = json.loads(text)
        workers = [str(address) for address in cluster["cluster"]["worker"]]
        return workers, int(cluster["task"]["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"{ENVIRONMENT}: must be JSON with cluster.worker and task.index ({error!r}); mend "
            "it, unset it, or give --hosts"
        ) from error
