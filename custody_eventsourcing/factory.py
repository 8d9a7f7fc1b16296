"""The infrastructure factory: makes an application's recorders by the settings in its environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from eventsourcing.persistence import InfrastructureFactory
from eventsourcing.utils import resolve_topic

from custody_eventsourcing.datastore import NatsDatastore
from custody_eventsourcing.environment import NatsSettings, creates_streams
from custody_eventsourcing.naming import stream_name
from custody_eventsourcing.recorders import (
    NatsAggregateRecorder,
    NatsApplicationRecorder,
    NatsProcessRecorder,
    NatsRecorder,
    NatsTrackingRecorder,
)
from custody_eventsourcing.streams import TRACKING_HISTORY, StreamSpec

if TYPE_CHECKING:
    from eventsourcing.persistence import AggregateRecorder, ApplicationRecorder, ProcessRecorder
    from eventsourcing.utils import Environment, EnvType

_Recorder = TypeVar("_Recorder", bound=NatsRecorder)

EVENTS = "events"
TRACKING = "tracking"
_UNNAMED = "stored"


class NatsFactory(InfrastructureFactory[NatsTrackingRecorder]):
    """Makes recorders that share one connection and one event loop thread; `close` ends both."""

    aggregate_recorder_class: type[NatsAggregateRecorder] = NatsAggregateRecorder
    application_recorder_class: type[NatsApplicationRecorder] = NatsApplicationRecorder
    tracking_recorder_class: type[NatsTrackingRecorder] = NatsTrackingRecorder
    process_recorder_class: type[NatsProcessRecorder] = NatsProcessRecorder

    def __init__(self, env: Environment | EnvType | None) -> None:
        super().__init__(env)
        self.datastore = NatsDatastore(NatsSettings.from_env(self.env))

    def aggregate_recorder(self, purpose: str = EVENTS) -> AggregateRecorder:
        """Return a recorder of events by originator; `purpose` is part of the stream's name, such as `snapshots`."""
        return self._make(self.aggregate_recorder_class, purpose)

    def application_recorder(self) -> ApplicationRecorder:
        """Return the recorder of an application's events; APPLICATION_RECORDER_TOPIC can name another class."""
        return self._make(self._class(self.APPLICATION_RECORDER_TOPIC, self.application_recorder_class), EVENTS)

    def tracking_recorder(
        self, tracking_recorder_class: type[NatsTrackingRecorder] | None = None
    ) -> NatsTrackingRecorder:
        """Return the recorder of a view, of the class given or named by TRACKING_RECORDER_TOPIC."""
        cls = tracking_recorder_class or self._class(self.TRACKING_RECORDER_TOPIC, self.tracking_recorder_class)
        return self._make(cls, TRACKING, keep=TRACKING_HISTORY)

    def process_recorder(self) -> ProcessRecorder:
        """Return the recorder of an application that processes another's events.

        PROCESS_RECORDER_TOPIC can name another class.
        """
        return self._make(self._class(self.PROCESS_RECORDER_TOPIC, self.process_recorder_class), EVENTS)

    def close(self) -> None:
        """Close the connection and end its thread; waiting callers get InterfaceError."""
        self.datastore.close()

    def _class(self, setting: str, default: type[_Recorder]) -> type[_Recorder]:
        topic = self.env.get(setting)
        if not topic:
            return default
        cls = resolve_topic(topic)
        if not (isinstance(cls, type) and issubclass(cls, default)):
            raise TypeError(f"{setting} names {topic}, which is no subclass of {default.__name__}")
        return cls

    def _make(self, cls: type[_Recorder], purpose: str, *, keep: int = -1) -> _Recorder:
        settings = self.datastore.settings
        create = creates_streams(self.env)
        name = stream_name(settings.stream_prefix, self.env.name or _UNNAMED, purpose)
        recorder = cls(self.datastore, stream=StreamSpec(name, create, settings.replicas, keep))
        if create:
            recorder.create_table()
        return recorder


Factory = NatsFactory
