"""Every setting of the service and its command line, with its default, its meaning and its limits.

A setting `x` comes from the flag `--x`, else from the environment variable `CUSTODY_X`, else from `x` in the
configuration file, else it has its default; `infra.settings.loading` reads them. A name ends in its unit.
The pool's rules take their defaults and limits from `domain.rules`, so there is one source for each.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from domain.json_values import Name
from domain.policies.lease import LeaseMode, LeasePolicy
from domain.policies.load_balancing import StealConfig, StealPolicy
from domain.policies.retry import RetryPolicy
from domain.rules import Rules
from domain.values import PLACEHOLDERS, OnStall
from infra.settings.rule_settings import LEASE_FIELDS, RETRY_FIELDS, RULE_FIELDS, STEAL_FIELDS, check_rule
from infra.settings.sources import ENV_PREFIX, FlagsSource, environment_source, file_source

_LOG = logging.getLogger(__name__)
_RULES: Final = Rules()
_LEASE: Final = _RULES.lease
_STEAL: Final = _RULES.steal
_SCHEMES: Final = {"nats", "tls", "ws", "wss"}

FORGIVING: Final = frozenset({"sweeper_interval_s", "stuck_threshold_s"})
"""An unusable value of these falls back to the default with a warning; any other setting's is an error."""


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class _Group(BaseSettings):
    # Only `Settings` is ever made, and it is built then.
    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, extra="forbid", frozen=True, validate_default=False, defer_build=True
    )


class BrokerSettings(_Group):
    """Broker."""

    pool: Name = "default"
    """The pool: one log of tasks and agents."""
    nats: str | None = None
    """The broker's address, several of one cluster separated by commas; absent: the one that `custody up` runs on
    the data directory, else nats://127.0.0.1:4222."""
    nats_plaintext: bool = False
    """Send passwords and tokens unencrypted to brokers on other machines, where they offer no TLS."""
    nats_user: str | None = None
    """User to connect as; absent: the user for the purpose, when its password is known."""
    nats_password: SecretStr | None = None
    """Password of `nats_user`."""
    nats_token: SecretStr | None = None
    """Token to connect with."""
    nats_creds: Path | None = None
    """A `.creds` file to connect with; `{user}` in its name stands for `writer`, `responder` or `operator`."""
    nats_nkey: Path | None = None
    """A file with the seed of an nkey to connect with; `{user}` as above."""
    nats_ca: Path | None = None
    """Certificate authorities (PEM) for the broker's certificate; absent: the system's. Makes TLS a requirement."""
    nats_cert: Path | None = None
    """The client's certificate (PEM), for a broker that asks for one; `{user}` as above. Makes TLS a requirement."""
    nats_key: Path | None = None
    """Key of `nats_cert`, if it is in a file of its own; `{user}` as above."""
    nats_inbox_prefix: Annotated[str, Field(pattern=r"^_INBOX(\.[^\s.*>]+)*$")] | None = None
    """Prefix of the inboxes where answers come, for a user that may hear no others; absent: `_INBOX.` and the user's
    name; `{user}` as above."""
    writer_password: SecretStr | None = None
    """Password of the broker's user `writer`, which appends events."""
    responder_password: SecretStr | None = None
    """Password of the broker's user `responder`, which takes commands and answers."""
    operator_password: SecretStr | None = None
    """Password of the broker's user `operator`, which sends requests and reads the log."""
    data_dir: Path = Path(".custody")
    """Directory of the embedded broker, its address and its passwords; `serve` remembers the end of its log there."""
    broker_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Loopback port of the embedded broker; 0 takes that of its last start, at first or if that is taken a free one."""
    broker_strict_inboxes: bool = False
    """Let the embedded broker's user `operator` hear `_INBOX.operator.>` only, which all its clients have to set as
    their inbox prefix."""
    broker_sync_interval: Annotated[str, Field(pattern=r"^(always|\d+(ms|s|m|h))$")] = "always"
    """How often the embedded broker flushes to disk: `always`, or an interval such as 2m."""
    stream_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """Copies of a new pool's log in a cluster."""
    stream_compression: bool = False
    """Compress a new pool's log; point reads become slow."""


