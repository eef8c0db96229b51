"""What can go wrong while capturing and showing, on top of ``model.errors``.

CaptionerError
├── UsageError
│   └── DeviceError             no input device answers to the request
│       ├── DeviceAmbiguous     several input devices answer to the request
│       ├── DeviceBusy          another program holds the device
│       ├── DeviceMissing       no such device is there now
│       ├── FormatRefused       the device does not take this rate or number of channels
│       └── PortAudioMissing    the PortAudio library is not installed
├── OutputError                 captions cannot be written to the place asked for
│   └── ReaderGone              the program that read them has ended
└── StageFailed                 a stage of the pipeline raised; the first one wins
"""

from model.errors import CaptionerError, UsageError


class DeviceError(UsageError):
    """No input device answers to the request; the message lists those there are."""


class DeviceAmbiguous(DeviceError):
    """Several input devices answer to the request; the message lists them."""


class DeviceBusy(DeviceError):
    """Another program holds the device; it may be had once that has ended."""


class DeviceMissing(DeviceError):
    """No such device is there now; it may be plugged in."""


class FormatRefused(DeviceError):
    """The device does not take this rate or number of channels; another one may do."""


class PortAudioMissing(DeviceError):
    """The PortAudio library, which only the microphone needs, is not installed."""


class OutputError(CaptionerError):
    """Captions cannot be written to the place asked for."""


class ReaderGone(OutputError):
    """Captions go to a pipe that nobody reads any more; no failure of ours."""


class StageFailed(CaptionerError):
    """A stage of the pipeline raised an unexpected error; its name is in the message."""
