"""Where words lie in the log-probabilities of an utterance, by the best path of CTC.

Graves et al., Connectionist temporal classification: labelling unsegmented sequence data
with recurrent neural networks (2006): a text is spelled by every path that goes through
its symbols in order, each for one frame or more, with blanks between them where it likes
and where it must, between equal symbols.  The likeliest of these paths tells where each
symbol lies.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.alphabet import Alphabet

SPACE = " "


def align_whole(
    log_probs: np.ndarray, words: Sequence[str], alphabet: Alphabet
) -> list[tuple[int, int]]:
    """Return where the words of an utterance lie that says them and nothing else.

    Args:
        log_probs: float32 (frames, symbols), all finite.
        words: All words of the utterance.
        alphabet: Symbols of the network.

    Returns:
        For each word its first frame and the frame after its last one; words for which
        no frames are left are empty, at the end, and the last of the others may be cut.
    """
    emitted, skips = _symbol_states(words, alphabet)
    path = _best_path(log_probs[:, emitted], skips)
    return [_span(path, places, len(log_probs)) for places in _places(words)]


def align_beginning(
    log_probs: np.ndarray, words: Sequence[str], alphabet: Alphabet
) -> list[tuple[int, int]]:
    """Return where an utterance's first words lie, whatever comes after them.

    Behind the words' symbols each frame takes its best symbol.

    Args:
        log_probs: float32 (frames, symbols), all finite.
        words: The first words.
        alphabet: Symbols of the network.

    Returns:
        As :func:`align_whole`.
    """
    emitted, skips = _symbol_states(words, alphabet)
    anything = log_probs.max(axis=1, keepdims=True)
    scores = np.concatenate([log_probs[:, emitted], anything], axis=1)
    path = _best_path(scores, np.append(skips, True))
    return [_span(path, places, len(log_probs)) for places in _places(words)]


def _symbol_states(words: Sequence[str], alphabet: Alphabet) -> tuple[np.ndarray, np.ndarray]:
    """Return the states that a path goes through: blank, symbol, blank, ..., symbol, blank.

    Returns:
        int (states,), the label of each; bool (states,), whether a path may come to it
        from the state before the last one.
    """
    labels = alphabet.encode(SPACE.join(words))
    emitted = np.zeros(2 * len(labels) + 1, int)
    emitted[1::2] = labels
    skips = np.zeros(len(emitted), bool)
    skips[3::2] = emitted[3::2] != emitted[1:-2:2]
    return emitted, skips


def _best_path(scores: np.ndarray, skips: np.ndarray) -> np.ndarray:
    """Return the state of each frame on the best path from the first state to an end.

    Args:
        scores: (frames, states) of being in a state at a frame.
        skips: bool (states,) as :func:`_symbol_states` gives it.
    """
    frames, states = scores.shape
    total = np.full(states, -np.inf)
    total[0] = 0.0
    came = np.zeros((frames, states), np.int8)
    for frame in range(frames):
        choices = np.stack([total, np.roll(total, 1), np.where(skips, np.roll(total, 2), -np.inf)])
        choices[1, 0] = choices[2, :2] = -np.inf
        came[frame] = choices.argmax(axis=0)
        total = choices.max(axis=0) + scores[frame]
    last, path = _last(total, 3 if skips[-1] else 2), np.zeros(frames, int)
    for frame in range(frames - 1, -1, -1):
        path[frame] = last
        last -= int(came[frame, last])
    return path


def _last(total: np.ndarray, ends: int) -> int:
    """Return the best of the last ``ends`` states, or the furthest that frames allow."""
    ending = total[-ends:]
    if np.isfinite(ending).any():
        return len(total) - 1 - int(ending[::-1].argmax())
    return int(np.flatnonzero(np.isfinite(total))[-1])


def _places(words: Sequence[str]) -> list[range]:
    """Return the states of each word's symbols and of the blanks between them."""
    places, first = [], 1
    for word in words:
        places.append(range(first, first + 2 * len(word) - 1))
        first += 2 * (len(word) + 1)
    return places


def _span(path: np.ndarray, states: range, frames: int) -> tuple[int, int]:
    inside = np.flatnonzero((path >= states.start) & (path < states.stop))
    return (int(inside[0]), int(inside[-1]) + 1) if len(inside) else (frames, frames)