class LeaseSettings(_Group):
    """Leases."""

    lease_mode: LeaseMode = _LEASE.mode
    """Mode of leases on tasks without lease rules of their own."""
    lease_s: float = _LEASE.lease_s
    """Mode fixed: the length of every term, in seconds."""
    lease_grace_s: float | None = _LEASE.grace_s
    """Modes fixed and estimated: the grace after expiry, in seconds; absent: 60 or 1800."""
    lease_default_hours: float = _LEASE.default_hours
    """Mode estimated: the estimate of a task that has none."""
    lease_min_hours: float = _LEASE.min_hours
    """Mode estimated: no term is shorter."""
    lease_max_hours: float = _LEASE.max_hours
    """Mode estimated: no term is longer."""
    lease_renewal_decay: float = _LEASE.renewal_decay
    """Mode estimated: the factor that each earlier renewal shortens a renewal by."""
    lease_renewal_hours: float = _LEASE.renewal_hours
    """Mode estimated: the term of a renewal, in hours, before the factors."""
    lease_renewal_half_percent: int = _LEASE.renewal_half_percent
    """Mode estimated: the progress above which lease_renewal_half_hours is the term of a renewal."""
    lease_renewal_half_hours: float = _LEASE.renewal_half_hours
    """Mode estimated: that term, in hours."""
    lease_renewal_late_percent: int = _LEASE.renewal_late_percent
    """Mode estimated: the progress above which lease_renewal_late_hours is the term of a renewal."""
    lease_renewal_late_hours: float = _LEASE.renewal_late_hours
    """Mode estimated: that term, in hours."""
    lease_renewal_slow_after: int = _LEASE.renewal_slow_after
    """Mode estimated: after more renewals than this, work below lease_renewal_slow_percent is slow."""
    lease_renewal_slow_percent: int = _LEASE.renewal_slow_percent
    """Mode estimated: the progress below which work is slow by then."""
    lease_renewal_slow_hours: float = _LEASE.renewal_slow_hours
    """Mode estimated: the term of a renewal of slow work, in hours."""
    lease_renewal_many_after: int = _LEASE.renewal_many_after
    """Mode estimated: after more renewals than this, a renewal is at most lease_renewal_many_hours."""
    lease_renewal_many_hours: float = _LEASE.renewal_many_hours
    """Mode estimated: that limit, in hours, after all factors."""
    lease_large_hours: float = _LEASE.large_hours
    """Mode estimated: a task with an estimate above this is large, in hours."""
    lease_large_factor: float = _LEASE.large_factor
    """Mode estimated: the factor of renewals of a large task."""
    lease_critical_factor: float = _LEASE.critical_factor
    """Mode estimated: the factor of the first term of a critical task."""
    lease_high_factor: float = _LEASE.high_factor
    """Mode estimated: the factor of a task of high priority."""
    lease_medium_factor: float = _LEASE.medium_factor
    """Mode estimated: the factor of a task of medium priority."""
    lease_low_factor: float = _LEASE.low_factor
    """Mode estimated: the factor of a task of low priority."""
    lease_simple_factor: float = _LEASE.simple_factor
    """Mode estimated: the factor of the label `simple`; the first label that has a factor counts."""
    lease_complex_factor: float = _LEASE.complex_factor
    """Mode estimated: the factor of the label `complex`."""
    lease_research_factor: float = _LEASE.research_factor
    """Mode estimated: the factor of the label `research`."""
    lease_epic_factor: float = _LEASE.epic_factor
    """Mode estimated: the factor of the label `epic`."""
    lease_first_s: float = _LEASE.first_s
    """Mode adaptive: the term until the first report, in seconds."""
    lease_first_grace_s: float = _LEASE.first_grace_s
    """Mode adaptive: its grace, in seconds."""
    lease_second_s: float = _LEASE.second_s
    """Mode adaptive: the term after the first report, and below lease_working_percent, in seconds."""
    lease_second_grace_s: float = _LEASE.second_grace_s
    """Mode adaptive: its grace, in seconds."""
    lease_working_percent: int = _LEASE.working_percent
    """Mode adaptive: the progress from which on the working term is set, from the second report on."""
    lease_working_s: float = _LEASE.working_s
    """Mode adaptive: the working term, in seconds."""
    lease_working_grace_s: float = _LEASE.working_grace_s
    """Mode adaptive: its grace, in seconds."""
    lease_finishing_percent: int = _LEASE.finishing_percent
    """Mode adaptive: the progress from which on the finishing term is set."""
    lease_finishing_s: float = _LEASE.finishing_s
    """Mode adaptive: the finishing term, in seconds; the end is the quietest time."""
    lease_finishing_grace_s: float = _LEASE.finishing_grace_s
    """Mode adaptive: its grace, in seconds."""
    lease_max_renewals: int = _LEASE.max_renewals
    """Reports on one lease after which `escalated` is written, once; no alarm."""
    lease_max_s: float = _LEASE.max_lease_s
    """How long after its grant a lease expires whatever is reported, in seconds."""
    lease_silence_multiplier: float = _LEASE.silence_multiplier
    """How many times its median interval between reports an agent may be silent."""
    lease_warning_s: float = _RULES.warning_s
    """A lease is listed as expiring soon with less time left than this, in seconds."""
    renewal_worth: float = _RULES.renewal_worth
    """A sign of life is recorded as a renewal if it moves the expiry by at least this fraction of the term."""
    handoff_valid_s: float = _RULES.handoff_valid_s
    """How long the advice of a hand-off (instructions, branch) is shown, in seconds; progress and checkpoint stay."""
    handoff_branch_template: str | None = _RULES.branch_template
    """Names the branch in a hand-off, with {task_id}, {agent_id} and {attempt}; absent: no branch."""
    rearm_max_s: float = _RULES.rearm_max_s
    """The longest time for which nothing expires after an outage of the pool itself, in seconds; 0: none."""
    rearm_jitter_s: float = _RULES.rearm_jitter_s
    """The longest random wait of a lease on top of that, in seconds."""


