"""The configuration of ``run_live.py``; read with :func:`model.settings.load_settings`.

What belongs to the model (features, alphabet, sample rate) is not here: it is
read from the model bundle, so that a configuration cannot disagree with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from model.engines.execution import Execution
from model.errors import UsageError
from model.settings import Rule, above, at_least, between, check
from streamer.rotation import Every

EngineName = Literal["auto", "onnx", "cuda", "tensorrt", "tensorflow", "litert"]
"""See :mod:`model.engines.engine`."""

SHIPPED_LANGUAGE_MODEL = Path("models/language")
"""Folder of the language model that comes with the program."""


def _or_null(rule: Rule) -> Rule:
    """Return the rule for fields that may be left to something else."""
    return Rule(rule.text, rule.names, lambda value: value is None or rule.holds(value))


@dataclass(frozen=True)
class AudioSettings:
    """How audio is captured.

    Attributes:
        device: Index of the input device or a part of its name; empty for the default.
        block_ms: Length of the blocks asked of the device, milliseconds.
        ring_s: Seconds of audio kept while recognition is slow; more is lost, and said so.
        reopen_every_s: Seconds before a device that went away is looked for; twice that each
            time, up to 10, while nothing is plugged in, at once when something is.

    Raises:
        RangeError: If a value is out of its range.
    """

    device: str = ""
    block_ms: int = 32
    ring_s: float = 10.0
    reopen_every_s: float = 1.0

    def __post_init__(self) -> None:
        check(
            self,
            between(10, 500, "block_ms"),
            between(1, 120, "ring_s"),
            between(0.1, 60, "reopen_every_s"),
        )


@dataclass(frozen=True)
class VadSettings:
    """How speech is told from other sound (voice activity detection).

    Attributes:
        aggressiveness: How readily WebRTC's detector calls a frame noise, 0 to 3.
        frame_ms: Length of the frames that it judges, milliseconds.
        margin_db: How far speech must stand out of noise that goes on, dB.

    Raises:
        RangeError: If a value is out of its range.
    """

    aggressiveness: int = 2
    frame_ms: Literal[10, 20, 30] = 20
    margin_db: float = 4.0

    def __post_init__(self) -> None:
        check(self, between(0, 3, "aggressiveness"), between(0, 30, "margin_db"))


@dataclass(frozen=True)
class EndpointSettings:
    """How utterances start and end; see :class:`~streamer.segmenter.UtteranceSegmenter`.

    A pause is where neither voice activity nor the network finds speech.

    Attributes:
        pre_roll_ms: Audio before the first speech that is kept, milliseconds.
        minimum_speech_ms: Speech that starts an utterance, milliseconds; less is noise.
        finished_ms: Pause that ends a finished sentence, milliseconds.
        sentence_end: Probability by the language model from which on a sentence counts
            as finished.
        pause_ms: Pause that ends any utterance, milliseconds.
        held_ms: Rest of voice activity that ends an utterance even if the network hears
            letters in it, milliseconds.
        blanks_ms: Time without a letter that ends an utterance though voice activity does
            not rest, as in noise, milliseconds.
        nothing_ms: The same where there has been no letter yet, milliseconds.
        longest_s: Longest utterance, seconds; a longer one is cut in two.
        cut_search_s: How far back from there the best place for the cut is looked for,
            seconds.

    Raises:
        RangeError: If a value is out of its range.
    """

    pre_roll_ms: int = 300
    minimum_speech_ms: int = 150
    finished_ms: int = 500
    sentence_end: float = 0.1
    pause_ms: int = 800
    held_ms: int = 1800
    blanks_ms: int = 1200
    nothing_ms: int = 2000
    longest_s: float = 20.0
    cut_search_s: float = 3.0

    def __post_init__(self) -> None:
        check(
            self,
            between(0, 2000, "pre_roll_ms", "minimum_speech_ms"),
            between(100, 10_000, "finished_ms", "pause_ms", "held_ms", "blanks_ms", "nothing_ms"),
            Rule("must be at most pause_ms", ("finished_ms",), lambda ms: ms <= self.pause_ms),
            Rule("must be at most held_ms", ("pause_ms",), lambda ms: ms <= self.held_ms),
            between(0, 1, "sentence_end"),
            between(2, 60, "longest_s"),
            above(0, "cut_search_s"),
            Rule("must be below longest_s", ("cut_search_s",), lambda s: s < self.longest_s),
        )

    @property
    def uncut_s(self) -> float:
        """Seconds from an utterance's start that no cut takes from it."""
        return self.longest_s - self.cut_search_s


