"""The script that sets up a board, on folders that imitate boards."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOBODY = 65534
RULES = "etc/udev/rules.d/70-live-captioner.rules"


@dataclass(frozen=True)
class Board:
    """What tells a board from others, as its files say it."""

    model: str = ""
    release: str = ""
    system: str = "Ubuntu 22.04.4 LTS"
    pythons: tuple[str, ...] = ()
    cuda: str = ""
    packages: Mapping[str, str] | None = None


NANO = Board(
    "NVIDIA Jetson Nano Developer Kit",
    "# R32 (release), REVISION: 7.1, GCID: 29818004, BOARD: t210ref, EABI: aarch64",
    "Ubuntu 18.04.6 LTS",
    ("3.6",),
    "10.2",
    {"libnvinfer8": "8.2.1-1+cuda10.2"},
)
XAVIER = Board(
    "NVIDIA Jetson Xavier NX Developer Kit",
    "# R35 (release), REVISION: 4.1, GCID: 33958178, BOARD: t186ref, EABI: aarch64",
    "Ubuntu 20.04.6 LTS",
    ("3.8",),
    "11.4",
    {"libnvinfer8": "8.5.2-1+cuda11.4"},
)
ORIN_NANO = Board(
    "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64",
    "Ubuntu 22.04.5 LTS",
    ("3.10",),
    "12.6",
    {"libnvinfer10": "10.3.0.30-1+cuda12.5"},
)
THOR = Board(
    "NVIDIA Jetson AGX Thor Developer Kit",
    "# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic, EABI: aarch64",
    "Ubuntu 24.04.3 LTS",
    ("3.12",),
    "13.0",
    {"libnvinfer10": "10.13.3.9-1+cuda13.0"},
)
RASPBERRY = Board("Raspberry Pi 5 Model B Rev 1.0", "", "Debian GNU/Linux 12 (bookworm)", ("3.11",))
DESKTOP = Board("", "", "Ubuntu 24.04.1 LTS", ("3.12",))

Make = Callable[[Board], Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return what lays out the files of a board."""

    def lay_out(board: Board) -> Path:
        def write(path: str, content: str) -> None:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(content)

        if board.model:
            write("proc/device-tree/model", board.model + "\0")
        if board.release:
            write("etc/nv_tegra_release", board.release + "\n# KERNEL_VARIANT: oot\n")
        write("etc/os-release", f'NAME="Linux"\nPRETTY_NAME="{board.system}"\n')
        for version in board.pythons:
            write(f"usr/bin/python{version}", "")
        if board.cuda:
            write(
                "usr/local/cuda/version.json",
                '{"cuda" : {\n "name" : "CUDA SDK",\n "version" : "' + board.cuda + '.68"\n},\n'
                '"cuda_nvcc" : {"name": "NVCC", "version": "99.1"}}',
            )
        blocks = [
            f"Package: {name}\nStatus: install ok installed\nVersion: {version}\n"
            for name, version in (board.packages or {}).items()
        ]
        write("var/lib/dpkg/status", "\n".join(blocks))
        return tmp_path

    return lay_out


def jetson(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ROOT / "scripts" / "jetson"), "--root", str(root), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
    )


