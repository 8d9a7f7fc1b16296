"""Pools read through the library: aggregates, notification log, subscriptions, projections; and refused writes."""

import asyncio
import json
from collections.abc import Iterator

import pytest
from eventsourcing.application import AggregateNotFoundError, Application
from eventsourcing.domain import Aggregate
from eventsourcing.persistence import (
    MapperDeserialisationError,
    NotSupportedError,
    ProgrammingError,
    StoredEvent,
    Tracking,
)
from eventsourcing.projection import ApplicationSubscription, Projection, ProjectionRunner
from msgspec.structs import astuple

from custody_eventsourcing import ForbiddenError, NatsTrackingRecorder
from custody_eventsourcing.pool_events import PoolEvent, PoolMapper
from domain.task import Task
from handlers.ports import NewMessage
from infra.broker.embedded import EmbeddedBroker
from infra.nats.connection import connect
from infra.nats.event_log import NatsEventLog
from infra.nats.stream import ensure_stream
from tests.support.scenario import OPS, Scenario

LEASED = "custody.task.leased.v1"


class Pool:
    """A pool in the state of a scenario, on the broker."""

    def __init__(self, broker: EmbeddedBroker, name: str) -> None:
        self.scenario = Scenario(pool_id=name)
        self.name = name
        self._broker = broker
        self._position = 0

    def write(self, *extra: NewMessage) -> None:
        """Append what the scenario has had so far, as the pool's own service would, then anything else."""
        asyncio.run(self._write(extra))

    async def _write(self, extra: tuple[NewMessage, ...]) -> None:
        writer = self._broker.auth("writer")
        connection = await connect(self._broker.url, name="test", auth=writer)
        await ensure_stream(connection, self.name)
        log = await NatsEventLog.open(connection, self.name)
        messages = [
            NewMessage(message.subject, message.body, message.headers)
            for message in self.scenario.messages[self._position :]
        ]
        if messages or extra:
            self._position = await log.append([*messages, *extra], expected_position=self._position)
        await log.close()
        await connection.close()


@pytest.fixture
def filled(broker: EmbeddedBroker, pool: str) -> Pool:
    made = Pool(broker, pool)
    made.scenario.holds("a1", "T1", "T2")
    made.scenario.given("a1", "progress", task_id="T1", token=made.scenario.token("T1"), percent=40)
    made.write()
    return made


@pytest.fixture
def pool_env(nats_env: dict[str, str], broker: EmbeddedBroker, pool: str) -> dict[str, str]:
    return {
        **nats_env,
        "PERSISTENCE_MODULE": "custody_eventsourcing.pools",
        "CUSTODY_POOL": pool,
        "NATS_USER": "operator",
        "NATS_PASSWORD": broker.credentials("operator")["password"],
    }


@pytest.fixture
def app(filled: Pool, pool_env: dict[str, str]) -> Iterator[Application[str]]:
    with Application[str](pool_env) as reader:
        yield reader


def test_a_task_is_what_evolve_makes_of_its_events(app: Application[str], filled: Pool) -> None:
    task: Task = app.repository.get("task/T1")

    assert task == filled.scenario.task("T1")
    assert task.lease is not None
    assert task.lease.percent == 40


def test_every_kind_of_entity_can_be_had(app: Application[str], filled: Pool) -> None:
    assert app.repository.get("agent/a1") == filled.scenario.agent("a1")
    assert "task/T2" in app.repository
    assert "task/T3" not in app.repository


@pytest.mark.parametrize("unknown", ["task/T9", "task/", "lease/T1", "T1", "task/T1.x", "task/>", "task/*", ""])
def test_what_is_not_there_is_not_found(app: Application[str], unknown: str) -> None:
    with pytest.raises(AggregateNotFoundError):
        app.repository.get(unknown)


def test_a_task_at_an_earlier_version(app: Application[str]) -> None:
    task: Task = app.repository.get("task/T1", version=1)

    assert (task.version, task.lease) == (1, None)


def test_a_cached_task_is_carried_forward(filled: Pool, pool_env: dict[str, str]) -> None:
    with Application[str]({**pool_env, "AGGREGATE_CACHE_MAXSIZE": "10"}) as app:
        before: Task = app.repository.get("task/T1")
        filled.scenario.given("a1", "complete", task_id="T1", token=filled.scenario.token("T1"))
        filled.write()
        after: Task = app.repository.get("task/T1")

    assert not before.terminal
    assert after == filled.scenario.task("T1")
    assert after.terminal


def test_the_notification_log_has_the_streams_positions(app: Application[str], filled: Pool) -> None:
    log = filled.scenario.log
    section = app.notification_log["1,10"]

    assert [(item.id, item.originator_id, item.originator_version) for item in section.items] == [
        (recorded.position, recorded.originator_id, recorded.version) for recorded in log[:10]
    ]
    assert app.recorder.max_notification_id() == len(log)
    assert [item.id for item in app.notification_log.select(3, 10, stop=4)] == [3, 4]
    leased = app.notification_log.select(None, 10, topics=[LEASED])
    assert [item.topic for item in leased] == [LEASED, LEASED]
    assert json.loads(leased[0].state)["id"] == str(leased[0].id)


