"""What can go wrong with a language model, on top of ``model.errors``.

CaptionerError
└── UsageError
    └── LanguageModelError      a language model that cannot be used
"""

from model.errors import UsageError


class LanguageModelError(UsageError):
    """A language model is missing, damaged or of no known format."""