def steps(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what would be done, by whomever."""
    lines = [line for line in done.stdout.splitlines() if line.startswith("+")]
    return [line.replace("+ sudo ", "+ ") for line in lines if line != "+ sudo -v"]


def facts(text: str) -> dict[str, str]:
    """Return what the report says, by name."""
    lines = [line.partition(":") for line in text.splitlines() if ": " in line]
    return {name: value.strip() for name, _, value in lines if name.isalpha()}


@pytest.mark.parametrize(
    ("board", "jetpack", "python", "tensorrt"),
    [
        (NANO, "4.6 (Jetson Linux 32.7.1)", "3.6", "8.2.1"),
        (XAVIER, "5.1 (Jetson Linux 35.4.1)", "3.8", "8.5.2"),
        (ORIN_NANO, "6.2 (Jetson Linux 36.4.3)", "3.10, takes 3.10", "10.3.0.30"),
        (THOR, "7 (Jetson Linux 38.2.0)", "3.12, takes 3.12", "10.13.3.9"),
        (RASPBERRY, "none, this is no Jetson", "3.11, takes 3.11", "none"),
        (DESKTOP, "none, this is no Jetson", "3.12, takes 3.12", "none"),
    ],
)
def test_a_board_is_known_by_its_files(
    make: Make, board: Board, jetpack: str, python: str, tensorrt: str
) -> None:
    done = jetson(make(board), "--report")
    assert (done.returncode, done.stderr) == (0, "")
    found = facts(done.stdout)
    assert found["Board"].startswith(board.model or "unknown")
    assert found["System"] == board.system
    assert found["JetPack"] == jetpack
    assert found["Python"] == python
    assert found["CUDA"] == (board.cuda or "none")
    assert found["TensorRT"] == tensorrt
    assert found["Engine"].startswith("onnx: the network is small")


@pytest.mark.parametrize(
    ("release", "jetpack"),
    [
        ("R32 (release), REVISION: 5.2", "4 "),
        ("R35 (release), REVISION: 1.0", "5.0.2"),
        ("R36 (release), REVISION: 3.0", "6.0"),
        ("R36 (release), REVISION: 4.0", "6.1"),
        ("R36 (release), REVISION: 4.4", "6.2"),
        ("R38 (release), REVISION: 4.0", "7 "),
        ("R77 (release), REVISION: 1.0", "unknown"),
    ],
)
def test_releases_are_told_by_their_jetpack(make: Make, release: str, jetpack: str) -> None:
    board = Board("NVIDIA Jetson", f"# {release}, GCID: 1", pythons=("3.10",))
    assert facts(jetson(make(board), "--report").stdout)["JetPack"].startswith(jetpack.strip())


def test_without_the_release_file_the_package_tells(make: Make) -> None:
    packages = {"nvidia-l4t-cuda": "1", "nvidia-l4t-core": "36.4.3-20250107174145"}
    root = make(Board("NVIDIA Jetson AGX Orin", packages=packages, pythons=("3.10",)))
    found = facts(jetson(root, "--report").stdout)
    assert found["JetPack"] == "6.2 (Jetson Linux 36.4.3)"


def test_a_package_that_was_removed_is_not_there(make: Make) -> None:
    root = make(ORIN_NANO)
    status = root / "var/lib/dpkg/status"
    status.write_text(
        status.read_text().replace("install ok installed", "deinstall ok config-files")
    )
    assert facts(jetson(root, "--report").stdout)["TensorRT"] == "none"


@pytest.mark.parametrize(
    ("board", "advice"),
    [
        (NANO, "run the captioner in a container"),
        (XAVIER, "an Orin takes JetPack 6; on a Xavier install Python 3.11"),
        (Board(), "sudo apt-get install python3 python3-venv"),
    ],
)
def test_where_it_cannot_run_the_way_out_is_told(make: Make, board: Board, advice: str) -> None:
    done = jetson(make(board))
    assert done.returncode == 1
    assert advice in done.stderr
    assert "+ " not in done.stdout


def test_another_python_on_an_old_jetpack_is_taken(make: Make) -> None:
    root = make(XAVIER)
    (root / "usr/local/bin").mkdir(parents=True)
    (root / "usr/local/bin/python3.11").touch()
    done = jetson(root)
    assert done.returncode == 0, done.stderr
    assert "+ env PYTHON=python3.11 scripts/setup --live" in done.stdout


@pytest.mark.parametrize(
    ("board", "python"), [(ORIN_NANO, "3.10"), (THOR, "3.12"), (RASPBERRY, "3.11")]
)
def test_captions_are_set_up_by_the_processor(make: Make, board: Board, python: str) -> None:
    done = jetson(make(board))
    assert done.returncode == 0, done.stderr
    done_by = steps(done)
    assert done_by[0] == f"+ env PYTHON=python{python} scripts/setup --live"
    assert not [line for line in done_by if "onnxruntime" in line or "systemctl" in line]


def test_the_password_is_asked_for_before_packages_are_installed() -> None:
    """``scripts/setup`` takes root only where that needs no password any more."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "usr/bin").mkdir(parents=True)
        (folder / "usr/bin/python3.11").touch()
        for program in ("sudo", "dpkg-query"):
            (folder / program).write_text("#!/bin/sh\nexit 1\n")
        for path in (folder, folder / "sudo", folder / "dpkg-query"):
            path.chmod(0o755)
        done = subprocess.run(
            [str(ROOT / "scripts" / "jetson"), "--root", name],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PATH": f"{name}:{os.environ['PATH']}"},
            user=NOBODY if os.geteuid() == 0 else None,
        )
    asked = done.stdout.splitlines().index("+ sudo -v")
    assert done.stdout.splitlines()[asked + 1].endswith("scripts/setup --live")


def test_a_gpu_needs_an_index(make: Make) -> None:
    done = jetson(make(ORIN_NANO), "--engine", "cuda")
    assert done.returncode == 2
    assert "say where pip finds it with --gpu-index ADDRESS" in done.stderr


@pytest.mark.parametrize("engine", ["cuda", "tensorrt"])
def test_the_build_for_the_gpu_takes_the_place_of_the_other(make: Make, engine: str) -> None:
    index = "https://example.org/jp6/cu126"
    done = jetson(make(ORIN_NANO), "--engine", engine, "--gpu-index", index, "--service")
    assert done.returncode == 0, done.stderr
    steps = [line for line in done.stdout.splitlines() if line.startswith("+")]
    removed = next(n for n, step in enumerate(steps) if "uninstall" in step)
    assert steps[removed].endswith("--quiet --yes onnxruntime")
    assert steps[removed + 1].endswith(f"--no-deps --index-url {index} onnxruntime-gpu")
    assert f'CAPTIONER_OPTIONS="--engine {engine}"' in done.stdout
    assert "live-captioner.service.d/gpu.conf" in done.stdout
    assert f"{engine}: asked for, with CUDA 12.6 and TensorRT 10.3.0.30" in done.stdout


@pytest.mark.parametrize(
    ("changes", "engine", "told"),
    [
        (
            {"cuda": ""},
            "cuda",
            "no CUDA here; install it with: sudo apt-get install nvidia-",
        ),
        ({"packages": {}}, "tensorrt", "no TensorRT here; install it with"),
    ],
)
def test_what_a_gpu_lacks_is_told(
    make: Make, changes: dict[str, object], engine: str, told: str
) -> None:
    board = Board(**(vars(ORIN_NANO) | changes))  # type: ignore[arg-type]
    done = jetson(make(board), "--engine", engine, "--gpu-index", "https://example.org")
    assert done.returncode == 1
    assert told in done.stderr


def test_a_service_is_installed(make: Make) -> None:
    done = jetson(make(ORIN_NANO), "--service")
    assert done.returncode == 0, done.stderr
    for path in ("systemd/system/live-captioner.service", "live-captioner/live.yaml",
                 "live-captioner/options"):  # fmt: skip
        assert f"+ write /etc/{path}:" in done.stdout
    assert "@PROGRAM@" not in done.stdout
    assert "@ENGINE@" not in done.stdout
    assert "gpu.conf" not in done.stdout
    assert f"ExecStart={ROOT}/.venv/bin/python {ROOT}/run_live.py --wait" in done.stdout
    assert steps(done)[-2:] == [
        "+ systemctl enable live-captioner.service",
        "+ systemctl restart live-captioner.service",
    ]
    assert "disable" not in done.stdout


def test_one_service_takes_the_place_of_the_other(make: Make) -> None:
    """Both would want the microphone when the machine starts."""
    root = make(ORIN_NANO)
    (root / "etc/systemd/system").mkdir(parents=True)
    for unit in ("live-captioner", "live-captioner-web"):
        (root / f"etc/systemd/system/{unit}.service").touch()
    assert steps(jetson(root, "--web-service"))[-3:] == [
        "+ systemctl disable --now live-captioner.service",
        "+ systemctl enable live-captioner-web.service",
        "+ systemctl restart live-captioner-web.service",
    ]


def test_the_users_own_settings_stay(make: Make) -> None:
    root = make(ORIN_NANO)
    (root / "etc/live-captioner").mkdir()
    (root / "etc/live-captioner/live.yaml").touch()
    (root / "etc/live-captioner/options").touch()
    done = jetson(root, "--web-service")
    assert "+ write /etc/systemd/system/live-captioner-web.service:" in done.stdout
    assert "+ write /etc/live-captioner" not in done.stdout


def plug_in(root: Path, number: int, port: str, **usb: str) -> None:
    """Add a sound card as the kernel shows it."""
    device = root / "sys/devices/platform/usb1" / port
    interface = device / f"{port}:1.0"
    card = interface / "sound" / f"card{number}"
    card.mkdir(parents=True)
    for name, value in usb.items():
        (device / name).write_text(value + "\n")
    (card / "device").symlink_to(interface)
    folder = root / "sys/class/sound"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"card{number}").symlink_to(card)


