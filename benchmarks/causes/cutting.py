"""What the live path loses by cutting speech into utterances, and by reading them as they grow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.causes.cases import Case
from benchmarks.causes.groups import OVERALL, Figures
from benchmarks.causes.sections import Section
from benchmarks.live.judging import Offline
from benchmarks.live.playing import Player
from benchmarks.live.tapes import single_tape
from model.acoustic import AcousticModel
from model.evaluation.rates import error_rates
from streamer.audio import SAMPLE_RATE
from streamer.events import FinalTranscript
from streamer.settings import LiveSettings


@dataclass(frozen=True)
class Cut:
    """What the live path made of a recording.

    Attributes:
        case: The recording, with its reading as a whole.
        pieces: Utterances that it was cut into.
        cut: Their readings, each as a whole.
        live: The finals.
    """

    case: Case
    pieces: int
    cut: str
    live: str


class Cutter:
    """Plays recordings through the live path.

    Args:
        settings: Of the live path.
        acoustic: Shared model.
    """

    def __init__(self, settings: LiveSettings, acoustic: AcousticModel) -> None:
        self._player = Player(settings, acoustic, "max")
        self._offline = Offline(acoustic, self._player.decoders.final)

    def cut(self, case: Case) -> Cut:
        """Play a recording, and read the pieces that it was cut into."""
        tape = single_tape(case.row, None, Path())
        events = [told.event for told in self._player.play(tape).told]
        finals = [event for event in events if isinstance(event, FinalTranscript)]
        pieces = [
            tape.samples[round(one.start_s * SAMPLE_RATE) : round(one.end_s * SAMPLE_RATE)]
            for one in finals
        ]
        texts = [self._offline.text(piece) for piece in pieces]
        return Cut(case, len(pieces), _joined(texts), _joined([one.text for one in finals]))

    def cut_all(self, cases: Sequence[Case], progress: Callable[[int], None]) -> list[Cut]:
        """Play recordings one by one."""
        found = []
        for done, case in enumerate(cases, 1):
            found.append(self.cut(case))
            progress(done)
        return found


def _joined(texts: Sequence[str]) -> str:
    return " ".join(" ".join(texts).split())


def cutting(cuts: Sequence[Cut]) -> Section:
    """Return the errors of recordings as wholes, in the pieces of the live path, and live."""
    rows: dict[str, Figures] = {}
    for corpus in [*dict.fromkeys(one.case.row.corpus for one in cuts), OVERALL]:
        own = [one for one in cuts if corpus in (OVERALL, one.case.row.corpus)]
        said = [one.case.row.text for one in own]
        whole = error_rates(said, [one.case.text for one in own])
        rows[corpus] = {
            "recordings": len(own),
            "words": whole.words,
            "pieces": sum(one.pieces for one in own),
            "wer": whole.wer,
            "cut_wer": error_rates(said, [one.cut for one in own]).wer,
            "live_wer": error_rates(said, [one.live for one in own]).wer,
        }
    return Section(
        "Whole, cut, and live",
        "On the sample. Each recording as a whole; each piece that the live path cuts out of it, "
        "read as a whole; and the live path's own finals, of which settled words are a part and "
        "unsure utterances are not.",
        rows,
    )
