"""Which words of a rolling transcript are shown, and which of them are settled."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from streamer.events import Word
from streamer.settings import PartialSettings
from streamer.stability import WordStability


class WordSettler:
    """Shows a word once it will probably stay, and settles it once partials agree on it.

    A word settles when another was read behind it, the last ``settle_after`` partials had
    it at the same place, it ended ``settle_lag_ms`` before the newest audio, and the
    decoder is fairly sure of it; or it ended ``settle_late_ms`` before, however unsure the
    decoder is.  It is the local agreement of Liu et al., Low-latency sequence-to-sequence
    speech recognition and translation by partial hypothesis selection (2020), with a lag.
    A settled word stays settled: the decoder is asked for readings that begin with
    :attr:`texts`, and :meth:`fitted` mends those that do not.  Words behind the settled
    ones are shown as far as each is likely to stay, and as long as the readings have them.

    Args:
        settings: When words are shown and settled.
        until_s: Stream time after which no word settles, because a cut may give what
            lies there to the next utterance.
        stability: Tells how likely a word is to stay.

    Owns the settled words, with the times of the newest reading, the words shown, and the
    texts of the last partials, of one utterance.
    """

    def __init__(
        self,
        settings: PartialSettings,
        until_s: float = math.inf,
        stability: WordStability | None = None,
    ) -> None:
        self._settings = settings
        self._late_ms = max(settings.settle_lag_ms, settings.settle_late_ms)
        self._until_s = until_s
        self._stability = stability or WordStability()
        self._settled: list[Word] = []
        self._recent: deque[tuple[str, ...]] = deque(maxlen=settings.settle_after)
        self._since_s: list[float] = []
        self._shown = 0

    @property
    def texts(self) -> tuple[str, ...]:
        """The settled words in order."""
        return _texts(self._settled)

    @property
    def read(self) -> tuple[str, ...]:
        """The words of the newest reading, but for its last one, which may go on."""
        return self._recent[-1][:-1] if self._recent else ()

    def fitted(self, words: Sequence[Word]) -> tuple[Word, ...]:
        """Return a reading that begins with the settled words.

        ``words`` where they do; otherwise the settled words, and behind them those of
        ``words`` whose middle lies behind the last of them.
        """
        if _texts(words[: len(self._settled)]) == self.texts:
            return tuple(words)
        end_s = self._settled[-1].end_s
        behind = (word for word in words if (word.start_s + word.end_s) / 2 > end_s)
        moved = (replace(word, start_s=max(word.start_s, end_s)) for word in behind)
        return (*self._settled, *moved)

    def update(self, words: Sequence[Word], audio_s: float) -> tuple[str, str]:
        """Take a partial's words and return the settled text and the rest that is shown.

        Args:
            words: All words of the utterance so far, as :meth:`fitted` gives them.
            audio_s: Stream time of the newest audio.
        """
        texts = _texts(words)
        same = _agreed([self._recent[-1], texts]) if self._recent else 0
        self._since_s = [*self._since_s[:same], *[audio_s] * (len(words) - same)]
        self._recent.append(texts)
        self._settled = list(words[: len(self._settled)])
        if len(self._recent) == self._recent.maxlen:
            # The last word may go on.
            self._settle(words[: min(_agreed(self._recent), len(words) - 1)], audio_s)
        self._show(words, min(same, self._shown), audio_s)
        count = len(self._settled)
        return " ".join(self.texts), " ".join(texts[count : self._shown])

    def _settle(self, agreed: Sequence[Word], audio_s: float) -> None:
        settings = self._settings
        for word in agreed[len(self._settled) :]:
            lag_ms = 1000 * (audio_s - word.end_s)
            sure = word.confidence >= settings.settle_confidence
            needed_ms = settings.settle_lag_ms if sure else self._late_ms
            if lag_ms < needed_ms or word.end_s > self._until_s:
                return
            self._settled.append(word)

    def _show(self, words: Sequence[Word], shown: int, audio_s: float) -> None:
        """Show as many words as will probably stay; the first ``shown`` are and stay so."""
        shown = max(shown, len(self._settled))
        while shown < len(words) and self._will_stay(words, shown, audio_s):
            shown += 1
        self._shown = shown

    def _will_stay(self, words: Sequence[Word], place: int, audio_s: float) -> bool:
        known = self.known(words, place, audio_s)
        return self._stability.probability(*known) >= self._settings.stability

    def known(
        self, words: Sequence[Word], place: int, audio_s: float
    ) -> tuple[float, float, float, bool, int]:
        """Return what is known of a word of the newest partial: what a stability judges.

        Args:
            words: The partial's, as :meth:`update` took them.
            place: Which of them.
            audio_s: As :meth:`update` took it.
        """
        word = words[place]
        age_s = audio_s - self._since_s[place]
        followed = place + 1 < len(words)
        return word.confidence, audio_s - word.end_s, age_s, followed, len(word.word)


def _texts(words: Iterable[Word]) -> tuple[str, ...]:
    return tuple(word.word for word in words)


def _agreed(readings: Iterable[tuple[str, ...]]) -> int:
    """Return how many words at the beginning are the same in all readings."""
    count = 0
    for places in zip(*readings, strict=False):
        if len(set(places)) > 1:
            break
        count += 1
    return count
