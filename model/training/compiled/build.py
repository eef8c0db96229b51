"""Compile the training step with the system's compiler, once for each processor and source."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkstemp

from model.errors import StepError
from model.files import cache_home, private_folder

SOURCE = Path(__file__).parent / "source"
COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-std=c++17", "-O3", "-fno-math-errno", "-fopenmp", "-fPIC", "-shared")
PATIENCE_S = 600.0
"""For the compiler, which takes some seconds."""


def built_library(
    environment: Mapping[str, str] = os.environ,
    folder: Path | None = None,
    notify: Callable[[str], None] = lambda text: None,
) -> Path:
    """Return the compiled step, a shared library; compile it where that was not done yet.

    ``CXX`` names the compiler and ``CXXFLAGS`` gives it further flags, as for ``make``.

    Args:
        environment: Variables of the process.
        folder: Keeps the libraries; None for one in the user's cache.
        notify: Told before the compiler starts.

    Raises:
        StepError: If there is no compiler or it fails, or the folder cannot be used or belongs
            to others, who could then put there what runs as this user.
    """
    command = [*_compiler(environment), *FLAGS, *_native()]
    command += _words(environment, "CXXFLAGS")
    folder = folder or _cache()
    library = folder / f"step-{_digest(command)}.so"
    try:
        private_folder(folder)
        if not library.exists():
            notify("compiling the training step for this processor, once")
            _compile(command, library)
    except OSError as error:
        raise StepError(
            f"{folder}: cannot hold the compiled step ({error.strerror or error}); give another "
            "cache folder with XDG_CACHE_HOME"
        ) from error
    return library


def _cache() -> Path:
    try:
        return cache_home() / "live-captioner" / "step"
    except RuntimeError as error:
        raise StepError(f"this user has no home ({error}); set XDG_CACHE_HOME") from error


def _compiler(environment: Mapping[str, str]) -> list[str]:
    """Return what runs the compiler."""
    words = _words(environment, "CXX")
    names = words[:1] or COMPILERS
    for name in names:
        if found := shutil.which(name, path=environment.get("PATH")):
            return [found, *words[1:]]
    raise StepError(
        f"there is no C++ compiler ({' or '.join(names)}); install one, on Debian and Ubuntu "
        "with: sudo apt install g++; or name another in CXX"
    )


def _words(environment: Mapping[str, str], name: str) -> list[str]:
    """Return the words of a variable as a shell would read them; none where it is not set."""
    try:
        return shlex.split(environment.get(name, ""))
    except ValueError as error:
        raise StepError(f"{name}: cannot be read as a shell would ({error}); correct it") from error


def _native() -> list[str]:
    """Return the flags that let the compiler use all that this processor can."""
    return ["-mcpu=native" if platform.machine() == "aarch64" else "-march=native"]


def _digest(command: Sequence[str]) -> str:
    """Return a name that is another for another source, compiler, flag or processor."""
    parts = [*command, _output([command[0], "--version"]), platform.machine(), _processor()]
    for path in sorted(SOURCE.iterdir()):
        parts += [path.name, path.read_text(encoding="utf-8")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _processor() -> str:
    """Return what the system tells of the processor's abilities."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.lower().startswith(("flags", "features"))), "")


def _compile(command: Sequence[str], library: Path) -> None:
    """Compile into a file that takes its place when it is whole."""
    with _partial(library) as partial:
        _output([*command, str(SOURCE / "step.cpp"), "-o", str(partial)])
        os.replace(partial, library)


@contextmanager
def _partial(library: Path) -> Iterator[Path]:
    """Give a new file beside a library; remove it where it is left."""
    descriptor, name = mkstemp(dir=library.parent, suffix=".partial")
    os.close(descriptor)
    try:
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _output(command: Sequence[str]) -> str:
    """Return what the compiler writes; raise StepError with its own words where it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _failure(command[0], str(error)) from error
    if done.returncode:
        raise _failure(command[0], _reason(done.stderr) or f"exit code {done.returncode}")
    return done.stdout


def _reason(said: str) -> str:
    """Return the line of a compiler's output that tells what is wrong."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")


def _failure(compiler: str, reason: str) -> StepError:
    return StepError(
        f"{compiler} does not compile the step ({reason}); name another C++ compiler in CXX, and "
        "see what CXXFLAGS says"
    )