@dataclass(frozen=True)
class PartialSettings:
    """How often captions of an utterance that goes on are renewed, and when words settle.

    Attributes:
        every_ms: Audio from one partial to the next, milliseconds; more under load.
        settle_after: Partials in a row that must agree on a word to settle it.
        stability: How likely a word must be to stay before it is shown, 0 to 1; less
            shows words sooner, and changes more of them again.
        stickiness: How much worse a reading may be that keeps what was read before,
            in natural logarithms.
        settle_lag_ms: How far before the newest audio a word must end to settle,
            milliseconds.
        settle_confidence: How sure the decoder must be of it, 0 to 1.
        settle_late_ms: How far before the newest audio a word must end to settle without
            that, milliseconds.
        freeze_every_ms: Audio that is frozen at a time: no later partial reads it again,
            milliseconds.
        freeze_after_ms: Audio that must follow on it before, milliseconds; less makes
            partials cheaper and less careful.

    Raises:
        RangeError: If a value is out of its range.
    """

    every_ms: int = 200
    settle_after: int = 3
    stability: float = 0.78
    stickiness: float = 1.0
    settle_lag_ms: int = 600
    settle_confidence: float = 0.5
    settle_late_ms: int = 1100
    freeze_every_ms: int = 1000
    freeze_after_ms: int = 1200

    def __post_init__(self) -> None:
        check(
            self,
            between(50, 5000, "every_ms"),
            between(1, 20, "settle_after"),
            between(0, 1, "stability", "settle_confidence"),
            between(0, 100, "stickiness"),
            between(0, 10_000, "settle_lag_ms", "settle_late_ms"),
            between(100, 10_000, "freeze_every_ms"),
            between(0, 10_000, "freeze_after_ms"),
        )


@dataclass(frozen=True)
class DecoderSettings:
    """How the network's output becomes text.

    What is None is taken as it was tuned for the language model.

    Attributes:
        kind: ``greedy`` takes the best symbol of each frame, ``beam`` searches with
            the language model, ``reference`` does so with pyctcdecode; ``auto`` is
            ``beam`` where there is a language model.
        language_model: Folder of a language model, or a KenLM ARPA or binary file.
        unigrams: Words of such a file, one a line; needed with a binary file to tell
            words that it knows.
        beam_width: Hypotheses kept at every frame.
        partial_beam_width: The same for partials, if that is less.
        alpha: Weight of the language model, in natural logarithms.
        beta: Bonus for each word, in natural logarithms.
        beam_threshold: How much worse than the best one a hypothesis may be, in natural
            logarithms.
        symbol_threshold: Symbols less probable than the exponential of minus this are
            not tried.
        unknown_penalty: Cost of a word that the language model does not know, in
            natural logarithms.
        least_confidence: An utterance whose words have a lower confidence on average is
            left out, 0 to 1: noise that was taken for speech.
        hotwords: Words and phrases that are to be preferred, such as names, each
            ``WORD`` or ``WORD:WEIGHT``.
        hotword_weight: Bonus for each without its own, in natural logarithms.
        hotword_file: File of more of them, one a line, read again when it changes.

    Raises:
        RangeError: If a value is out of its range.
    """

    kind: Literal["auto", "greedy", "beam", "reference"] = "auto"
    language_model: Path | None = SHIPPED_LANGUAGE_MODEL
    unigrams: Path | None = None
    beam_width: int | None = None
    partial_beam_width: int = 32
    alpha: float | None = None
    beta: float | None = None
    beam_threshold: float | None = None
    symbol_threshold: float | None = None
    unknown_penalty: float | None = None
    least_confidence: float = 0.2
    hotwords: tuple[str, ...] = ()
    hotword_weight: float = 8.0
    hotword_file: Path | None = None

    def __post_init__(self) -> None:
        check(
            self,
            Rule(
                "needs language_model to be given too",
                ("unigrams",),
                lambda path: path is None or self.language_model is not None,
            ),
            _or_null(between(1, 1000, "beam_width")),
            between(1, 1000, "partial_beam_width"),
            between(0, 1, "least_confidence"),
            _or_null(between(0, 10, "alpha")),
            _or_null(between(-10, 10, "beta")),
            _or_null(above(0, "beam_threshold", "symbol_threshold")),
            _or_null(at_least(0, "unknown_penalty")),
            Rule("must not hold blank words", ("hotwords",), lambda ws: all(w.strip() for w in ws)),
            between(0, 100, "hotword_weight"),
        )


@dataclass(frozen=True)
class DisplaySettings:
    """How captions look on a terminal.

    Attributes:
        low_confidence: Words of a finished caption below it are underlined.

    Raises:
        RangeError: If a value is out of its range.
    """

    low_confidence: float = 0.5

    def __post_init__(self) -> None:
        check(self, between(0, 1, "low_confidence"))


def _is_rotation(text: str) -> bool:
    try:
        return not text or bool(Every.of(text))
    except UsageError:
        return False


@dataclass(frozen=True)
class RotationSettings:
    """How the files of long runs are cut into parts; see :mod:`streamer.rotation`.

    Attributes:
        every: ``day``, ``hour``, or a size such as ``100MB``; empty for never.
        keep: Most files of each output that stay; 0 for all.
        keep_days: Age at which files are deleted, days; 0 for never.

    Raises:
        RangeError: If a value is out of its range.
    """

    every: str = ""
    keep: int = 0
    keep_days: int = 0

    def __post_init__(self) -> None:
        check(
            self,
            Rule("must be day, hour, a size such as 100MB, or empty", ("every",), _is_rotation),
            between(0, 100_000, "keep", "keep_days"),
        )


