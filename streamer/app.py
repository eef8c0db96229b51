"""Put the parts together and run them: the only place that names concrete classes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console

from model.audio import open_audio
from model.errors import CaptionerError, UsageError
from model.settings import RangeError, load_settings
from streamer.audio import SAMPLE_RATE, AudioSource
from streamer.caption_stream import CaptionStream
from streamer.decoders import Decoders, Loaded, beside_program, build_decoders
from streamer.detector import AboveNoiseDetector, WebRtcDetector
from streamer.device_list import show_devices
from streamer.events import Event, StreamStarted
from streamer.hotword_file import parse_hotword
from streamer.listening import Listener
from streamer.log import ProgramLog, logged
from streamer.microphone import MicrophoneSource
from streamer.outputs import Outputs, in_background
from streamer.private import check_outputs, keep_in_memory
from streamer.process import steady_memory
from streamer.recognizer import NewSettler, StreamingRecognizer
from streamer.recorder import BlockRecorder
from streamer.replay import WavReplaySource
from streamer.rotation import Every, Keeping, Rotation
from streamer.runner import ThreadedRunner, run_inline
from streamer.screen import abandoned_when_interrupted
from streamer.segmenter import UtteranceSegmenter
from streamer.service import Service
from streamer.settings import DecoderSettings, EngineName, LiveSettings
from streamer.settler import WordSettler
from streamer.signals import called_at_hangup, stopped_by_signals
from streamer.sinks import SinkGroup
from streamer.writers import printable

if TYPE_CHECKING:
    from model.acoustic import AcousticModel
    from model.engines.execution import Execution


@dataclass(frozen=True)
class LiveOptions:
    """The command line of ``run_live.py``; see its ``--help``."""

    device: str | None = None
    wait: bool = False
    list_devices: bool = False
    all: bool = False
    doctor: bool = False
    json: bool = False
    wav: Sequence[Path] = ()
    speed: Literal["real", "max"] = "real"
    format: str | None = None
    output: Sequence[Path] = ()
    record: Path | None = None
    rotate: str | None = None
    log: Path | None = None
    private: bool = False
    web: bool = False
    host: str | None = None
    port: int | None = None
    data: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    new_token: bool = False
    model: Path | None = None
    engine: EngineName | None = None
    language_model: Path | None = None
    no_language_model: bool = False
    hotword: Sequence[str] = ()
    hotwords: Path | None = None
    config: Path | None = None
    overrides: Sequence[str] = ()


def run(options: LiveOptions) -> int:
    """Run the program and return its exit code; errors go to standard error.

    Raises:
        KeyboardInterrupt: At Ctrl-C before anything is heard, or at the second one.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        # No name of a device or a file may end the captions of a terminal that lacks its signs.
        sys.stdout.reconfigure(errors="replace")
    try:
        _check_reports(options)
        steady_memory()
        if options.doctor:
            from streamer.doctor.command import run_doctor

            return run_doctor(options)
        if options.list_devices:
            show_devices(Console(), options.all, options.json)
        elif options.web:
            serve_pages(options)
        else:
            caption(options)
    except CaptionerError as error:
        message = "\n".join(map(printable, str(error).splitlines()))
        print(f"run_live.py: error: {message}", file=sys.stderr)
        return error.exit_code
    return 0


def caption(options: LiveOptions) -> None:
    """Caption the source that ``options`` name, to the end.

    Raises:
        CaptionerError: If the request is wrong, or a stage failed while running.
        KeyboardInterrupt: As :func:`run`.
    """
    for name in ("host", "port", "data", "certificate", "key", "new_token"):
        if getattr(options, name) not in (None, False):
            raise UsageError(f"--{name.replace('_', '-')}: has use with --web only; add --web")
    if options.private:
        check_outputs(options.output, options.record, screen=True)
    settings = settings_of(options)
    source = _source(options, settings)
    outputs = _outputs(options, settings)
    outputs.check()
    private = keep_in_memory() if options.private else ()
    service = Service()
    with ExitStack() as stack:
        stack.enter_context(service.running())
        log = _log(settings, stack)
        stack.enter_context(logged(log, _worth_logging(options, settings)))
        stack.enter_context(source)
        rotation = outputs.rotation()
        recorder = outputs.recorder(rotation, stack)
        acoustic = load_model(settings.model, settings.engine, settings.execution)
        inline = bool(options.wav) and options.speed == "max"
        decoders = decoders_for(settings, acoustic, thrifty=not inline)
        # Only now, so that no file is begun by a start that fails.
        sinks = outputs.sinks(rotation)
        partials = outputs.show_partials(sinks)
        screen = None if inline else in_background(sinks, source.lossless)
        sink = _Audience(SinkGroup(sinks, log), source)
        # Around the closing of the sinks, which may have to wait for who reads them.
        stack.enter_context(stopped_by_signals(service.before(source.stop)))
        stack.callback(sink.close)
        stack.enter_context(abandoned_when_interrupted(screen))
        stream = build_stream(settings, acoustic, recorder, decoders, partials)
        stack.enter_context(_new_files_at_hangup(log, rotation))
        if rotation is not None:
            rotation.watch(lambda: stream.speaking)
        if isinstance(source, MicrophoneSource):
            source.forget()
        watched = stack.enter_context(service.watch(sink))
        watched.emit(StreamStarted(source.name, acoustic.bundle.name), 0.0)
        service.ready(f"captions of {source.name}")
        for notice in (*private, *decoders.notices):
            watched.emit(notice, 0.0)
        if inline:
            run_inline(source, stream, watched)
        else:
            ThreadedRunner(source, stream, watched, settings.audio.ring_s).run()


