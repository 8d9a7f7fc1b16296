"""The library's own test cases for infrastructure factories, unchanged."""

import os

import pytest
from eventsourcing.tests import persistence as library
from eventsourcing.utils import Environment

from custody_eventsourcing import (
    NatsAggregateRecorder,
    NatsApplicationRecorder,
    NatsFactory,
    NatsProcessRecorder,
    NatsTrackingRecorder,
)


class TrackingRecorderSubclass(NatsTrackingRecorder):
    """What a view of an application's own would be."""


@pytest.mark.usefixtures("nats_env")
class TestFactory(library.InfrastructureFactoryTestCase[NatsFactory]):
    def setUp(self) -> None:
        self.env = Environment(name="TestCase", env=os.environ)
        super().setUp()

    def expected_factory_class(self) -> type[NatsFactory]:
        return NatsFactory

    def expected_aggregate_recorder_class(self) -> type[NatsAggregateRecorder]:
        return NatsAggregateRecorder

    def expected_application_recorder_class(self) -> type[NatsApplicationRecorder]:
        return NatsApplicationRecorder

    def expected_tracking_recorder_class(self) -> type[NatsTrackingRecorder]:
        return NatsTrackingRecorder

    def tracking_recorder_subclass(self) -> type[NatsTrackingRecorder]:
        return TrackingRecorderSubclass

    def expected_process_recorder_class(self) -> type[NatsProcessRecorder]:
        return NatsProcessRecorder
