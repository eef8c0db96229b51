"""Which words of a rolling transcript are settled."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from streamer.events import Word


class WordSettler:
    """Settles a word once successive partials agree on it and time has passed.

    Local agreement (Liu et al., 2020) with a lag: a word is settled when the
    last ``agreeing`` partials had it at the same place and it ended ``lag_s``
    before the newest audio.  A settled word stays settled and is not changed by
    later partials of the utterance.

    Args:
        agreeing: How many successive partials must agree.
        lag_s: How long before the newest audio a word must have ended, seconds.

    Owns the settled words and the last ``agreeing - 1`` partials of one utterance.
    """

    def __init__(self, agreeing: int, lag_s: float) -> None:
        self._agreeing = agreeing
        self._lag_s = lag_s
        self._settled: list[Word] = []
        self._earlier: deque[list[str]] = deque(maxlen=agreeing - 1)

    def update(self, words: Sequence[Word], audio_s: float) -> tuple[str, str]:
        """Take a partial's words and return the settled text and the rest.

        Args:
            words: All words of the utterance so far.
            audio_s: Stream time of the newest audio.
        """
        texts = [word.word for word in words]
        if len(self._earlier) == self._agreeing - 1:
            self._settle(words, texts, audio_s)
        self._earlier.append(texts)
        return " ".join(word.word for word in self._settled), " ".join(self._tail(words))

    def _settle(self, words: Sequence[Word], texts: list[str], audio_s: float) -> None:
        for place in range(len(self._settled), len(words)):
            known = all(texts[: place + 1] == earlier[: place + 1] for earlier in self._earlier)
            if not known or words[place].end_s > audio_s - self._lag_s:
                return
            if texts[:place] != [word.word for word in self._settled]:
                return
            self._settled.append(words[place])

    def _tail(self, words: Sequence[Word]) -> list[str]:
        """Return the words behind the settled ones, by time where the texts differ."""
        count = len(self._settled)
        if [word.word for word in words[:count]] == [word.word for word in self._settled]:
            return [word.word for word in words[count:]]
        settled_s = self._settled[-1].end_s
        return [word.word for word in words if (word.start_s + word.end_s) / 2 > settled_s]
