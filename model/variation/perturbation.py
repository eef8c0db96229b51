"""Changes to recorded speech that leave its transcript true."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from model.audio import open_audio
from model.settings import Rule, above, at_least, between, check, span
from model.variation.channels import (
    CODECS,
    CodecName,
    change_speed,
    encode,
    low_pass,
    set_peak,
    telephone_band,
)
from model.variation.noises import (
    COLOURS,
    LEVEL_BLOCK,
    Colour,
    active_power,
    babble,
    coloured_noise,
    find_recordings,
    random_piece,
    recorded_noise,
)
from model.variation.rooms import REVERBERATION_S, Rooms, reverberate

FORMAT = 1
"""Raised whenever the same settings come to change sound in another way."""


@dataclass(frozen=True)
class PerturbationSettings:
    """How recordings are varied before their features are computed.

    The changes follow the sound's way: the voice, the room, the noise in it, the
    microphone, the line, the file.  Each share is that of the perturbed recordings that
    a change befalls; 0 switches it off.

    Attributes:
        views: Perturbed copies of every recording whose features are kept beside the
            clean ones; 0 trains on clean recordings alone.
        share: Share of the draws in a pass that take a perturbed copy.
        speeds: Factors of speed, each as likely (Ko et al., 2015).
        room_share: Heard in a simulated room.
        rooms: Number of rooms.
        reverberation_s: Range of their reverberation time, seconds.
        noise_share: With noise.
        noise: Folders of recorded noise.
        speech: Folders of recorded speech, of which the babble of many voices is mixed.
        computed: Noises to compute, each as likely.  Computed noise, recorded noise and
            babble are as likely as each other, those that there are.
        snr_db: Range of the ratio of speech to noise; see :func:`add_noise`.
        level_db: Range of the peak's level, full scale being 0.
        clipping_share: Cut off at full scale instead.
        clipping_db: Range of how far the peak would be above full scale.
        band_share: In a narrower band: a telephone's or, as likely, below a cut-off.
        cutoff_hz: Range of the cut-off.
        codec_share: After a codec.
        codecs: Codecs, each as likely.
    """

    views: int = 0
    share: float = 0.5
    speeds: tuple[float, ...] = (0.9, 1.0, 1.1)
    room_share: float = 0.3
    rooms: int = 200
    reverberation_s: tuple[float, ...] = (0.1, 0.6)
    noise_share: float = 0.6
    noise: tuple[str, ...] = ()
    speech: tuple[str, ...] = ()
    computed: tuple[Colour, ...] = tuple(COLOURS)
    snr_db: tuple[float, ...] = (5.0, 25.0)
    level_db: tuple[float, ...] = (-30.0, -1.0)
    clipping_share: float = 0.1
    clipping_db: tuple[float, ...] = (1.0, 10.0)
    band_share: float = 0.2
    cutoff_hz: tuple[float, ...] = (3000.0, 7000.0)
    codec_share: float = 0.2
    codecs: tuple[CodecName, ...] = tuple(CODECS)

    def __post_init__(self) -> None:
        shares = ("share", "room_share", "noise_share")
        check(
            self,
            at_least(0, "views"),
            between(0, 1, *shares, "clipping_share", "band_share", "codec_share"),
            above(0, "rooms"),
            Rule(
                "must be at least one, each 0.5 to 2",
                ("speeds",),
                lambda speeds: len(speeds) > 0 and all(0.5 <= s <= 2 for s in speeds),
            ),
            span("reverberation_s", *REVERBERATION_S),
            span("snr_db", -40, 100),
            span("level_db", -80, 0),
            span("clipping_db", 0, 60),
            span("cutoff_hz", 1_000, 24_000),
            Rule(
                "must name at least one where codec_share is above 0",
                ("codecs",),
                lambda codecs: bool(codecs) or not self.codec_share,
            ),
            Rule(
                "must name at least one where noise_share is above 0 and there are neither "
                "folders of noise nor of speech",
                ("computed",),
                lambda kinds: bool(kinds or self.noise or self.speech) or not self.noise_share,
            ),
        )


class Perturbation:
    """Changes recordings as settings, a seed and the recording's number decide.

    Can be sent to other processes.

    Args:
        settings: Which changes, how often and how strong.
        seed: Another one gives another view of the same recordings.
        folder: Where the responses of the simulated rooms are kept, once :meth:`prepare`
            has made them; without it each is simulated when it is needed.
    """

    def __init__(
        self, settings: PerturbationSettings, seed: int, folder: Path | None = None
    ) -> None:
        self.settings = settings
        self._seed = seed
        self._folder = folder

    def key(self) -> str:
        """Return a digest of all that decides the result, the noises' names and sizes included.

        Raises:
            SettingsError: If a folder of noise or speech cannot be used.
        """
        # Neither the folders' places nor how often views are drawn change a view.
        unimportant = {"views": 0, "share": 0.0, "noise": (), "speech": ()}
        recordings = [
            [(name, path.stat().st_size) for name, path in found]
            for found in (self._noises, self._voices)
        ]
        decides = [FORMAT, self._seed, asdict(self.settings) | unimportant, recordings]
        return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]

    def prepare(
        self, sample_rate: int, progress: Callable[[int], None] = lambda done: None
    ) -> None:
        """Simulate the rooms into the folder, unless they are there, and look at the noises.

        Args:
            sample_rate: Of the recordings to come, Hz.
            progress: Called with the number of rooms done.

        Raises:
            AudioFileError: If a recording of noise or speech is not audio.
            SettingsError: If a folder of them cannot be used.
            TrainingError: If the folder of the rooms cannot be written.
        """
        self.check_noises()
        if self.settings.room_share:
            self._rooms(sample_rate).fill(progress)

    def check_noises(self) -> None:
        """Look at the recordings of noise and speech, as far as their first bytes.

        Raises:
            AudioFileError: If one is not audio.
            SettingsError: If a folder of them cannot be used.
        """
        for _, path in (*self._noises, *self._voices):
            open_audio(path).close()

    def apply(
        self,
        samples: np.ndarray,
        sample_rate: int,
        index: int,
        tell: Callable[[str], None] = lambda change: None,
    ) -> np.ndarray:
        """Return a recording perturbed; always the same for a seed and an index.

        Args:
            samples: float32 (n,), -1 to 1.
            sample_rate: Hz.
            index: Number of the recording.
            tell: Called with each change in words.

        Returns:
            float32 (m,), -1 to 1; m differs from n by the change of speed.  What is shorter
            than 20 ms stays as it is.

        Raises:
            AudioFileError: If a recording of noise or speech cannot be read.
            SettingsError: If a folder of them cannot be used.
        """
        if len(samples) < LEVEL_BLOCK:
            return samples
        changes = (
            self._change_speed,
            self._add_room,
            self._add_noise,
            self._set_level,
            self._narrow_band,
            self._encode,
        )
        randoms = np.random.default_rng([self._seed, index]).spawn(len(changes))
        for change, random in zip(changes, randoms, strict=True):
            samples = change(samples, _Draws(sample_rate, random, tell))
        return np.clip(samples, -1, 1).astype(np.float32)

    def _change_speed(self, samples: np.ndarray, draws: _Draws) -> np.ndarray:
        speed = float(draws.random.choice(self.settings.speeds))
        if speed == 1:
            return samples
        draws.tell(f"{speed:g} times as fast")
        return change_speed(samples, speed)

    def _add_room(self, samples: np.ndarray, draws: _Draws) -> np.ndarray:
        if not draws.happens(self.settings.room_share):
            return samples
        number = int(draws.random.integers(self.settings.rooms))
        draws.tell(f"in room {number}")
        return reverberate(samples, self._rooms(draws.sample_rate).response(number))

    def _add_noise(self, samples: np.ndarray, draws: _Draws) -> np.ndarray:
        if not draws.happens(self.settings.noise_share):
            return samples
        snr_db = draws.within(self.settings.snr_db)
        name, noise = self._make_noise(len(samples), draws)
        draws.tell(f"{name} at a signal-to-noise ratio of {snr_db:.0f} dB")
        return add_noise(samples, noise, snr_db, draws.random)

    def _make_noise(self, length: int, draws: _Draws) -> tuple[str, np.ndarray]:
        """Return a name and (length,) of one of the kinds of noise that there are."""
        rate, random, computed = draws.sample_rate, draws.random, self.settings.computed
        makers: list[Callable[[], tuple[str, np.ndarray]]] = []
        if computed:
            colour = computed[int(random.integers(len(computed)))]
            makers.append(lambda: (f"{colour} noise", coloured_noise(colour, length, rate, random)))
        if noises := [path for _, path in self._noises]:
            makers.append(lambda: ("recorded noise", recorded_noise(noises, length, rate, random)))
        if voices := [path for _, path in self._voices]:
            makers.append(lambda: ("babble", babble(voices, length, rate, random)))
        return makers[int(random.integers(len(makers)))]()

    def _set_level(self, samples: np.ndarray, draws: _Draws) -> np.ndarray:
        clipped = draws.happens(self.settings.clipping_share)
        bounds = self.settings.clipping_db if clipped else self.settings.level_db
        level_db = draws.within(bounds)
        draws.tell(f"its peak at {level_db:.0f} dB{', cut off at 0' if clipped else ''}")
        return set_peak(samples, level_db)

    def _narrow_band(self, samples: np.ndarray, draws: _Draws) -> np.ndarray:
        if not draws.happens(self.settings.band_share):
            return samples
        if draws.happens(0.5):
            draws.tell("in the band of a telephone")
            return telephone_band(samples, draws.sample_rate)
        cutoff_hz = draws.within(self.settings.cutoff_hz)
        draws.tell(f"below {cutoff_hz:.0f} Hz")
        return low_pass(samples, draws.sample_rate, cutoff_hz)

    def _encode(self, samples: np.ndarray, draws: _Draws) -> np.ndarray:
        if not draws.happens(self.settings.codec_share):
            return samples
        name = self.settings.codecs[int(draws.random.integers(len(self.settings.codecs)))]
        draws.tell(f"encoded as {name}")
        return encode(samples, draws.sample_rate, name, draws.random)

    @cached_property
    def _noises(self) -> list[tuple[str, Path]]:
        return find_recordings(self.settings.noise, "perturbation.noise")

    @cached_property
    def _voices(self) -> list[tuple[str, Path]]:
        return find_recordings(self.settings.speech, "perturbation.speech")

    def _rooms(self, sample_rate: int) -> Rooms:
        settings = self.settings
        return Rooms(settings.rooms, settings.reverberation_s, sample_rate, self._folder)


def add_noise(
    samples: np.ndarray, noise: np.ndarray, snr_db: float, random: np.random.Generator
) -> np.ndarray:
    """Return ``samples`` with a random piece of ``noise`` at a signal-to-noise ratio.

    The ratio is that of the :func:`model.variation.noises.active_power` of the speech to that of
    the piece: pauses in either make it no quieter.

    Args:
        samples: float32 (n,) speech.
        noise: float (m,) at the speech's rate; repeated where it is shorter.
        snr_db: Ratio in dB.
        random: Draws where the piece starts.

    Returns:
        float32 (n,), not limited to -1 to 1; equal to ``samples`` where either is silent.
    """
    if len(noise) == 0:
        return samples.astype(np.float32)
    piece = random_piece(noise, len(samples), random)
    speech_power, noise_power = active_power(samples), active_power(piece)
    if not (speech_power and noise_power):
        return samples.astype(np.float32)
    gain = np.sqrt(speech_power / noise_power / 10 ** (snr_db / 10))
    return (samples + gain * piece).astype(np.float32)


@dataclass(frozen=True)
class _Draws:
    """What a change has to go by besides the sound: its rate, its chances, whom to tell."""

    sample_rate: int
    random: np.random.Generator
    tell: Callable[[str], None]

    def happens(self, share: float) -> bool:
        return self.random.random() < share

    def within(self, bounds: tuple[float, ...]) -> float:
        return float(self.random.uniform(bounds[0], bounds[1]))
