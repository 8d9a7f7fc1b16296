"""What a client lists: each request to a language model has it, so it is small, and says what each tool does."""

import json
from typing import Any

import pytest

from tests.client.conftest import Place
from tests.custody_mcp.conftest import beside

MAX_TOKENS = 2500
CHARS_PER_TOKEN = 3.5
"""Fewer than any usual tokenizer makes of JSON in English: some four."""
WORKER = ["claim_work", "my_work", "report", "quiet", "finish", "give_up", "hand_over", "ask_human"]
OPERATOR = ["submit", "find", "explain", "act"]

pytestmark = pytest.mark.parametrize(("role", "names"), [("worker", WORKER), ("operator", OPERATOR)])


async def listed(place: Place, role: str) -> tuple[list[dict[str, Any]], int]:
    """The tools, and how many tokens they are with all else that is listed."""
    async with beside(place, "ada", "--role", role) as model:
        tools = (await model.client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)
        templates = (await model.client.list_resource_templates()).model_dump(mode="json", by_alias=True)
        whole = json.dumps([tools, templates, model.client.instructions], separators=(",", ":"))
    return tools["tools"], int(len(whole) / CHARS_PER_TOKEN)


async def test_a_listing_is_small(place: Place, role: str, names: list[str]) -> None:
    tools, tokens = await listed(place, role)
    assert [tool["name"] for tool in tools] == names
    assert tokens < MAX_TOKENS


async def test_each_tool_says_all_four_annotations_and_what_it_returns(
    place: Place, role: str, names: list[str]
) -> None:
    tools, _ = await listed(place, role)
    for tool in tools:
        hints = tool["annotations"]
        assert set(hints) == {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}, tool["name"]
        assert not hints["openWorldHint"]
        assert tool["outputSchema"]["properties"]
        assert tool["description"]
    changing = {tool["name"] for tool in tools if tool["annotations"]["destructiveHint"]}
    assert changing == ({"give_up"} if names == WORKER else {"act"})
    looking = {tool["name"] for tool in tools if tool["annotations"]["readOnlyHint"]}
    assert looking == ({"my_work"} if names == WORKER else {"find", "explain"})
