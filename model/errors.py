"""What can go wrong, as one tree.

CaptionerError                  anything this project raises for its user
├── UsageError                  the request itself is wrong (exit code 2)
│   ├── AudioFileError          an audio file that cannot be read
│   ├── BundleError             a model bundle that cannot be used
│   ├── EngineError             an engine that cannot run the network on this machine
│   ├── ManifestError           a manifest with unusable rows
│   ├── MissingPartError        a part of the program that is not installed
│   ├── SettingsError           a configuration with unusable values
│   └── StepError               a training step that cannot be compiled for this machine
├── ExportError                 an exported network that does not do what it should (exit code 1)
└── TrainingError               training could not go on (exit code 1)

``streamer.errors`` adds the errors of capture and output.
Every message names the thing, the rule it broke and the remedy.
"""


class CaptionerError(Exception):
    """Base of every error that is shown to the user without a traceback."""

    exit_code = 1


class UsageError(CaptionerError):
    """The request cannot be carried out as it was given."""

    exit_code = 2


class AudioFileError(UsageError):
    """An audio file is missing, empty, damaged or of no known format."""


class BundleError(UsageError):
    """A model bundle is incomplete, damaged or of another version."""


class EngineError(UsageError):
    """An engine cannot run the network on this machine; the message says what is missing."""


class ManifestError(UsageError):
    """A manifest is missing or has rows that cannot be used."""


class MissingPartError(UsageError):
    """A library that only training needs is not installed."""


class SettingsError(UsageError):
    """A configuration has unknown, duplicate, wrong-typed or out-of-range keys."""


class StepError(UsageError):
    """The training step cannot be compiled, or not for such a training; the message says why."""


class ExportError(CaptionerError):
    """A network in another format gives other outputs than it should; it was not kept."""


class TrainingError(CaptionerError):
    """Training cannot go on; whatever was computed so far has been kept."""
