"""What pydantic says of a value, in the words of a command line; typer lets it read numbers, too."""

import re

from domain.json_values import plain_message

_KIND = re.compile(r"^(?:Input|String|List|Dictionary|Number) (?=should )")
_WORDS = (
    (re.compile(r"be a valid integer\b.*"), "be a whole number"),
    (re.compile(r"be a valid (number|boolean|string|list|dictionary)\b.*"), r"be a \1"),
    (re.compile(r"^Extra inputs are not permitted$"), "there is no such field"),
    (re.compile(r"^Field required$"), "is needed"),
)


def plain_refusal(message: str) -> str:
    """Return why pydantic refuses a value, as people say it."""
    message = _KIND.sub("", plain_message(message))
    for pattern, words in _WORDS:
        message = pattern.sub(words, message)
    return message