def test_a_subscription_goes_on_with_what_is_to_come(app: Application[str], filled: Pool) -> None:
    known = len(filled.scenario.log)
    seen: list[PoolEvent] = []
    with ApplicationSubscription(app, gt=2) as subscription:
        for event, tracking in subscription:
            assert isinstance(event, PoolEvent)
            assert tracking.notification_id == event.position
            seen.append(event)
            if event.position == known:
                filled.scenario.given(OPS, "submit", task_id="T3")
                filled.write()
            elif event.position == len(filled.scenario.log):
                break

    assert [*map(astuple, seen)] == [*map(astuple, filled.scenario.log[2:])]


class Assignments(NatsTrackingRecorder):
    """How many leases each agent was granted."""

    def granted(self, agent_id: str) -> int:
        return int(self.value(agent_id) or 0)


class CountAssignments(Projection[Assignments]):
    name = "assignments"
    topics = (LEASED,)

    def process_event(self, domain_event: PoolEvent, tracking: Tracking) -> None:
        agent_id = domain_event.event.model_dump()["agent_id"]
        self.view.change_values(tracking, {agent_id: lambda count: str(int(count or 0) + 1).encode()})


def test_a_projection_runs_over_a_pool(filled: Pool, pool_env: dict[str, str], nats_env: dict[str, str]) -> None:
    env = {
        **pool_env,
        "ASSIGNMENTS_NATS_USER": nats_env["NATS_USER"],
        "ASSIGNMENTS_NATS_PASSWORD": nats_env["NATS_PASSWORD"],
    }
    for times in (1, 2):
        with ProjectionRunner(
            application_class=Application[str], projection_class=CountAssignments, view_class=Assignments, env=env
        ) as runner:
            leased = [recorded.position for recorded in filled.scenario.log if recorded.event.type_name == LEASED]
            runner.wait(leased[-1], timeout=60)
            assert runner.view.granted("a1") == len(leased) == 1 + times
        filled.scenario.holds("a1", f"more-{times}")
        filled.write()


def test_nothing_is_written(app: Application[str], filled: Pool) -> None:
    stored = StoredEvent("task/T9", 1, "custody.task.submitted.v1", b"{}")
    event = next(iter(app.events.get("task/T1")))
    for write in (
        lambda: app.recorder.insert_events([stored]),
        lambda: app.recorder.insert_events([], tracking=Tracking("upstream", 1)),
        lambda: app.events.put([event]),
        lambda: app.save(Aggregate()),  # type: ignore[arg-type] # an application that was meant for another log
        lambda: app.factory.aggregate_recorder("snapshots"),
        app.factory.process_recorder,
    ):
        with pytest.raises(NotSupportedError, match="only its own service writes to a pool"):
            write()

    assert app.save() == []
    assert app.recorder.max_notification_id() == len(filled.scenario.log)


def test_the_operators_rights_would_not_do_for_writing(pool_env: dict[str, str]) -> None:
    own = {**pool_env, "PERSISTENCE_MODULE": "custody_eventsourcing"}

    with pytest.raises(ForbiddenError, match=r"STREAM\.CREATE\..*'operator'.*APPLICATION_NATS_URL"):
        Application[str](own)


def test_what_cannot_be_read_or_applied_is_passed_by(
    filled: Pool, pool_env: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    prefix = f"custody.{filled.name}.evt.task.T1."
    known = len(filled.scenario.log)
    repeated = json.loads(filled.scenario.messages[known - 1].body) | {"id": str(known + 2)}
    again = NewMessage(filled.scenario.messages[known - 1].subject, json.dumps(repeated).encode())
    filled.write(NewMessage(f"{prefix}progressed", b"no json"), again)

    with Application[str](pool_env) as app:
        assert app.repository.get("task/T1") == filled.scenario.task("T1")
        assert [item.id for item in app.recorder.select_notifications(known, 10)] == [known, known + 2]
        assert app.recorder.max_notification_id() == known + 2
    assert f"skipped position {known + 1}: " in caplog.text
    assert f"skipped position {known + 2}: " in caplog.text


def test_an_event_can_be_made_of_its_body_alone(app: Application[str], filled: Pool) -> None:
    item = app.recorder.select_notifications(5, 1)[0]
    plain = StoredEvent(item.originator_id, item.originator_version, item.topic, item.state)

    event = PoolMapper(app.factory.transcoder()).to_domain_event(plain)
    assert astuple(event) == astuple(filled.scenario.log[4])


def test_a_body_of_a_later_release_is_an_error_of_the_librarys_own(app: Application[str]) -> None:
    item = app.recorder.select_notifications(5, 1)[0]
    later = item.state.replace(b".v1", b".v7", 1)
    stored = StoredEvent(item.originator_id, item.originator_version, item.topic, later)

    with pytest.raises(MapperDeserialisationError, match="v7 is newer than this software"):
        PoolMapper(app.factory.transcoder()).to_domain_event(stored)


def test_a_pool_that_is_not_there(pool_env: dict[str, str]) -> None:
    with (
        Application[str]({**pool_env, "CUSTODY_POOL": "nowhere"}) as app,
        pytest.raises(ProgrammingError, match="there is no pool 'nowhere' at nats://"),
    ):
        app.repository.get("task/T1")


def test_a_pools_name_is_checked(pool_env: dict[str, str]) -> None:
    with pytest.raises(OSError, match="CUSTODY_POOL"):
        Application[str]({**pool_env, "CUSTODY_POOL": "a.b"})
