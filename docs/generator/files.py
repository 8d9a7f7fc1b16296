"""Every generated file, with its text."""

from docs.generator.asyncapi.document import asyncapi_yaml, document
from docs.generator.asyncapi.page import asyncapi_page
from docs.generator.commands import commands_page
from docs.generator.events import events_page
from docs.generator.leases import leases_page
from docs.generator.lifecycles import lifecycles_page
from docs.generator.schemas import schema_files
from docs.generator.settings import settings_page
from docs.generator.tables import tables_page


def generated() -> dict[str, str]:
    """Return every generated file: path below `docs/` -> text."""
    contract = document()
    return {
        "events.md": events_page(),
        "lifecycles.md": lifecycles_page(),
        "leases.md": leases_page(),
        "commands.md": commands_page(),
        "settings.md": settings_page(),
        "tables.md": tables_page(),
        "asyncapi.yaml": asyncapi_yaml(contract),
        "asyncapi.html": asyncapi_page(contract),
        **schema_files(),
    }