def named(root: Path, *arguments: str) -> tuple[str, str]:
    """Return the rules that were written, one without their comments, and what was said."""
    done = jetson(root, *arguments)
    assert done.returncode == 0, done.stderr
    written = [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")]
    (root / RULES).parent.mkdir(parents=True, exist_ok=True)
    (root / RULES).write_text("\n".join(written) + "\n")
    return "\n".join(line for line in written if not line.startswith("#")), done.stderr


def test_a_microphone_is_named_by_its_serial_number(make: Make) -> None:
    root = make(ORIN_NANO)
    (root / "sys/class/sound/card0").mkdir(parents=True)
    plug_in(root, 2, "1-2.1", idVendor="0d8c", idProduct="0014", serial="A1", product="USB Mic")
    rule, said = named(root, "--name-microphone", "desk")
    assert rule == (
        'SUBSYSTEM=="sound", KERNEL=="card*", ACTION!="remove", ATTRS{idVendor}=="0d8c", '
        'ATTRS{idProduct}=="0014", ATTRS{serial}=="A1", ATTR{id}="desk"'
    )
    assert "--device desk" in said


@pytest.mark.parametrize("serial", ["", 'x", RUN+="/bin/sh'])
def test_one_without_a_fit_serial_number_is_named_by_its_port(make: Make, serial: str) -> None:
    root = make(ORIN_NANO)
    plug_in(root, 1, "1-2.1", idVendor="0d8c", idProduct="0014", serial=serial, product='M"\n#c')
    rule, said = named(root, "--name-microphone", "desk")
    assert rule == (
        'SUBSYSTEM=="sound", KERNEL=="card*", ACTION!="remove", KERNELS=="1-2.1", ATTR{id}="desk"'
    )
    assert "at port 1-2.1" in said


def test_two_equal_microphones_have_a_name_each(make: Make) -> None:
    root = make(ORIN_NANO)
    for number, port in ((1, "1-2.1"), (2, "1-2.2")):
        plug_in(root, number, port, idVendor="0d8c", idProduct="0014", serial="1", product="Mic")
    done = jetson(root, "--name-microphone", "left")
    assert done.returncode == 2
    assert "1: Mic at port 1-2.1" in done.stderr
    named(root, "--name-microphone", "left", "--card", "1", "--by-port")
    rules, _ = named(root, "--name-microphone", "right", "--card", "2", "--by-port")
    assert [rule.split('KERNELS=="')[1] for rule in rules.splitlines()] == [
        '1-2.1", ATTR{id}="left"',
        '1-2.2", ATTR{id}="right"',
    ]
    again, _ = named(root, "--name-microphone", "left", "--card", "2", "--by-port")
    assert again.count('"left"') == again.count('"right"') == 1
    assert "1-2.1" not in again


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--name-microphone", "my mic"], "must be a letter and up to 14 letters"),
        (["--name-microphone", "a" * 16], "must be a letter and up to 14 letters"),
        (["--name-microphone", "desk"], "no USB microphone is plugged in"),
        (["--name-microphone", "desk", "--card", "7"], "no USB sound card has this number"),
        (["--name-microphone"], "needs a value"),
        (["--engine", "abacus"], "must be onnx, cuda or tensorrt, got abacus"),
        (["--fast"], "unknown argument: --fast"),
    ],
)
def test_wrong_requests_are_explained(make: Make, arguments: list[str], told: str) -> None:
    done = jetson(make(ORIN_NANO), *arguments)
    assert done.returncode in (1, 2)
    assert told in done.stderr
    assert "+ " not in done.stdout


def test_help_is_the_head_of_the_script() -> None:
    done = subprocess.run([str(ROOT / "scripts/jetson"), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "--name-microphone NAME" in done.stdout
    assert "set -euo" not in done.stdout
