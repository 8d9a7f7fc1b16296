"""The library's own test cases for recorders, unchanged, on the real broker."""

import os
from unittest import TestCase

import pytest
from eventsourcing.tests import persistence as library

from custody_eventsourcing import (
    NatsAggregateRecorder,
    NatsApplicationRecorder,
    NatsFactory,
    NatsProcessRecorder,
    NatsTrackingRecorder,
)

pytestmark = pytest.mark.usefixtures("nats_env")


def made(case: TestCase) -> NatsFactory:
    factory = NatsFactory(os.environ)
    case.addCleanup(factory.close)
    return factory


class TestAggregateRecorder(library.AggregateRecorderTestCase):
    def create_recorder(self) -> NatsAggregateRecorder:
        recorder = made(self).aggregate_recorder()
        assert isinstance(recorder, NatsAggregateRecorder)
        return recorder


class TestApplicationRecorder(library.ApplicationRecorderTestCase[NatsApplicationRecorder]):
    def create_recorder(self) -> NatsApplicationRecorder:
        recorder = made(self).application_recorder()
        assert isinstance(recorder, NatsApplicationRecorder)
        return recorder

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderWithTextIds(TestApplicationRecorder):
    def new_originator_id(self) -> str:
        return f"a task/with.dots > and * spaces: {super().new_originator_id()} – ✓"


class TestTrackingRecorder(library.TrackingRecorderTestCase):
    def create_recorder(self) -> NatsTrackingRecorder:
        return made(self).tracking_recorder()


class TestProcessRecorder(library.ProcessRecorderTestCase):
    def create_recorder(self) -> NatsProcessRecorder:
        recorder = made(self).process_recorder()
        assert isinstance(recorder, NatsProcessRecorder)
        return recorder


class TestProcessRecorderAsTrackingRecorder(library.TrackingRecorderTestCase):
    def create_recorder(self) -> NatsProcessRecorder:
        recorder = made(self).process_recorder()
        assert isinstance(recorder, NatsProcessRecorder)
        return recorder


class TestProcessRecorderAsApplicationRecorder(library.ApplicationRecorderTestCase[NatsProcessRecorder]):
    def create_recorder(self) -> NatsProcessRecorder:
        recorder = made(self).process_recorder()
        assert isinstance(recorder, NatsProcessRecorder)
        return recorder

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestNonInterleavingNotificationIds(library.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> NatsApplicationRecorder:
        recorder = made(self).application_recorder()
        assert isinstance(recorder, NatsApplicationRecorder)
        return recorder