def serve_pages(options: LiveOptions) -> None:
    """Serve captions to browsers until a signal ends it.

    Raises:
        CaptionerError: If the request is wrong, or the server cannot be started.
        KeyboardInterrupt: At the second signal.
    """
    _check_web_options(options)
    settings = settings_of(options)
    private = keep_in_memory() if options.private else ()
    # Only now: the libraries of the server take long to load.
    from streamer.web.program import WebOptions, serve

    wanted = WebOptions(
        options.certificate,
        options.key,
        options.new_token,
        options.model is not None,
        options.private,
        private,
    )
    with ExitStack() as stack:
        log = _log(settings, stack)
        stack.enter_context(logged(log, _worth_logging(options, settings)))
        stack.enter_context(_new_files_at_hangup(log, None))
        serve(settings, lambda: _source(options, settings), wanted, log)


def _check_reports(options: LiveOptions) -> None:
    """Refuse forms of a report where none is asked for.

    Raises:
        UsageError: If there is such an option.
    """
    if options.json and not (options.doctor or options.list_devices):
        raise UsageError(
            "--json: has use with --doctor or --list-devices only; for captions as JSON give "
            "--format jsonl"
        )
    if options.all and not options.list_devices:
        raise UsageError("--all: has use with --list-devices only; add it")


def settings_of(options: LiveOptions) -> LiveSettings:
    """Return the settings of the configuration with those of the command line in their place.

    Raises:
        SettingsError: If there are problems in the configuration.
        UsageError: If an option cannot be used.
    """
    settings = load_settings(LiveSettings, options.config, options.overrides)
    if options.device is not None:
        settings = replace(settings, audio=replace(settings.audio, device=options.device))
    if options.model is not None:
        settings = replace(settings, model=options.model)
    if options.engine is not None:
        settings = replace(settings, engine=options.engine)
    if options.rotate is not None:
        Every.of(options.rotate, "--rotate")
        settings = replace(settings, rotation=replace(settings.rotation, every=options.rotate))
    if options.log is not None:
        settings = replace(settings, log=replace(settings.log, file=options.log))
    web = {name: getattr(options, name) for name in ("host", "port", "data")}
    given = {name: value for name, value in web.items() if value is not None}
    try:
        settings = replace(settings, web=replace(settings.web, **given))
    except RangeError as error:
        raise UsageError(f"--{error}") from error
    return replace(settings, decoder=_decoder_settings(options, settings.decoder))


def _decoder_settings(options: LiveOptions, settings: DecoderSettings) -> DecoderSettings:
    """Return the settings of the decoder with those of the command line in their place.

    Raises:
        UsageError: If a hotword of the command line is none, or a language model is
            named that the settings do not read with.
    """
    if options.no_language_model:
        settings = replace(settings, language_model=None, unigrams=None)
    if options.language_model is not None:
        if settings.kind == "greedy":
            raise UsageError("--language-model: has no use with decoder.kind greedy; leave one out")
        settings = replace(settings, language_model=options.language_model)
    if options.hotwords is not None:
        settings = replace(settings, hotword_file=options.hotwords)
    for hotword in options.hotword:
        parse_hotword(hotword, settings.hotword_weight)
    return replace(settings, hotwords=(*settings.hotwords, *options.hotword))


def _check_web_options(options: LiveOptions) -> None:
    """Refuse what has no meaning for pages.

    Raises:
        UsageError: If there is such an option.
    """
    for name in ("format", "output", "record", "rotate"):
        if getattr(options, name):
            raise UsageError(f"--{name}: has no use with --web, whose pages keep and download")
    if options.speed == "max":
        raise UsageError("--speed max: has no use with --web; upload the file on its page")
    if (options.certificate is None) != (options.key is None):
        raise UsageError("--certificate, --key: go together; give both")
    _check_source(options)
    for path in options.wav:
        open_audio(path).close()


def _check_source(options: LiveOptions) -> None:
    """Refuse what has to do with microphones where recordings are named.

    Raises:
        UsageError: If there is such an option.
    """
    for name, given in (("device", options.device is not None), ("wait", options.wait)):
        if options.wav and given:
            raise UsageError(f"--{name}: has no use with --wav; leave one out")