class QueueSettings(_Group):
    """Queue."""

    retry_delay_s: float = _RULES.retry.delay_s
    """How long a task waits after its first failure, in seconds, up to a quarter more by jitter; 0: none waits."""
    retry_backoff: float = _RULES.retry.backoff
    """Each further failure of the task multiplies the delay by this."""
    retry_max_delay_s: float = _RULES.retry.max_delay_s
    """No failed task waits for longer, jitter included."""
    priority_aging_s: float = _RULES.priority_aging_s
    """A queued task counts as one priority more urgent each time it has waited so long, in seconds; 0: never."""


class WatchSettings(_Group):
    """Sweeper, agents and probes."""

    sweeper_enabled: bool = _RULES.sweeper_enabled
    """Whether overdue and stale tasks are swept; leases expire either way."""
    sweeper_interval_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)] = 300.0
    """The time between the sweeper's full passes, in seconds; an unusable value means the default."""
    stuck_threshold_s: float = _RULES.stuck_threshold_s
    """A holder whose last beat is older than this is stuck, until its lease is due or, with `on_silence: stuck`, until
    it is heard; an unusable value means the default."""
    stall_s: float | None = _RULES.stall_s
    """How long percent and checkpoint of a held task may stay as they are, in seconds; then it is stalled, though its
    holder is heard; 0: for ever; absent: 1800 with leases in mode adaptive, for ever in the others."""
    on_stall: OnStall = _RULES.on_stall
    """What becomes of a stalled task: it is flagged, or taken from its holder and queued again."""
    default_deadline_s: float | None = _RULES.default_deadline_s
    """The time until the deadline of a task that is submitted without one, in seconds; absent: none."""
    agent_lost_after_s: float = _RULES.lost_after_s
    """An agent that sent no command for this long is lost."""
    heartbeat_record_s: float = _RULES.heartbeat_record_s
    """A heartbeat that changes nothing is recorded at most this often."""
    load_valid_s: float = _RULES.load_valid_s
    """A load report counts no more when it is older than this, in seconds: the agent's cpu is taken as 0."""
    worktree_probe_enabled: bool = False
    """Whether unresolved merge conflicts in a task's git worktree on this host extend its lease."""
    worktree_template: str | None = None
    """Path of a task's worktree, with {task_id}, {agent_id} and {attempt}."""
    worktree_probe_timeout_s: Annotated[float, Field(gt=0, le=60, allow_inf_nan=False)] = 10.0
    """Timeout of a look at a worktree, in seconds."""


