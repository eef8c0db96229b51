"""Keep what the live path read at every look, and show it anew in another way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.live.judging import Judged, Offline, judge
from benchmarks.live.playing import Play, Player, Told
from benchmarks.live.tapes import Tape, single_tape
from model.acoustic import AcousticModel
from model.corpora.manifest import Utterance
from streamer.events import FinalTranscript, Notice, PartialTranscript, Word
from streamer.settings import LiveSettings, PartialSettings
from streamer.settler import WordSettler
from streamer.stability import WordStability, measures

NEAR_S = 0.25
"""How far apart the ends of a word in a partial and in the final may be, seconds."""


@dataclass(frozen=True)
class Look:
    """What was read at a look.

    Attributes:
        words: Of the utterance so far.
        audio_s: Stream time of the newest audio.
    """

    words: tuple[Word, ...]
    audio_s: float


@dataclass(frozen=True)
class Candidate:
    """A word at a look that was not settled.

    Attributes:
        word: The word.
        measures: What :func:`streamer.stability.measures` gives for it.
    """

    word: Word
    measures: tuple[float, ...]

    def stays(self, final: FinalTranscript) -> bool:
        """Return whether the final has the word."""
        return any(
            word.word == self.word.word and abs(word.end_s - self.word.end_s) <= NEAR_S
            for word in final.words
        )


class KeepingSettler(WordSettler):
    """A settler that keeps what it is given, and what is known of words that are not settled.

    Attributes:
        until_s: Stream time after which no word settles.
        looks: All updates.
        candidates: The words of all looks that were not settled.
    """

    def __init__(self, settings: PartialSettings, until_s: float = math.inf) -> None:
        super().__init__(settings, until_s)
        self.until_s = until_s
        self.looks: list[Look] = []
        self.candidates: list[Candidate] = []

    def update(self, words: Sequence[Word], audio_s: float) -> tuple[str, str]:
        """As :meth:`WordSettler.update`."""
        shown = super().update(words, audio_s)
        self.looks.append(Look(tuple(words), audio_s))
        for place in range(len(self.texts), len(words)):
            known = self.known(words, place, audio_s)
            self.candidates.append(Candidate(words[place], measures(*known)))
        return shown


@dataclass(frozen=True)
class Rolled:
    """A recording that went through the live path.

    Attributes:
        tape: The recording.
        play: What came of it.
        finals: The final of each utterance and when it came, in order.
        settlers: Of each utterance.
        ends: For each final, where its words end, seconds of stream time.
        offline: The reading of the whole recording.
    """

    tape: Tape
    play: Play
    finals: tuple[tuple[FinalTranscript, Told], ...]
    settlers: tuple[KeepingSettler, ...]
    ends: tuple[list[float], ...]
    offline: str

    @property
    def row(self) -> Utterance:
        """The recording in its manifest."""
        return self.tape.clips[0].row

    def candidates(self) -> Iterator[tuple[Candidate, bool]]:
        """Yield the words that were not settled, and whether each is in its final."""
        for settler, (final, _) in zip(self.settlers, self.finals, strict=True):
            for candidate in settler.candidates:
                yield candidate, candidate.stays(final)

    def shown_anew(self, settings: PartialSettings, stability: WordStability) -> list[Told]:
        """Return the transcripts that there would be with other settings of what is shown.

        What is read and what settles is as it was, so nothing else of the settings may
        differ from those that it was read with.  Partials come at their audio's time.
        """
        shown = []
        for settler, (final, told) in zip(self.settlers, self.finals, strict=True):
            anew = WordSettler(settings, settler.until_s, stability)
            for partial in _partials(final, settler.looks, anew):
                shown.append(Told(partial, partial.audio_s, partial.audio_s))
            shown.append(told)
        return shown

    def judged(self, settings: PartialSettings, stability: WordStability) -> Judged:
        """Return what is measured of :meth:`shown_anew`; times with computing mean nothing."""
        play = replace(self.play, told=tuple(self.shown_anew(settings, stability)))
        return judge(self.tape, play, self.ends, [self.offline])


def _partials(
    final: FinalTranscript, looks: Sequence[Look], settler: WordSettler
) -> Iterator[PartialTranscript]:
    shown = False
    for look in looks:
        stable, tail = settler.update(look.words, look.audio_s)
        before, shown = shown, bool(stable or tail)
        if shown or before:
            yield PartialTranscript(final.utterance, stable, tail, final.start_s, look.audio_s)


class Roller:
    """Sends recordings through the live path, one after the other.

    Args:
        settings: Of the live path.
        acoustic: Shared model.
    """

    def __init__(self, settings: LiveSettings, acoustic: AcousticModel) -> None:
        self._player = Player(settings, acoustic, "max", self._new_settler)
        self._offline = Offline(acoustic, self._player.decoders.final)
        self._settlers: list[KeepingSettler] = []

    @property
    def notices(self) -> tuple[Notice, ...]:
        """What the user should know of the decoders."""
        return self._player.decoders.notices

    def roll(self, row: Utterance) -> Rolled:
        """Send a recording through.

        Raises:
            CaptionerError: If it cannot be read, or a stage failed.
        """
        self._settlers = []
        # Without noise no file is written.
        tape = single_tape(row, None, Path())
        play = self._player.play(tape)
        finals = [(t.event, t) for t in play.told if isinstance(t.event, FinalTranscript)]
        ends = [self._offline.word_ends(tape.samples, final) for final, _ in finals]
        text = self._offline.text(tape.samples)
        return Rolled(tape, play, tuple(finals), tuple(self._settlers), tuple(ends), text)

    def _new_settler(self, settings: PartialSettings, until_s: float) -> KeepingSettler:
        self._settlers.append(KeepingSettler(settings, until_s))
        return self._settlers[-1]