@dataclass(frozen=True)
class LogSettings:
    """The program's own log; see :mod:`streamer.log`.

    Attributes:
        file: Where it goes; None for nowhere.
        size_mb: Size at which a new file is begun, megabytes.
        keep: Older files that stay.

    Raises:
        RangeError: If a value is out of its range.
    """

    file: Path | None = None
    size_mb: float = 10.0
    keep: int = 5

    def __post_init__(self) -> None:
        check(self, between(0.01, 10_000, "size_mb"), between(1, 1000, "keep"))


@dataclass(frozen=True)
class WebSettings:
    """How captions are served to browsers; see :mod:`streamer.web`.

    Attributes:
        host: Name or address to listen on; any but this machine's own needs the token.
        port: TCP port to listen on; 0 takes a free one.
        names: Names, other than ``host``, that browsers may call the server by, as
            behind a proxy; with any, the token is needed.
        data: Folder of the recordings that users keep; None for ``live-captioner`` in
            ``$XDG_DATA_HOME``, or else in ``~/.local/share``.
        database: URL of their database, as SQLAlchemy takes it; empty for SQLite in
            ``data``.
        sessions: Recordings and streams transcribed at once; 0 for what the machine's
            cores are good for.
        viewers: Browsers that may watch the live captions at once.
        upload_mb: Largest file that is taken, megabytes.
        longest_s: Longest file or stream that is transcribed, seconds.
        remembered_s: Audio of a stream that is held in memory, so that it can still be
            kept, seconds.
        history: Live captions remembered for those who come late.

    Raises:
        RangeError: If a value is out of its range.
    """

    host: str = "127.0.0.1"
    port: int = 5000
    names: tuple[str, ...] = ()
    data: Path | None = None
    database: str = ""
    sessions: int = 0
    viewers: int = 200
    upload_mb: int = 200
    longest_s: float = 14_400.0
    remembered_s: float = 1200.0
    history: int = 2000

    def __post_init__(self) -> None:
        check(
            self,
            Rule("must not be empty", ("host",), lambda host: bool(host.strip())),
            between(0, 65_535, "port"),
            between(0, 100, "sessions"),
            between(1, 500, "viewers"),
            between(1, 4000, "upload_mb"),
            between(1, 86_400, "longest_s"),
            between(0, 7200, "remembered_s"),
            between(10, 100_000, "history"),
        )


@dataclass(frozen=True)
class LearningSettings:
    """How a model learns from corrected recordings; see :mod:`streamer.web.learning`.

    Attributes:
        recipe: YAML recipe of the training; None for the gentle one of
            ``configs/finetune.yaml``.
        base: Manifests of other speech that each pass draws some of, so that the model
            forgets less.
        test: Manifest of the recordings that every model is judged by besides the
            user's own; never learned from.
        minutes: Most minutes of training that may be asked for.
        patience: Passes in a row without a lower error rate after which a training ends
            early; 0 for never.
        share: Of the trained weights in the model that is made; the rest are those of the
            model before, so that it forgets less.  1 takes the trained ones as they are.
        backend: Library that Keras computes with.
        niceness: How far the training stands back behind other programs, 0 to 19.

    Raises:
        RangeError: If a value is out of its range.
    """

    recipe: Path | None = None
    base: tuple[Path, ...] = ()
    test: Path = Path("tests/data/speech/manifest.jsonl")
    minutes: float = 240.0
    patience: int = 12
    share: float = 0.5
    backend: Literal["jax", "tensorflow"] = "jax"
    niceness: int = 15

    def __post_init__(self) -> None:
        check(
            self,
            above(0, "minutes"),
            at_least(0, "patience"),
            above(0, "share"),
            between(0, 1, "share"),
            between(0, 19, "niceness"),
        )


@dataclass(frozen=True)
class LiveSettings:
    """Everything that can be set of the live captioner.

    Attributes:
        model: Folder of the model bundle.
        engine: What runs its network; auto is the fastest.
        execution: How an engine on a GPU runs.
        audio: How audio is captured.
        vad: How speech is told from other sound.
        endpoint: How utterances start and end.
        partials: How captions of an utterance that goes on are renewed.
        decoder: How the network's output becomes text.
        display: How captions look on a terminal.
        rotation: How the files of long runs are cut into parts.
        log: The program's own log.
        web: How captions are served to browsers.
        learning: How a model learns from corrected recordings.
    """

    model: Path = Path("models/default")
    engine: EngineName = "auto"
    execution: Execution = field(default_factory=Execution)
    audio: AudioSettings = AudioSettings()
    vad: VadSettings = VadSettings()
    endpoint: EndpointSettings = EndpointSettings()
    partials: PartialSettings = PartialSettings()
    decoder: DecoderSettings = DecoderSettings()
    display: DisplaySettings = DisplaySettings()
    rotation: RotationSettings = RotationSettings()
    log: LogSettings = LogSettings()
    web: WebSettings = WebSettings()
    learning: LearningSettings = LearningSettings()
