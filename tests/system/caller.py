"""A client of the wire contract that shares none of its code with the project: subjects, JSON, headers as written."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from nats.aio.client import Client

from infra.nats.cancellation import await_cancellable
from tests.support.reply_models import misfit

NUMBERS = {
    "invalid_command": 400,
    "command_conflict": 409,
    "unknown_agent": 404,
    "stale_session": 409,
    "unknown_task": 404,
    "task_exists": 409,
    "task_finished": 409,
    "stale_token": 409,
    "not_holder": 403,
    "illegal_transition": 409,
    "paused": 503,
    "at_capacity": 409,
    "overloaded": 503,
    "not_writer": 503,
    "unavailable": 503,
}
"""The contract's errors and their numbers."""

Body = Mapping[str, Any] | bytes | None


class Reply(NamedTuple):
    """A reply as it came."""

    body: dict[str, Any]
    headers: Mapping[str, str]

    @property
    def ok(self) -> bool:
        return bool(self.body["ok"])

    @property
    def position(self) -> int:
        position: int = self.body["position"]
        return position

    @property
    def events(self) -> list[str]:
        """The events' names, such as `task.leased`; their form is checked on the way."""
        names = []
        for event in self.body["events"]:
            assert event.keys() == {"type", "position"}
            prefix, entity, name, version = event["type"].split(".")
            assert (prefix, version) == ("custody", "v1")
            names.append(f"{entity}.{name}")
        return names

    @property
    def result(self) -> Any:
        return self.body["result"]

    @property
    def code(self) -> str:
        return str(self.body["error"]["code"])

    @property
    def message(self) -> str:
        return str(self.body["error"]["message"])

    @property
    def details(self) -> Any:
        return self.body["error"]["details"]

    @property
    def fields(self) -> set[str]:
        """The fields that an `invalid_command` names."""
        return {each["field"] for each in self.details["fields"]}


class Caller:
    """Asks one pool. `ask` takes any reply that has the contract's form; `done` and `refused` say which one."""

    def __init__(self, nc: Client, pool: str) -> None:
        self.nc = nc
        self.pool = pool

    async def ask(
        self, tail: str, body: Body = None, *, actor: str | None = None, patience_s: float = 15.0, **fields: Any
    ) -> Reply:
        payload = body if isinstance(body, bytes) else json.dumps({**(body or {}), **fields}).encode()
        headers = {"Custody-Actor": actor} if actor is not None else None
        request = self.nc.request(f"custody.{self.pool}.{tail}", payload, patience_s, headers=headers)
        message = await await_cancellable(request)
        reply = Reply(json.loads(message.data), dict(message.headers or {}))
        check_form(reply)
        assert (wrong := misfit(tail, message.data)) is None, wrong
        return reply

    async def done(self, tail: str, body: Body = None, *, actor: str | None = None, **fields: Any) -> Any:
        """Ask, and return the result of what was carried out."""
        reply = await self.ask(tail, body, actor=actor, **fields)
        assert reply.ok, f"{tail} was refused: {reply.body}"
        return reply.result

    async def refused(self, tail: str, code: str, body: Body = None, **fields: Any) -> Any:
        """Ask, and return the details of the refusal."""
        reply = await self.ask(tail, body, **fields)
        assert not reply.ok, f"{tail} was not refused: {reply.body}"
        assert reply.code == code, reply.body
        return reply.details

    async def position(self) -> int:
        """The position that the service is at."""
        return (await self.ask("query.health")).position

    async def task(self, task_id: str) -> Any:
        """A task's whole state."""
        return await self.done("query.task", task_id=task_id)

    async def lease(self, agent: str = "a1", **fields: Any) -> Any:
        """Submit a task and claim it for the agent, who may be new."""
        await self.done(f"agent.{agent}.register", capacity=100)
        await self.done("ops.submit", **fields)
        return (await self.done(f"agent.{agent}.claim"))["leases"][0]

    async def assigned(self, agent: str, **fields: Any) -> Any:
        """Submit a task and assign it to the agent, whatever else is queued."""
        submitted = await self.done("ops.submit", **fields)
        return await self.done("ops.assign", task_id=submitted["task_id"], agent_id=agent)


def check_form(reply: Reply) -> None:
    """Every reply is one of the contract's two."""
    assert reply.body["ok"] in {True, False}
    if reply.ok:
        assert reply.body.keys() == {"ok", "position", "events", "result"}
        assert not {name for name in reply.headers if name.startswith("Nats-Service")}
        return
    assert reply.body.keys() == {"ok", "error"}
    assert reply.body["error"].keys() == {"code", "message", "details"}
    assert isinstance(reply.details, dict)
    assert reply.headers["Nats-Service-Error-Code"] == str(NUMBERS[reply.code])
    assert reply.code in reply.headers["Nats-Service-Error"]
