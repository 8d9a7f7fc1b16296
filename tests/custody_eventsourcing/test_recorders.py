"""Cases that the library's tests lack: any id, any order of versions, whole batches, and refusals."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import (
    ApplicationRecorder,
    DataError,
    IntegrityError,
    NotSupportedError,
    ProcessRecorder,
    ProgrammingError,
    StoredEvent,
    Tracking,
)
from eventsourcing.popo import POPOApplicationRecorder

from custody_eventsourcing import NatsFactory, NatsTrackingRecorder
from custody_eventsourcing.naming import Subjects, stream_name
from custody_eventsourcing.reading import DIRECT_MESSAGES

STRANGE_IDS: list[UUID | str] = [
    *(
        "",
        ".",
        "..",
        "a.b",
        "a b",
        "*",
        ">",
        "$JS.API",
        "task/T1",
        "a\tb\r\n",
        "%2E",
        "ü–✓",
        "\x00",
        "\ud800",
        "x" * 900,
    ),
    UUID("b2723fe2-c01a-40d2-875e-a3aac6a09ff5"),
    "b2723fe2c01a40d2875ea3aac6a09ff5",
]


@pytest.fixture
def recorder(factory: NatsFactory) -> ApplicationRecorder:
    return factory.application_recorder()


@pytest.fixture
def other(nats_env: dict[str, str]) -> Iterator[NatsFactory]:
    """Another process of the same application."""
    made = NatsFactory(nats_env)
    yield made
    made.close()


def event(originator_id: UUID | str, version: int, topic: str = "topic", state: bytes = b"state") -> StoredEvent:
    return StoredEvent(originator_id, version, topic, state)


def test_any_id_any_topic_and_any_state_come_back_as_they_went_in(recorder: ApplicationRecorder) -> None:
    events = [
        event(originator_id, 1, f"module:Ü <topic> – {number}\n", bytes(range(256)))
        for number, originator_id in enumerate(STRANGE_IDS)
    ]

    assert recorder.insert_events(events) == list(range(1, len(events) + 1))

    for stored in events:
        assert recorder.select_events(stored.originator_id) == [stored]
    assert [item.originator_id for item in recorder.select_notifications(None, 100)] == STRANGE_IDS


def test_an_id_that_is_too_long_for_a_subject_is_refused(recorder: ApplicationRecorder) -> None:
    with pytest.raises(DataError, match=r"too long .* \(5000 characters\)"):
        recorder.insert_events([event("x" * 5_000, 1)])


def test_different_names_have_different_streams() -> None:
    parts = [
        ("ES", "a", "b"),
        ("ES-a", "b", ""),
        ("ES", "a-b", ""),
        ("ES", "", "a-b"),
        ("ES", "a.b", ""),
        ("E S", "a", "b"),
    ]

    names = [stream_name(*each) for each in parts]

    assert len(set(names)) == len(names)
    assert all(name.isprintable() and not set(name) & set(" .*>/\\") for name in names)
    assert Subjects("s").originator_id(Subjects("s").tracking("upstream")) is None


@pytest.mark.parametrize("seed", range(3))
def test_it_does_what_the_librarys_own_recorder_in_memory_does(recorder: ApplicationRecorder, seed: int) -> None:
    chance = random.Random(seed)
    model = POPOApplicationRecorder()
    for _ in range(80):
        batch = [event(f"o{chance.randrange(3)}", chance.randrange(12)) for _ in range(chance.choice([1, 1, 1, 2, 3]))]
        assert outcome(recorder, batch) == outcome(model, batch)
        gt, lte = chance.choice([None, 0, 3, 7, 11]), chance.choice([None, 4, 9, 11])
        desc, limit = chance.random() < 0.5, chance.choice([None, 1, 2])
        originator_id = f"o{chance.randrange(3)}"
        selected = recorder.select_events(originator_id, gt=gt, lte=lte, desc=desc, limit=limit)
        # The library's in-memory recorder returns the order of insertion, its database recorders that of the versions.
        expected = sorted(
            model.select_events(originator_id, gt=gt, lte=lte), key=lambda each: each.originator_version, reverse=desc
        )
        assert selected == expected[:limit]
        start, stop = chance.choice([None, 1, 5]), chance.choice([None, 2, 8])
        inclusive = chance.random() < 0.5
        assert recorder.select_notifications(start, 4, stop, inclusive_of_start=inclusive) == (
            model.select_notifications(start, 4, stop, inclusive_of_start=inclusive)
        )
        assert recorder.max_notification_id() == model.max_notification_id()


def outcome(recorder: ApplicationRecorder, batch: list[StoredEvent]) -> object:
    try:
        return recorder.insert_events(batch)
    except (DataError, IntegrityError) as error:
        return type(error)


def test_several_originators_are_stored_together_or_not_at_all(
    recorder: ApplicationRecorder, other: NatsFactory
) -> None:
    recorder.insert_events([event("a", 1), event("b", 1)])
    other.application_recorder().insert_events([event("b", 2)])

    with pytest.raises(IntegrityError, match="already recorded: b version 2"):
        recorder.insert_events([event("a", 2), event("b", 2), event("c", 1)])

    assert recorder.max_notification_id() == 3
    assert recorder.insert_events([event("a", 2), event("b", 3), event("c", 1)]) == [4, 5, 6]


def test_a_thousand_events_are_an_insert_and_one_more_are_not(recorder: ApplicationRecorder) -> None:
    events = [event("a", version) for version in range(1_001)]

    with pytest.raises(NotSupportedError, match="1001 messages in one insert: the broker stores at most 1000"):
        recorder.insert_events(events)
    assert recorder.max_notification_id() is None

    ids = recorder.insert_events(events[:1_000])
    assert ids == list(range(1, 1_001))
    assert len(recorder.select_events("a")) == 1_000
    assert [item.id for item in recorder.select_notifications(1, 1_000)] == ids
    for size in (DIRECT_MESSAGES, DIRECT_MESSAGES + 1, 300, len(ids) + 1):
        sections = [recorder.select_notifications(start, size) for start in range(1, len(ids) + 1, size)]
        assert [item.id for section in sections for item in section] == ids, size
    assert [item.id for item in recorder.select_notifications(700, 3, topics=["topic"])] == [700, 701, 702]
    assert recorder.select_notifications(1, 5, topics=["another"]) == []


def test_an_event_that_is_larger_than_the_broker_takes_is_refused(recorder: ApplicationRecorder) -> None:
    with pytest.raises(DataError, match="over the broker's"):
        recorder.insert_events([event("a", 1, state=bytes(2 * 1024 * 1024))])
    recorder.insert_events([event("a", 1)])


def test_of_two_processes_that_decided_on_the_same_version_one_wins(
    recorder: ApplicationRecorder, other: NatsFactory
) -> None:
    recorders = [recorder, other.application_recorder()]
    start = threading.Barrier(8)

    def insert(number: int) -> int:
        won = 0
        for version in range(1, 21):
            start.wait()
            try:
                recorders[number % 2].insert_events([event("contested", version, state=str(number).encode())])
            except IntegrityError:
                continue
            won += 1
        return won

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(insert, range(8))) == 20
    assert [each.originator_version for each in recorder.select_events("contested")] == list(range(1, 21))


def test_many_threads_read_what_they_wrote(recorder: ApplicationRecorder) -> None:
    def write_and_read(number: int) -> None:
        for version in range(1, 11):
            ids = recorder.insert_events([event(f"o{number}", version)])
            assert ids is not None
            assert recorder.select_events(f"o{number}", desc=True, limit=1)[0].originator_version == version
            assert recorder.select_notifications(ids[0], 1)[0].originator_id == f"o{number}"
            assert (recorder.max_notification_id() or 0) >= ids[0]

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(write_and_read, range(16)))
    assert [item.id for item in recorder.select_notifications(None, 500)] == list(range(1, 161))


def test_inserts_that_travel_together_do_not_fail_for_each_other(recorder: ApplicationRecorder) -> None:
    recorder.insert_events([event(f"o{number}", 1) for number in range(40)])
    start = threading.Barrier(40)

    def insert(number: int) -> object:
        start.wait()
        if number % 5 == 0:
            return outcome(recorder, [event(f"o{number}", 2), event(f"o{number + 1}", 1)])
        if number % 5 == 1:
            return outcome(recorder, [event(f"o{number}", 2), event("x", 1, state=bytes(2 * 1024 * 1024))])
        return recorder.insert_events([event(f"o{number}", 2), event(f"o{number}", 3)])

    with ThreadPoolExecutor(40) as threads:
        results = list(threads.map(insert, range(40)))

    stored = [result for result in results if isinstance(result, list)]
    assert results.count(IntegrityError) == results.count(DataError) == 8
    assert sorted(position for pair in stored for position in pair) == list(range(41, 89))
    assert all(pair == [pair[0], pair[0] + 1] for pair in stored)
    for number in range(40):
        versions = [each.originator_version for each in recorder.select_events(f"o{number}")]
        assert versions == ([1] if number % 5 < 2 else [1, 2, 3])


def test_tracking_and_events_are_stored_together_or_not_at_all(factory: NatsFactory, other: NatsFactory) -> None:
    recorder, rival = factory.process_recorder(), other.process_recorder()
    assert isinstance(recorder, ProcessRecorder)
    recorder.insert_events([event("a", 1)], tracking=Tracking("upstream", 1))
    rival.insert_events([event("b", 1)], tracking=Tracking("upstream", 2))

    for behind, number in ((event("c", 1), 2), (event("b", 1), 3)):
        with pytest.raises(IntegrityError):
            recorder.insert_events([behind], tracking=Tracking("upstream", number))

    assert recorder.max_tracking_id("upstream") == rival.max_tracking_id("upstream") == 2
    assert recorder.select_events("c") == []
    recorder.insert_events([], tracking=Tracking("upstream", 3))
    assert recorder.max_notification_id() == 4
    assert [item.id for item in recorder.select_notifications(None, 10)] == [2, 4]


def test_values_are_changed_with_the_tracking_and_no_change_is_lost(factory: NatsFactory, other: NatsFactory) -> None:
    views = [factory.tracking_recorder(), other.tracking_recorder()]
    assert all(isinstance(view, NatsTrackingRecorder) for view in views)

    def count(value: bytes | None) -> bytes:
        return str(int(value or 0) + 1).encode()

    def process(view: NatsTrackingRecorder, upstream: str) -> None:
        for number in range(1, 31):
            view.change_values(Tracking(upstream, number), {"all of them": count, upstream: count})

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(process, views, ("one", "two")))

    assert [views[0].value(key) for key in ("all of them", "one", "two", "three")] == [b"60", b"30", b"30", None]
    with pytest.raises(IntegrityError, match="one was processed up to 30: 30 cannot follow"):
        views[0].change_values(Tracking("one", 30), {"one": count})
    assert views[1].value("one") == b"30"


def test_a_stream_that_must_not_be_made_and_is_missing(nats_env: dict[str, str]) -> None:
    factory = NatsFactory({**nats_env, "CREATE_TABLE": "no"})
    recorder = factory.application_recorder()

    for use in (recorder.max_notification_id, lambda: recorder.insert_events([event(uuid4(), 1)])):
        with pytest.raises(ProgrammingError, match=r"there is no stream .*-stored-events, and CREATE_TABLE is off"):
            use()
    factory.close()


def test_copies_that_a_single_server_cannot_keep(nats_env: dict[str, str]) -> None:
    factory = NatsFactory({**nats_env, "NATS_REPLICAS": "3"})
    says = r"cannot have 3 copies at nats://.*: that is a single server, .*; set NATS_REPLICAS to 1, or NATS_URL to"
    with pytest.raises(NotSupportedError, match=says):
        factory.application_recorder()
    factory.close()