def _source(options: LiveOptions, settings: LiveSettings) -> AudioSource:
    _check_source(options)
    if options.wav:
        return WavReplaySource(options.wav, options.speed, settings.audio.block_ms)
    if options.speed == "max":
        raise UsageError("--speed max: needs a recording; name one with --wav FILE")
    return MicrophoneSource(settings.audio.device, settings.audio, wait=options.wait)


def load_model(
    path: Path, engine: str = "auto", execution: Execution | None = None
) -> AcousticModel:
    """Load the bundle; a relative path that is not here is looked up beside the program.

    Raises:
        BundleError: If the bundle cannot be used.
        EngineError: If the engine cannot run on this machine.
        UsageError: If there is no such engine.
    """
    from model.acoustic import AcousticModel

    return AcousticModel.load(beside_program(path), engine, execution)


def decoders_for(
    settings: LiveSettings,
    acoustic: AcousticModel,
    thrifty: bool = False,
    loaded: Loaded | None = None,
) -> Decoders:
    """Return the decoders that ``settings`` ask for; see :func:`build_decoders`."""
    frame_s = acoustic.frame_samples / SAMPLE_RATE
    alphabet = acoustic.bundle.alphabet
    return build_decoders(settings.decoder, alphabet, frame_s, thrifty, loaded=loaded)


def build_stream(
    settings: LiveSettings,
    acoustic: AcousticModel,
    recorder: BlockRecorder | None = None,
    decoders: Decoders | None = None,
    partials: bool = True,
    settler: NewSettler = WordSettler,
) -> CaptionStream:
    """Return a fresh stream with the parts that ``settings`` ask for.

    Args:
        settings: How to caption.
        acoustic: Shared model.
        recorder: Keeps the audio, if given.
        decoders: Of the same settings, not used by another stream at the same time;
            loaded anew if None.
        partials: Whether partials are wanted; they cost most of the computing.
        settler: Gives each utterance what shows and settles its words.
    """
    decoders = decoders or decoders_for(settings, acoustic)
    voice = WebRtcDetector(settings.vad.aggressiveness, settings.vad.frame_ms)
    detector = AboveNoiseDetector(voice, settings.vad.margin_db)
    hop = acoustic.extractor.settings.hop
    recognizer = StreamingRecognizer(
        acoustic,
        decoders.final,
        UtteranceSegmenter(settings.endpoint, hop, settings.partials.every_ms),
        settings.partials,
        settings.endpoint.uncut_s,
        decoders.partial,
        decoders.listeners,
        partials=partials,
        least_confidence=settings.decoder.least_confidence,
        settler=settler,
    )
    listener = Listener(detector, acoustic.extractor)
    return CaptionStream(listener, recognizer, time.perf_counter, recorder)


class _Audience:
    """All sinks; when nobody reads any more, the source is asked to end."""

    def __init__(self, sinks: SinkGroup, source: AudioSource) -> None:
        self._sinks = sinks
        self._source = source

    def emit(self, event: Event, emitted_s: float) -> None:
        self._sinks.emit(event, emitted_s)
        if self._sinks.abandoned:
            self._source.stop()

    def close(self) -> None:
        self._sinks.close()


def _outputs(options: LiveOptions, settings: LiveSettings) -> Outputs:
    every = Every.of(settings.rotation.every) if settings.rotation.every else None
    if options.rotate is not None and not (options.output or options.record):
        raise UsageError("--rotate: has no use without files; add --output or --record")
    return Outputs(
        options.format,
        options.output,
        options.record,
        every,
        Keeping(settings.rotation.keep, settings.rotation.keep_days),
        settings.display.low_confidence,
    )


def _log(settings: LiveSettings, stack: ExitStack) -> ProgramLog | None:
    """Open the program's log, if there is to be one; ``stack`` closes it."""
    if settings.log.file is None:
        return None
    log = ProgramLog(settings.log.file, settings.log.size_mb, settings.log.keep)
    stack.callback(log.close)
    return log


def _worth_logging(options: LiveOptions, settings: LiveSettings) -> dict[str, object]:
    """Return the settings that tell what ran; no hotwords, which are words of the user."""
    return {
        "model": settings.model,
        "engine": settings.engine,
        "decoder": settings.decoder.kind,
        "language model": settings.decoder.language_model,
        "device": repr(settings.audio.device),
        "ring_s": settings.audio.ring_s,
        "web": options.web,
        "outputs": len(options.output),
        "recording": options.record is not None,
        "rotation": settings.rotation.every or "none",
    }


@contextmanager
def _new_files_at_hangup(log: ProgramLog | None, rotation: Rotation | None) -> Iterator[None]:
    """Let SIGHUP open the log anew and begin a new part, where there is either."""

    def call() -> None:
        if log is not None:
            log.reopen()
        if rotation is not None:
            rotation.request()

    if log is None and rotation is None:
        yield
        return
    with called_at_hangup(call):
        yield
