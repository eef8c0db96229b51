"""Where words lie in the log-probabilities of an utterance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from model.alphabet import Alphabet

SPACE = " "


def align_beginning(
    log_probs: np.ndarray, words: Sequence[str], alphabet: Alphabet
) -> list[tuple[int, int]]:
    """Return where an utterance's first words lie, whatever comes after them.

    The best path of CTC (Graves et al., 2006) through the words' symbols, behind which
    each frame takes its best symbol.

    Args:
        log_probs: float32 (frames, symbols), all finite.
        words: The first words.
        alphabet: Symbols of the network.

    Returns:
        For each word its first frame and the frame after its last one; words for which
        no frames are left are empty, at the end, and the last of the others may be cut.
    """
    text = SPACE.join(words)
    labels = alphabet.encode(text)
    frames, states = len(log_probs), 2 * len(labels) + 2
    # States are blank, symbol, blank, ..., symbol, blank, and at last: anything.
    emitted = np.zeros(states - 1, int)
    emitted[1::2] = labels
    skips = np.zeros(states, bool)
    skips[3:-1:2] = emitted[3::2] != emitted[1:-2:2]
    skips[-1] = True
    score = np.full(states, -np.inf)
    score[0] = 0.0
    came = np.zeros((frames, states), np.int8)
    for frame in range(frames):
        row = log_probs[frame]
        choices = np.stack([score, np.roll(score, 1), np.where(skips, np.roll(score, 2), -np.inf)])
        choices[1, 0] = choices[2, :2] = -np.inf
        came[frame] = choices.argmax(axis=0)
        score = choices.max(axis=0) + np.append(row[emitted], row.max())
    path = _path(came, _last(score))
    return [_span(path, places, frames) for places in _places(words)]


def _last(score: np.ndarray) -> int:
    """Return the state to end in: behind the words' last symbol, or as far as frames allow."""
    ends = score[-3:]
    if np.isfinite(ends).any():
        return len(score) - 1 - int(ends[::-1].argmax())
    return int(np.flatnonzero(np.isfinite(score))[-1])


def _path(came: np.ndarray, last: int) -> np.ndarray:
    """Return the state of each frame on the best path that ends in the state ``last``."""
    path = np.zeros(len(came), int)
    for frame in range(len(came) - 1, -1, -1):
        path[frame] = last
        last -= int(came[frame, last])
    return path


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
