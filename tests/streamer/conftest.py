"""A virtual sound card: a private PulseAudio, with ALSA set up to record from it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

PROGRAMS = {
    "pulseaudio": "pulseaudio",
    "pactl": "pulseaudio-utils",
    "paplay": "pulseaudio-utils",
}
"""Programs that the sound card is made of, and the Debian packages that hold them."""

ALSA_CONFIGURATION = """\
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
"""


class VirtualSoundCard:
    """What is played by :meth:`play` is what a program started here hears as its microphone."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._alsa = home / "asound.conf"
        self._alsa.write_text(ALSA_CONFIGURATION, encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """Environment for programs that are to use the card; set before PortAudio loads."""
        return {
            **os.environ,
            "HOME": str(self._home),
            "XDG_RUNTIME_DIR": str(self._home),
            "XDG_CONFIG_HOME": str(self._home),
            "PULSE_SERVER": f"unix:{self._home}/native",
            "ALSA_CONFIG_PATH": str(self._alsa),
            "DBUS_SESSION_BUS_ADDRESS": f"unix:path={self._home}/no-bus",
            "PYTHONPATH": str(REPOSITORY),
        }

    def start_server(self) -> None:
        """Start PulseAudio; it is ready when this returns."""
        self.run(
            [
                "pulseaudio",
                "-n",
                "--daemonize=yes",
                "--exit-idle-time=-1",
                "--use-pid-file=yes",
                "--disable-shm=yes",
                "--log-target=syslog",
                # Without rewinds it renders 50 ms ahead instead of 2 s, and the monitor
                # misses nothing of the start of a sound.
                "--load=module-null-sink sink_name=card rate=48000 norewinds=true",
                # Last, so that nobody connects while there is no source yet.
                f"--load=module-native-protocol-unix auth-anonymous=1 socket={self._home}/native",
            ]
        )
        self.run(["pactl", "set-default-source", "card.monitor"])

    def stop_server(self) -> None:
        """End PulseAudio, as if the card were unplugged."""
        with suppress(FileNotFoundError, ProcessLookupError):
            self.signal_server(signal.SIGKILL)
            self._pid_file.unlink()

    def signal_server(self, number: signal.Signals) -> None:
        """Send PulseAudio a signal, such as SIGSTOP, upon which nothing of it answers."""
        os.kill(int(self._pid_file.read_text()), number)

    @property
    def _pid_file(self) -> Path:
        return self._home / "pulse" / "pid"

    def run(
        self, command: Sequence[str], timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; it must succeed."""
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done

    def start_python(self, arguments: Sequence[str]) -> subprocess.Popen[str]:
        """Start this Python, its output and its errors as pipes."""
        return subprocess.Popen(
            [sys.executable, *arguments],
            env=self.environment,
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def play(self, path: Path) -> None:
        """Play a WAV file to its end; the last of it may still be on its way when this returns."""
        self.run(["paplay", str(path)])


@pytest.fixture
def virtual_sound_card() -> Iterator[VirtualSoundCard]:
    """A virtual sound card for the time of one test.

    Fails, rather than skips, where PulseAudio is not installed: the way from the
    microphone to the captions must not go untested unnoticed.
    """
    missing = {package for program, package in PROGRAMS.items() if not shutil.which(program)}
    if missing:
        pytest.fail(
            f"the virtual microphone needs {', '.join(sorted(missing))}: sudo apt-get install "
            "pulseaudio pulseaudio-utils libasound2-plugins libportaudio2"
        )
    # A socket's path may have 107 characters at most, which pytest's folders can exceed.
    with tempfile.TemporaryDirectory(prefix="sound") as home:
        card = VirtualSoundCard(Path(home))
        try:
            card.start_server()
            yield card
        finally:
            card.stop_server()
