"""Put the parts together and run them: the only place that names concrete classes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.table import Table

from model.audio import open_audio
from model.errors import CaptionerError, UsageError
from model.settings import RangeError, load_settings
from streamer.audio import SAMPLE_RATE, AudioSource
from streamer.caption_stream import CaptionStream
from streamer.decoders import Decoders, Loaded, beside_program, build_decoders
from streamer.detector import AboveNoiseDetector, WebRtcDetector
from streamer.devices import list_devices
from streamer.display import CaptionDisplay, default_sink
from streamer.events import Event, EventSink, StreamStarted
from streamer.files import require_new
from streamer.hotword_file import parse_hotword
from streamer.listening import Listener
from streamer.microphone import MicrophoneSource
from streamer.portaudio import PortAudio
from streamer.recognizer import NewSettler, StreamingRecognizer
from streamer.recorder import AudioRecorder, BlockRecorder
from streamer.replay import WavReplaySource
from streamer.runner import ThreadedRunner, run_inline
from streamer.segmenter import UtteranceSegmenter
from streamer.settings import DecoderSettings, EngineName, LiveSettings
from streamer.settler import WordSettler
from streamer.signals import stopped_by_signals
from streamer.writers import JsonLinesWriter, SinkGroup, file_format, open_sink, printable

if TYPE_CHECKING:
    from model.acoustic import AcousticModel


@dataclass(frozen=True)
class LiveOptions:
    """The command line of ``run_live.py``; see its ``--help``."""

    device: str | None = None
    list_devices: bool = False
    wav: Sequence[Path] = ()
    speed: Literal["real", "max"] = "real"
    format: str | None = None
    output: Sequence[Path] = ()
    record: Path | None = None
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
        if options.list_devices:
            show_devices(Console())
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
    settings = _settings(options)
    source = _source(options, settings)
    _check_outputs(options)
    with ExitStack() as stack:
        stack.enter_context(source)
        recorder = _recorder(options, stack)
        acoustic = load_model(settings.model, settings.engine)
        inline = bool(options.wav) and options.speed == "max"
        decoders = decoders_for(settings, acoustic, thrifty=not inline)
        # Only now, so that no file is begun by a start that fails.
        sinks = _open_sinks(options, settings.display.low_confidence)
        sink = _Audience(SinkGroup(sinks), source)
        stack.callback(sink.close)
        partials = any(isinstance(s, CaptionDisplay | JsonLinesWriter) for s in sinks.values())
        stream = build_stream(settings, acoustic, recorder, decoders, partials)
        stack.enter_context(stopped_by_signals(source.stop))
        if isinstance(source, MicrophoneSource):
            source.forget()
        sink.emit(StreamStarted(source.name, acoustic.bundle.name), 0.0)
        for notice in decoders.notices:
            sink.emit(notice, 0.0)
        if inline:
            run_inline(source, stream, sink)
        else:
            ThreadedRunner(source, stream, sink, settings.audio.ring_s).run()


def serve_pages(options: LiveOptions) -> None:
    """Serve captions to browsers until a signal ends it.

    Raises:
        CaptionerError: If the request is wrong, or the server cannot be started.
        KeyboardInterrupt: At the second signal.
    """
    _check_web_options(options)
    settings = _settings(options)
    # Only now: the libraries of the server take long to load.
    from streamer.web.program import WebOptions, serve

    wanted = WebOptions(
        options.certificate, options.key, options.new_token, options.model is not None
    )
    serve(settings, lambda: _source(options, settings), wanted)


def show_devices(console: Console) -> None:
    """Print the input devices with their rates.

    Raises:
        DeviceError: If there is none, or PortAudio is missing.
    """
    table = Table("", "Index", "Name", "Channels", "Default rate", "Rates it takes", box=None)
    for device in list_devices(PortAudio()):
        table.add_row(
            "*" if device.is_default else "",
            str(device.index),
            device.name,
            str(device.channels),
            f"{device.default_rate:g} Hz",
            ", ".join(f"{rate / 1000:g}" for rate in device.rates) + " kHz",
        )
    console.print(table)
    console.print("* the default; choose another with --device INDEX or part of its NAME")


def _settings(options: LiveOptions) -> LiveSettings:
    settings = load_settings(LiveSettings, options.config, options.overrides)
    if options.device is not None:
        settings = replace(settings, audio=replace(settings.audio, device=options.device))
    if options.model is not None:
        settings = replace(settings, model=options.model)
    if options.engine is not None:
        settings = replace(settings, engine=options.engine)
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
    for name in ("format", "output", "record"):
        if getattr(options, name):
            raise UsageError(f"--{name}: has no use with --web, whose pages keep and download")
    if options.speed == "max":
        raise UsageError("--speed max: has no use with --web; upload the file on its page")
    if (options.certificate is None) != (options.key is None):
        raise UsageError("--certificate, --key: go together; give both")
    for path in options.wav:
        open_audio(path).close()


def _source(options: LiveOptions, settings: LiveSettings) -> AudioSource:
    if options.wav and options.device is not None:
        raise UsageError("--device: has no use with --wav; leave one out")
    if options.wav:
        return WavReplaySource(options.wav, options.speed, settings.audio.block_ms)
    if options.speed == "max":
        raise UsageError("--speed max: needs a recording; name one with --wav FILE")
    return MicrophoneSource(settings.audio.device, settings.audio)


def load_model(path: Path, engine: str = "auto") -> AcousticModel:
    """Load the bundle; a relative path that is not here is looked up beside the program.

    Raises:
        BundleError: If the bundle cannot be used.
        UsageError: If there is no such engine.
    """
    from model.acoustic import AcousticModel

    return AcousticModel.load(beside_program(path), engine)


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


def _check_outputs(options: LiveOptions) -> None:
    """Refuse what is seen before anything is opened.

    Raises:
        UsageError: If a file has no known ending, no folder, or holds something
            already, or if two outputs are one file, by whatever names.
    """
    for path in options.output:
        file_format(path)
        require_new(path)
    files = [*options.output, *([options.record] if options.record else [])]
    places = [os.path.realpath(path) for path in files]
    for path, place in zip(files, places, strict=True):
        if places.count(place) > 1:
            raise UsageError(f"{path}: is to be written twice; leave one out")


def _open_sinks(options: LiveOptions, low_confidence: float) -> dict[str, EventSink]:
    """Open every sink that was asked for; a failure of one leaves no other open."""
    with ExitStack() as opened:
        sinks: dict[str, EventSink] = {"standard output": _screen(options.format, low_confidence)}
        opened.callback(sinks["standard output"].close)
        for path in options.output:
            sinks[str(path)] = open_sink(path)
            opened.callback(sinks[str(path)].close)
        opened.pop_all()
    return sinks


def _screen(format: str | None, low_confidence: float) -> EventSink:
    console = Console()
    if format == "captions":
        return CaptionDisplay(console, low_confidence=low_confidence)
    name = "txt" if format == "plain" else format
    return default_sink(console, name, low_confidence=low_confidence)


def _recorder(options: LiveOptions, stack: ExitStack) -> AudioRecorder | None:
    if options.record is None:
        return None
    recorder = AudioRecorder(options.record)
    stack.callback(recorder.close)
    return recorder
