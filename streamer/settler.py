"""Which words of a rolling transcript are settled."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from streamer.events import Word


class WordSettler:
    """Settles a word once successive partials agree on it and time has passed.

    Local agreement (Liu et al., 2020) with a lag: a word is settled when the last
    ``agreeing`` partials had it at the same place and it ended ``lag_s`` before the
    newest audio.  A settled word stays settled: the decoder is asked for readings that
    begin with :attr:`texts`, and :meth:`fitted` mends those that do not.

    Args:
        agreeing: How many successive partials must agree.
        lag_s: How long before the newest audio a word must have ended, seconds.
        until_s: Stream time after which no word settles, because a cut may give what
            lies there to the next utterance.

    Owns the settled words, with the times of the newest reading, and the texts of the
    last ``agreeing`` partials, of one utterance.
    """

    def __init__(self, agreeing: int, lag_s: float, until_s: float = math.inf) -> None:
        self._lag_s = lag_s
        self._until_s = until_s
        self._settled: list[Word] = []
        self._recent: deque[tuple[str, ...]] = deque(maxlen=agreeing)

    @property
    def texts(self) -> tuple[str, ...]:
        """The settled words in order."""
        return _texts(self._settled)

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
        """Take a partial's words and return the settled text and the rest.

        Args:
            words: All words of the utterance so far, as :meth:`fitted` gives them.
            audio_s: Stream time of the newest audio.
        """
        self._settled = list(words[: len(self._settled)])
        self._recent.append(_texts(words))
        if len(self._recent) == self._recent.maxlen:
            self._settle(words[: _agreed(self._recent)], min(audio_s - self._lag_s, self._until_s))
        count = len(self._settled)
        return " ".join(self.texts), " ".join(_texts(words[count:]))

    def _settle(self, agreed: Sequence[Word], latest_s: float) -> None:
        for word in agreed[len(self._settled) :]:
            if word.end_s > latest_s:
                return
            self._settled.append(word)


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
