"""The live decoder: a beam search with a language model that goes on where it stopped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lm.alignment import align_beginning
from lm.calibration import Calibration, WordEvidence
from lm.decoder import DecodedWord, Hypothesis
from lm.errors import LanguageModelError
from lm.hotwords import Hotwords
from lm.language_model import LanguageModel
from lm.search import LEAST, FoundWord, Scorer, Search, SearchSettings
from model.alphabet import Alphabet

COMPARED = 32
"""Hypotheses that a word's posterior is estimated from."""

ROUNDING = 0.01
"""How far above zero the logarithm of a probability may come by rounding."""


class BeamDecoder:
    """Prefix beam search with a KenLM language model; shared, keeps no state of an utterance.

    Fed in any pieces, an utterance gets the reading that it gets as a whole.

    Args:
        alphabet: Symbols of the network.
        language_model: Scores words.
        settings: How wide the search is and how its evidence is weighed.
        hotwords: Phrases to prefer.
        calibration: Turns what is known of a word into its confidence.

    Raises:
        LanguageModelError: If no word of the language model can be spelled in the alphabet.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        language_model: LanguageModel,
        settings: SearchSettings = SearchSettings(),  # noqa: B008  (immutable)
        hotwords: Hotwords | None = None,
        calibration: Calibration | None = None,
    ) -> None:
        self.alphabet = alphabet
        self.settings = settings
        self.calibration = calibration or Calibration()
        _check_words(language_model, alphabet)
        self._language_model = language_model
        self._scorer = self._score(hotwords)

    def use(self, hotwords: Hotwords) -> None:
        """Prefer other phrases in the utterances that start from now on."""
        self._scorer = self._score(hotwords)

    def decode(self, log_probs: np.ndarray, settled: Sequence[str] = ()) -> Hypothesis:
        """Return the best reading of float32 (frames, symbols).

        Args:
            log_probs: Natural logarithms of the symbols' probabilities.
            settled: Words that it must begin with.
        """
        session = self.session(settled)
        session.push(log_probs)
        return session.best(final=True)

    def n_best(self, log_probs: np.ndarray, count: int) -> tuple[Hypothesis, ...]:
        """Return up to ``count`` different readings of float32 (frames, symbols), best first."""
        session = self.session()
        session.push(log_probs)
        return session.n_best(count, final=True)

    def session(self, settled: Sequence[str] = ()) -> BeamSession:
        """Start an utterance that is read while it grows.

        Args:
            settled: Words that its readings must begin with.
        """
        return BeamSession(self, self._scorer, settled)

    def _score(self, hotwords: Hotwords | None) -> Scorer:
        phrases = hotwords or Hotwords({})
        return Scorer(self.alphabet, self._language_model, self.settings, phrases)


class BeamSession:
    """One utterance inside a beam search.

    Owns the hypotheses for the frames pushed, and those frames.  The cost of a
    reading is set by what was pushed since the last one and by the tail; once no
    hypothesis has the settled words, by the whole utterance.
    """

    def __init__(self, decoder: BeamDecoder, scorer: Scorer, settled: Sequence[str] = ()) -> None:
        self._decoder = decoder
        self._scorer = scorer
        self._search = Search(scorer)
        self._search.settle(settled)
        self._frames = np.zeros((0, decoder.alphabet.size), np.float32)

    def push(self, log_probs: np.ndarray) -> None:
        """Add float32 (frames, symbols) for good; they are not read again.

        Raises:
            ValueError: If they are no logarithms of probabilities of the alphabet's symbols.
        """
        if len(log_probs):
            self._check(log_probs)
            self._search.read(log_probs)
            self._frames = np.concatenate([self._frames, log_probs])

    def best(
        self,
        tail: np.ndarray | None = None,
        settled: Sequence[str] = (),
        final: bool = False,
        shown: Sequence[str] = (),
        margin: float = 0.0,
    ) -> Hypothesis:
        """Return the best reading of everything pushed and, without keeping them, of ``tail``.

        Args:
            tail: float32 (frames, symbols) that follow on what was pushed.
            settled: Words that this reading and all later ones must begin with.
            final: Whether the utterance ends here, and with it its last word.
            shown: Words that are read already; of the readings that are nearly as good as
                the best one, that is taken which agrees with the most of them.
            margin: How much worse such a reading may be, in natural logarithms.

        Raises:
            ValueError: As :meth:`push`.
        """
        if len(settled) > len(self._search.settled):
            self._search.settle(settled)
        search, frames = self._reach(tail)
        readings = _readings(search, self._scorer, final)
        if not readings:
            return self._forced(frames, final)
        best = self._hypothesis(readings, _most_alike(readings, shown, margin), frames)
        if final and 0 < len(best.words) == len(search.settled):
            # It may be that no hypothesis could leave the settled words behind.
            return max(best, self._forced(frames, final), key=lambda each: len(each.words))
        return best

    def n_best(
        self, count: int, tail: np.ndarray | None = None, final: bool = False
    ) -> tuple[Hypothesis, ...]:
        """Return up to ``count`` different readings, best first; see :meth:`best`."""
        search, frames = self._reach(tail)
        readings = _readings(search, self._scorer, final)
        places = _distinct(readings)[:count]
        return tuple(self._hypothesis(readings, place, frames) for place in places)

    def _reach(self, tail: np.ndarray | None) -> tuple[Search, np.ndarray]:
        """Return the search at the end of the tail, and all frames up to there."""
        if tail is None or not len(tail):
            return self._search, self._frames
        self._check(tail)
        search = self._search.fork()
        search.read(tail)
        return search, np.concatenate([self._frames, tail])

    def _check(self, log_probs: np.ndarray) -> None:
        symbols = self._decoder.alphabet.size
        if log_probs.ndim != 2 or log_probs.shape[1] != symbols:
            raise ValueError(
                f"log-probabilities: must be of shape (frames, {symbols}), one for each symbol "
                f"of the alphabet, got {log_probs.shape}"
            )
        if not (log_probs <= ROUNDING).all():
            raise ValueError(
                "log-probabilities: must be natural logarithms of probabilities, so at most 0, "
                f"got {log_probs.max()}"
            )

    def _hypothesis(self, readings: list[_Reading], place: int, frames: np.ndarray) -> Hypothesis:
        score, last = readings[place]
        words = last.chain() if last else []
        shares = _posteriors(words, readings, place)
        decoded = tuple(
            self._decoded(word, share, frames) for word, share in zip(words, shares, strict=True)
        )
        return Hypothesis(decoded, score, self._sentence_end(decoded))

    def _sentence_end(self, words: Sequence[DecodedWord]) -> float:
        texts = [word.text for word in words]
        return self._scorer.language_model.sentence_end(texts) if texts else 0.0

    def _decoded(self, word: FoundWord, posterior: float, frames: np.ndarray) -> DecodedWord:
        evidence = self._evidence(word, posterior, frames)
        confidence = self._decoder.calibration.confidence(evidence)
        return DecodedWord(word.text, word.start, word.end, confidence, evidence)

    def _evidence(self, word: FoundWord, posterior: float, frames: np.ndarray) -> WordEvidence:
        if word.acoustic is None:
            labels = self._decoder.alphabet.encode(word.text)
            surest = frames[word.start : word.end, labels].max(axis=0, initial=-np.inf)
            word.acoustic = min(1.0, float(np.exp(surest).mean()))
        return WordEvidence(
            posterior, word.acoustic, len(word.text), self._scorer.language_model.knows(word.text)
        )

    def _forced(self, frames: np.ndarray, final: bool) -> Hypothesis:
        """Read what follows on the settled words where no hypothesis has them any more."""
        settled = self._search.settled
        heard = np.maximum(frames, LEAST)
        spans = align_beginning(heard, settled, self._decoder.alphabet)
        words = []
        chain: FoundWord | None = None
        for text, (start, end) in zip(settled, spans, strict=True):
            chain = FoundWord(chain, text, start, end)
            words.append(self._decoded(chain, 1.0, frames))
        begin = spans[-1][1]
        rest = Search(self._scorer, settled)
        rest.read(frames[begin:])
        readings = _readings(rest, self._scorer, final)
        later = self._hypothesis(readings, 0, frames[begin:])
        words += (
            replace(word, start_frame=word.start_frame + begin, end_frame=word.end_frame + begin)
            for word in later.words
        )
        return Hypothesis(tuple(words), later.score, self._sentence_end(words))


def _check_words(model: LanguageModel, alphabet: Alphabet) -> None:
    if model.words is not None and not any(map(set(alphabet.symbols).issuperset, model.words)):
        raise LanguageModelError(
            f"{model.name or 'the language model'}: no word of it can be spelled with the symbols "
            "of the acoustic model; give a language model of the same language"
        )


_Reading = tuple[float, FoundWord | None]
"""The natural logarithm of what the search maximises, and the last word."""


def _readings(search: Search, scorer: Scorer, final: bool) -> list[_Reading]:
    """Return the different readings that have every settled word, best first."""
    found: dict[object, tuple[float, FoundWord | None]] = {}
    for prefix, ends_blank, ends_symbol, start, end, words in search.beams:
        mass = ends_blank + ends_symbol
        last = FoundWord(words, prefix.word, start, end) if prefix.word else words
        key: object = prefix
        if final:
            key, gain = scorer.end(prefix)
            mass *= gain
        if (last.count if last else 0) < len(search.settled) or not _keeps(last, search.settled):
            continue
        before, kept = found.get(key, (0.0, last))
        found[key] = before + mass, kept
    ranked = sorted(found.values(), key=lambda reading: -reading[0])
    return [(math.log(mass) + search.log_scale, last) for mass, last in ranked if mass > 0]


def _distinct(readings: Sequence[_Reading]) -> list[int]:
    """Return the places of the readings that differ in their words from all before."""
    places: dict[tuple[str, ...], int] = {}
    for place, (_, last) in enumerate(readings):
        places.setdefault(tuple(word.text for word in last.chain()) if last else (), place)
    return list(places.values())


def _most_alike(readings: Sequence[_Reading], shown: Sequence[str], margin: float) -> int:
    """Return the place of the reading that begins with the most words of ``shown``.

    Only those count that are worse than the first by at most ``margin``.
    """
    if not shown or margin <= 0:
        return 0
    best, most = 0, -1
    for place, (score, last) in enumerate(readings):
        if score < readings[0][0] - margin:
            break
        texts = [word.text for word in last.chain()] if last else []
        alike = next(
            (i for i, (a, b) in enumerate(zip(texts, shown, strict=False)) if a != b),
            min(len(texts), len(shown)),
        )
        if alike > most:
            best, most = place, alike
    return best


def _keeps(last: FoundWord | None, settled: Sequence[str]) -> bool:
    """Return whether the last settled word, whole, stands in its place."""
    while last is not None and last.count > len(settled):
        last = last.before
    return last is None or last.text == settled[-1] if settled else True


def _posteriors(
    words: Sequence[FoundWord], readings: Sequence[_Reading], chosen: int
) -> list[float]:
    """Return for each word the share of the readings, by probability, that have it there.

    The words are those of the reading at ``chosen``, which counts wherever it stands.
    """
    best = readings[0][0]
    compared = [*readings[:COMPARED], *readings[max(chosen, COMPARED) : chosen + 1]]
    places = {id(word): place for place, word in enumerate(words)}
    shares = [0.0] * len(words)
    total = 0.0
    for score, last in compared:
        weight = math.exp(score - best)
        total += weight
        for place in _shared(last, places, words):
            shares[place] += weight
    return [min(1.0, share / total) for share in shares]


def _shared(last: FoundWord | None, places: dict[int, int], words: Sequence[FoundWord]) -> set[int]:
    """Return the places of the words that another reading has too."""
    own: list[FoundWord] = []
    while last is not None and id(last) not in places:
        own.append(last)
        last = last.before
    common = places[id(last)] + 1 if last is not None else 0
    shared = set(range(common))
    for other in own:
        for place in range(common, len(words)):
            word = words[place]
            if word.text == other.text and word.start < other.end and other.start < word.end:
                shared.add(place)
    return shared