class StealSettings(_Group):
    """Stealing."""

    steal_enabled: bool = _STEAL.enabled
    """Whether tasks that were not begun are moved from loaded agents to idle ones automatically."""
    steal_policy: StealPolicy = _STEAL.policy
    """How moves are planned: `balance` by expected durations as soon as an agent has nothing to do, `threshold` by
    counts at every interval."""
    steal_interval_s: float = _STEAL.interval_s
    """The time from one pass to the next, in seconds; the policy balance also plans in between."""
    steal_cooldown_s: float = _STEAL.cooldown_s
    """How long a stolen task is not stolen again, in seconds; 0: none."""
    steal_move_cost_s: float = _STEAL.move_cost_s
    """Policy balance: what a move costs, in seconds. A task moves only if it begins sooner by more than twice this, and
    not within this time after it was assigned."""
    steal_share: float = _STEAL.share
    """Policy balance: the part of a level load that an agent gets at once if it waits with no claim; one that does gets
    as many tasks as it claims."""
    steal_threshold: int = _STEAL.steal_threshold
    """Policy threshold: the least difference in tasks between two agents for a move."""
    steal_max_batch: int = _STEAL.max_steal_batch
    """Policy threshold: the most tasks in one move; also the most in an `ops.steal` that does not say how many."""
    steal_min_tasks: int = _STEAL.min_tasks_to_steal
    """Policy threshold: no task is taken from an agent with fewer tasks than this."""
    steal_overloaded_above_tasks: int = _STEAL.overloaded_above_tasks
    """Policy threshold: tasks are taken from an agent with more tasks than this. Such an agent is shown as overloaded
    with either policy."""
    steal_overloaded_above_cpu: float = _STEAL.overloaded_above_cpu
    """An agent with more cpu than this, in percent, is overloaded: with the policy balance it receives nothing, with
    threshold tasks are taken from it; 100: cpu does not count."""
    steal_underloaded_below_tasks: int = _STEAL.underloaded_below_tasks
    """Policy threshold: only an agent with fewer tasks than this receives any."""
    steal_underloaded_below_cpu: float = _STEAL.underloaded_below_cpu
    """Policy threshold: only an agent with less cpu than this, in percent, receives any."""


class ServiceSettings(_Group):
    """Service."""

    queue_length: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """The most commands that wait for a decision; one more is refused as overloaded."""
    queue_bytes: Annotated[int, Field(ge=1024 * 1024, le=16 * 1024**3)] = 64 * 1024**2
    """The most bytes of waiting commands; a command beyond it is refused as overloaded."""
    outcomes_remembered: Annotated[int, Field(ge=0, le=10_000_000)] = 200_000
    """The most outcomes of commands with an id that are kept, to answer a repeat."""
    snapshot_every: Annotated[int, Field(ge=0, le=1_000_000_000)] = 100_000
    """Events between two snapshots of the state, a cache for quick starts and looks into the past; 0: none."""
    reply_timeout_s: Annotated[float, Field(gt=0, le=300, allow_inf_nan=False)] = 5.0
    """How long a command may go unconfirmed by the broker before it is answered as unavailable, in seconds."""
    dashboard_port: Annotated[int, Field(ge=0, le=65_535)] = 4280
    """Loopback port of the page that `custody up` serves beside the service; the next free one if it is taken; 0: no
    page."""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)] = "info"
    """The least severe level that the service logs."""
    log_format: Annotated[Literal["text", "json"], BeforeValidator(_lower)] = "text"
    """How the service and the dashboard log: `text`, or `json` with one object a line."""
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port on which the service shows its metrics to Prometheus, at `/metrics`; 0: none."""
    metrics_host: Annotated[str, Field(min_length=1, max_length=255)] = "127.0.0.1"
    """Address that it listens at for that. Whoever reaches it may read the metrics: there is no password."""


GROUPS: Final = (BrokerSettings, LeaseSettings, QueueSettings, WatchSettings, StealSettings, ServiceSettings)
"""The settings' classes, each named by its docstring, in the order in which they are shown."""


