"""docs/asyncapi.html: the document as a page that needs no network, also from a file."""

from __future__ import annotations

import base64
import hashlib
from typing import Any, Final

from docs.generator.asyncapi.document import dumped

_SCRIPT: Final = """
AsyncApiStandalone.render(
  {
    schema: document.getElementById("document").textContent,
    config: {
      show: { sidebar: true, schemas: false },
      sidebar: { showOperations: "byOperationsTags" },
      replyLabel: "REQUEST",
      sendLabel: "EVENTS",
    },
  },
  document.getElementById("page"),
);
"""
_PAGE: Final = """\
<!doctype html>
<!-- Made by `python -m docs.generate`. -->
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Custody: the wire contract</title>
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="stylesheet" href="vendor/asyncapi-react/default.min.css">
</head>
<body>
<div id="page">The wire contract of Custody, from <a href="asyncapi.yaml">asyncapi.yaml</a>. Your browser is laying it
out, which takes some seconds. It needs JavaScript.</div>
<script type="application/yaml" id="document">
{document}</script>
<script src="vendor/asyncapi-react/index.js"></script>
<script>{script}</script>
</body>
</html>
"""


def asyncapi_page(document: dict[str, Any]) -> str:
    """Return the page of a document; raises ValueError if the document would end its own script element."""
    embedded = dumped(_abridged(document))
    if "</script" in embedded.lower() or "<!--" in embedded:
        msg = "the document must not look like markup"
        raise ValueError(msg)
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    # The bundle's validator makes functions of schemas at run time, so it needs `unsafe-eval`. It may ask for nothing.
    policy = (
        f"default-src 'none'; script-src 'self' 'unsafe-eval' 'sha256-{digest}'; style-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )
    return _PAGE.format(policy=policy, document=embedded, script=_SCRIPT)


def _abridged(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with each message in one place: the bundle lays out a message wherever it can be reached.

    It shows all messages of the channel of replies below each request. With these, with the errors and with the events
    of both the log and the feed, that takes half a minute. So each request has a channel of its own for its replies,
    its errors are named in its description, and only the feed lists the events.
    """
    named: dict[str, Any] = document["components"]["messages"]
    channels = {
        name: channel
        | {"messages": {} if name.startswith("log.") else {each: named[each] for each in channel["messages"]}}
        for name, channel in document["channels"].items()
        if name != "reply"
    }
    operations = {}
    for name, operation in document["operations"].items():
        if "reply" in operation:
            answers = [each["$ref"].rpartition("/")[2] for each in operation["reply"]["messages"]]
            results = [each for each in answers if not each.startswith("error.")]
            channels[f"{name}.reply"] = {"address": None, "messages": {each: named[each] for each in results}}
            operations[name] = operation | {
                "description": _with_errors(operation.get("description", ""), answers[len(results) :]),
                "reply": {
                    "channel": {"$ref": f"#/channels/{name}.reply"},
                    "messages": [{"$ref": f"#/channels/{name}.reply/messages/{each}"} for each in results],
                },
            }
        elif name.startswith("log."):
            said = f"{operation['description']} Its messages are those of the feed."
            operations[name] = operation | {"messages": [], "description": said}
        else:
            operations[name] = operation
    errors = {name: message for name, message in named.items() if name.startswith("error.")}
    components = document["components"] | {"messages": errors}
    return document | {"channels": channels, "operations": operations, "components": components}


def _with_errors(description: str, errors: list[str]) -> str:
    codes = ", ".join(f"`{each.removeprefix('error.')}`" for each in errors)
    return f"{description}\n\nErrors: {codes}.".strip()
