from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from model.errors import TrainingError, UsageError
from model.training.hosts import Hosts, find_hosts, meet

TWO = ("a:1", "b:1")


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def outcomes(hosts: Sequence[Hosts], told: Sequence[str], patience_s: float = 20) -> list[str]:
    """Let hosts meet at the same time; return each one's error, or nothing."""

    def come(host: Hosts, same: str) -> str:
        try:
            meet(host, same, patience_s)
        except TrainingError as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(len(hosts)) as pool:
        return list(pool.map(come, hosts, told))


def test_one_host_alone_needs_no_others() -> None:
    assert find_hosts([], None, {}) == Hosts()
    assert find_hosts(["a:1"], 0, {}) == Hosts()
    assert Hosts().count == 1
    meet(Hosts(), "anything", 0)


def test_hosts_are_those_given_or_else_those_of_the_environment() -> None:
    config = json.dumps({"cluster": {"worker": TWO}, "task": {"type": "worker", "index": 1}})
    assert find_hosts([], None, {"TF_CONFIG": config}) == Hosts(TWO, 1)
    assert find_hosts(["c:1", "d:2"], 0, {"TF_CONFIG": config}) == Hosts(("c:1", "d:2"), 0)


@pytest.mark.parametrize(
    ("addresses", "index", "environment", "message"),
    [
        (TWO, None, {}, r"--host-index: must be 0 to 1, got nothing"),
        (TWO, 2, {}, r"--host-index: must be 0 to 1, got 2"),
        ((), 0, {}, r"--host-index: must be given together with --hosts"),
        (("a", "b:1"), 0, {}, r"--hosts: must be HOST:PORT each, got a"),
        (("a:1", "b:65536"), 0, {}, r"--hosts: must be HOST:PORT each, got b:65536"),
        (("a:1", "a:1"), 0, {}, r"--hosts: must be different addresses"),
        ((), None, {"TF_CONFIG": "{"}, r"TF_CONFIG: must be JSON .*mend it, unset it"),
        ((), None, {"TF_CONFIG": "[]"}, r"TF_CONFIG: must be JSON"),
        (
            (),
            None,
            {"TF_CONFIG": '{"cluster": {"worker": ["a"]}, "task": {"index": 0}}'},
            r"TF_CONFIG: must be HOST:PORT each, got a",
        ),
    ],
)
def test_wrong_hosts_are_told(
    addresses: Sequence[str], index: int | None, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        find_hosts(addresses, index, environment)


def test_hosts_meet_in_any_order() -> None:
    addresses = (free_address(), "b:1", "c:1")
    hosts = [Hosts(addresses, index) for index in (2, 0, 1)]
    assert outcomes(hosts, ["the same"] * 3) == ["", "", ""]


def test_every_host_is_told_what_keeps_them_apart() -> None:
    addresses = (free_address(), "b:1")
    hosts = [Hosts(addresses, index) for index in (0, 1)]
    told = outcomes(hosts, ["jax", "tensorflow"])
    assert told == ["host 1 was started with tensorflow, host 0 with jax; start all alike"] * 2


def test_two_hosts_with_one_index_are_told() -> None:
    addresses = (free_address(), "b:1", "c:1")
    told = outcomes([Hosts(addresses, index) for index in (0, 1, 1)], ["same"] * 3, 5)
    assert "--host-index 1 was given to two hosts" in told[0]
    assert all(told)


def test_hosts_that_do_not_come_are_named() -> None:
    addresses = (free_address(), "b:1")
    assert "host 1 did not come" in outcomes([Hosts(addresses, 0)], ["same"], 0.1)[0]
    assert "host 1 cannot reach host 0" in outcomes([Hosts(addresses, 1)], ["same"], 0.1)[0]


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(TrainingError, match=f"port {port} cannot be used .*give another"):
            meet(Hosts((f"127.0.0.1:{port}", "b:1"), 0), "same", 0.1)


def test_strangers_at_the_port_are_ignored() -> None:
    address = free_address()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(meet, Hosts((address, "b:1"), 0), "same", 20)
        name, _, port = address.rpartition(":")
        for _ in range(100):
            try:
                with socket.create_connection((name, int(port)), timeout=5) as stranger:
                    stranger.sendall(b"GET / HTTP/1.1\r\n")
                break
            except ConnectionRefusedError:
                continue
        pool.submit(meet, Hosts((address, "b:1"), 1), "same", 20).result()
        first.result()
