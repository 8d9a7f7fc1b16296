"""The library's own test cases for applications and projections, unchanged, on the real broker."""

import os

import pytest
from eventsourcing.persistence import Tracking
from eventsourcing.tests import application as library
from eventsourcing.tests import projection as projections

from custody_eventsourcing import NatsFactory, NatsTrackingRecorder

pytestmark = pytest.mark.usefixtures("nats_env")

CREATED = "created"
SUBSEQUENT = "subsequent"


class NatsEventCounters(NatsTrackingRecorder, projections.EventCountersView):
    """The view that the library's cases ask for; its counters are values beside the tracking."""

    def get_created_event_counter(self) -> int:
        return int(self.value(CREATED) or 0)

    def get_subsequent_event_counter(self) -> int:
        return int(self.value(SUBSEQUENT) or 0)

    def incr_created_event_counter(self, tracking: Tracking) -> None:
        self.change_values(tracking, {CREATED: one_more})

    def incr_subsequent_event_counter(self, tracking: Tracking) -> None:
        self.change_values(tracking, {SUBSEQUENT: one_more})


def one_more(count: bytes | None) -> bytes:
    return str(int(count or 0) + 1).encode()


class TestExampleApplication(library.ExampleApplicationTestCase):
    expected_factory_topic = "custody_eventsourcing.factory:NatsFactory"


# One case causes the library's own deprecation warning, and checks it.
@pytest.mark.filterwarnings("default:'log' is deprecated:DeprecationWarning")
class TestApplication(library.ApplicationTestCase):
    pass


class TestEventCountersView(projections.EventCountersViewTestCase):
    def construct_event_counters_view(self) -> NatsEventCounters:
        factory = NatsFactory(os.environ)
        self.addCleanup(factory.close)
        view = factory.tracking_recorder(NatsEventCounters)
        assert isinstance(view, NatsEventCounters)
        return view


class TestEventCountersProjection(projections.AggregateEventCountersProjectionTestCase):
    view_class = NatsEventCounters


class TestEventSourcedProjection(projections.EventSourcedProjectionTestCase):
    pass
