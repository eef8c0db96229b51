"""What goes wrong with a request, with the status that HTTP has for it (RFC 9110).

CaptionerError
└── WebError                    the request cannot be answered
    ├── BadRequest              400: it is malformed
    ├── Unauthorized            401: the token is missing or wrong
    ├── Forbidden               403: it comes from another site
    │   └── NothingKept         403: the server was started with --private
    ├── NotFound                404: there is no such thing
    ├── NotAcceptable           406: the answer has no form that was asked for
    ├── Conflict                409: it was made for a state that is past
    ├── TooLarge                413: it is larger than the server takes
    ├── Unsupported             415: its body has another type than it should
    ├── Unprocessable           422: it is well formed, and asks for what cannot be
    └── Busy                    503: everything is in use; the client may come again
"""

from __future__ import annotations

from model.errors import CaptionerError

RETRY_AFTER_S = 5
"""Seconds after which a client that was told ``Busy`` may try again."""


class WebError(CaptionerError):
    """A request that cannot be answered; the message is shown to who made it."""

    status = 400


class BadRequest(WebError):
    """The request is malformed."""


class Unauthorized(WebError):
    """The request needs the server's token."""

    status = 401


class Forbidden(WebError):
    """The request comes from another site, or to a name that is not the server's."""

    status = 403


class NothingKept(Forbidden):
    """The server was started with ``--private``, so that nothing can be kept, or was."""

    def __init__(self) -> None:
        super().__init__(
            "this server was started with --private: nothing is kept, and there is no library to "
            "learn from; start it without --private for these"
        )


class NotFound(WebError):
    """There is no such thing."""

    status = 404


class NotAcceptable(WebError):
    """The answer has none of the forms that were asked for."""

    status = 406


class Conflict(WebError):
    """The request was made for a state that is past."""

    status = 409


class TooLarge(WebError):
    """The request is larger than the server takes."""

    status = 413


class Unsupported(WebError):
    """The body has another type than it should."""

    status = 415


class Unprocessable(WebError):
    """The request is well formed and asks for what cannot be."""

    status = 422


class Busy(WebError):
    """Everything is in use."""

    status = 503
