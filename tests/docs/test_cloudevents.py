"""Every type of event, as it is stored, by the official SDK of CloudEvents; the feed carries the same bytes."""

import json

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from tests.docs.events_of_every_type import messages


def test_every_event_is_a_cloudevent() -> None:
    for message in messages():
        event = JSONFormat().read(CloudEvent, message.body)
        body = json.loads(message.body)
        data = body.pop("data")
        assert event.get_data() == data
        assert event.get_id() == str(message.position)
        assert event.get_specversion() == "1.0"
        time = event.get_time()
        assert time is not None
        assert time.utcoffset() is not None
        assert event.get_attributes() == {**body, "time": time}
        assert json.loads(JSONFormat().write(event))["data"] == data