class Settings(ServiceSettings, StealSettings, WatchSettings, QueueSettings, LeaseSettings, BrokerSettings):
    """All settings. The constructor's arguments come first, then the environment, then the configuration file.

    Raises pydantic's ValidationError; `infra.settings.loading.load_settings` raises one with plain messages.
    """

    config: Path | None = None
    """The configuration file; absent: `custody.toml` in the working directory, if it is there."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - ours ignores empty variables
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not one of the sources
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - not one of the sources
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, the environment, the configuration file."""
        flags = FlagsSource(settings_cls, init_settings())
        environment = environment_source(settings_cls)
        return flags, environment, file_source(settings_cls, flags(), environment())

    def rules(self) -> Rules:
        """Return the pool's rules as these settings have them."""
        return Rules(
            lease=LeasePolicy(**{field: getattr(self, name) for name, field in LEASE_FIELDS.items()}),
            retry=RetryPolicy(**{field: getattr(self, name) for name, field in RETRY_FIELDS.items()}),
            steal=StealConfig(**{field: getattr(self, name) for name, field in STEAL_FIELDS.items()}),
            **{field: getattr(self, name) for name, field in RULE_FIELDS.items()},
        )

    @field_validator("*", mode="wrap")
    @classmethod
    def _allowed(cls, value: object, handler: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
        name = info.field_name or ""
        try:
            _refuse_bool(value, cls.model_fields[name].annotation)
            checked: object = handler(value)
            check_rule(name, checked)
        except ValueError:
            if name not in FORGIVING:
                raise
            default = cls.model_fields[name].default
            _LOG.warning(
                "%s%s: %r is no usable number of seconds; using the default, %g",
                ENV_PREFIX,
                name.upper(),
                value,
                default,
            )
            return default
        return checked

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for problem in _problems(self):
            raise ValueError(problem)
        return self


def _refuse_bool(value: object, annotation: object) -> None:
    """Raise ValueError for a truth value where a number belongs: Python would count it as 0 or 1."""
    if isinstance(value, bool) and not {int, float}.isdisjoint((annotation, *get_args(annotation))):
        raise ValueError("Input should be a number")


def _problems(settings: Settings) -> Iterator[str]:
    """Yield the contradictions between settings, one line each."""
    yield from _broker_problems(settings)
    if settings.lease_max_hours < settings.lease_min_hours:
        yield f"lease_max_hours must be at least lease_min_hours, {settings.lease_min_hours:g}"
    if settings.lease_mode is LeaseMode.FIXED and settings.lease_s > settings.lease_max_s:
        yield f"lease_s must be at most lease_max_s, {settings.lease_max_s:g}"
    if settings.retry_max_delay_s < settings.retry_delay_s:
        yield f"retry_max_delay_s must be at least retry_delay_s, {settings.retry_delay_s:g}"
    if settings.heartbeat_record_s >= settings.agent_lost_after_s:
        yield f"heartbeat_record_s must be below agent_lost_after_s, {settings.agent_lost_after_s:g}"
    if 0 < settings.rearm_max_s < settings.rearm_jitter_s:
        yield f"rearm_jitter_s must be at most rearm_max_s, {settings.rearm_max_s:g}"
    if 0 < settings.steal_cooldown_s < settings.steal_interval_s:
        yield f"steal_cooldown_s must be 0 or at least steal_interval_s, {settings.steal_interval_s:g}"
    if settings.worktree_probe_enabled and settings.worktree_template is None:
        yield "worktree_probe_enabled needs worktree_template"
    for name in ("handoff_branch_template", "worktree_template"):
        unknown = set(re.findall(r"\{([^{}]*)\}", getattr(settings, name) or "")) - set(PLACEHOLDERS)
        if unknown:
            allowed = ", ".join(f"{{{each}}}" for each in sorted(PLACEHOLDERS))
            yield f"{name} may hold {allowed}, not {{{min(unknown)}}}"


def _is_address(address: str) -> bool:
    try:
        parts = urlsplit(address if "://" in address else f"nats://{address}")
        return parts.scheme in _SCHEMES and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


def _broker_problems(settings: Settings) -> Iterator[str]:
    if settings.nats is not None and not all(_is_address(each.strip()) for each in settings.nats.split(",")):
        yield "nats should be HOST:PORT or nats://HOST:PORT, or such with tls, ws or wss"
    if settings.stream_compression and settings.stream_replicas > 1:
        yield "stream_compression must be off with stream_replicas above 1: a killed replica may not recover"
    if settings.nats_key is not None and settings.nats_cert is None:
        yield "nats_key needs nats_cert"
