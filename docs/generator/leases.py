"""docs/leases.md: the three modes of leases, with the terms that the policy's defaults make."""

from __future__ import annotations

from domain.policies.lease import LeaseMode, LeasePolicy, first_terms, renewal_terms
from domain.policies.sweeping import DEFAULT_STALL_S
from domain.rules import Rules
from domain.values import Priority

_POLICY = LeasePolicy()
_ESTIMATED = LeasePolicy(mode=LeaseMode.ESTIMATED)
_FIXED = LeasePolicy(mode=LeaseMode.FIXED)

_PAGE = """\
# Leases

<!-- Made by `python -m docs.generate` from domain/policies/lease.py; edit docs/generator/leases.py. -->

A lease is the time for which a holder may be silent. A term begins at the grant and at each renewal; when it is over, a
grace follows in which a command of the holder still wins; then the lease is judged. Three modes say how long a term
is. `lease_mode` sets that of the pool, `lease` in `ops.submit` that of one task.

```mermaid
flowchart LR
    granted([granted]) --> first["first<br>{first}"]
    subgraph adaptive ["adaptive (default): by what was reported"]
        first -->|first report| second["second<br>{second}"]
        second -->|"next report, {working_percent} %"| working["working<br>{working}"]
        second -->|"next report, {finishing_percent} %"| finishing["finishing<br>{finishing}"]
        working -->|"{finishing_percent} %"| finishing
    end
    first & second & working & finishing -.->|"silent: term and grace over"| due{{{{judged}}}}
    due -->|its report interval excuses it| due
    due -->|"on_silence: requeue"| expired([expired, requeued])
    due -->|"on_silence: stuck"| stuck([stuck, clock stopped])
```

Each box is a term and its grace, in seconds.

| mode | for | first term | renewals | grace |
|---|---|---|---|---|
| `adaptive` | agents that report every few minutes | {first_s:g} s until the first report | {second_s:g} s after it, {working_s:g} s from {working_percent} %, {finishing_s:g} s from {finishing_percent} %: tests, builds and merges make the end the quietest time | {first_grace_s:g} s, at the end {finishing_grace_s:g} s |
| `estimated` | work of hours that reports rarely | the estimate, else {default_hours:g} h, × the priority's factor × that of the first label that has one, within {min_hours:g} to {max_hours:g} h | {renewal_hours:g} h; {renewal_half_hours:g} h above {renewal_half_percent} %, {renewal_late_hours:g} h above {renewal_late_percent} %; {renewal_slow_hours:g} h below {renewal_slow_percent} % after {renewal_slow_after} renewals; × {large_factor:g} if the estimate is above {large_hours:g} h; × {renewal_decay:g} for each renewal before; at most {renewal_many_hours:g} h after {renewal_many_after} renewals | {estimated_grace_s:g} s |
| `fixed` | one length for all | {lease_s:g} s | {lease_s:g} s | {fixed_grace_s:g} s |

Factors of the mode `estimated`, and the first term of a task of 4 hours:

| | factor | first term |
|---|---|---|
{factors}

All of these numbers are [settings](settings.md#leases), and fields of `lease` for one task. A setting that goes with
another mode than the pool's does nothing: `custody up` and `custody serve` say so when they start, `custody whatif`
before it compares. What other numbers would have made of recorded work, [what-if](what-if.md) says.

## In every mode

- A report renews its lease and sets the term. Any other sign of life renews on the same terms, and is written if it
  moves the expiry by {renewal_worth:.0%} of the term (`renewal_worth`), if the last beat is half as old as
  `stuck_threshold_s`, or if it is the first one since the task is half way to stalled.
- A renewal never shortens a lease. After `lease_max_s` ({max_lease_s:g} s) from the grant it expires whatever is reported.
- Of a holder that has reported twice the median interval between its reports is known. Past the grace, its silence is
  excused until it is longer than that × `lease_silence_multiplier` ({silence_multiplier:g}).
- After an announced `silence` a holder counts as heard until the announced end; a report in between does not take that
  back.
- **Stuck** is a warning before the lease is due: no beat for `stuck_threshold_s` ({stuck_threshold_s:g} s). With
  `on_silence: requeue` the clock runs on and the lease expires when it is due; with `stuck` it stops, and the task waits
  for its holder or a person.
- **Stalled** is a holder that is heard and does not advance: neither percent nor checkpoint changed for `stall_s`
  ({stall_s:g} s in mode `adaptive`, off in the others). Reports show that it is heard, and heartbeats alone, on leases of
  any length. `on_stall` flags it, or requeues it.
- An outage of the pool does not count as the agents' silence: nothing is judged for as long as they could not be heard.

| who is silent | and `on_silence` | what follows |
|---|---|---|
| a holder before its first report | `requeue` | `expired` after the first term and grace |
| a holder that reported, lease below `stuck_threshold_s` | `requeue` | `expired` when the lease is due and its report interval excuses nothing |
| a holder that reported, longer lease | `requeue` | `stuck` at `stuck_threshold_s`, then `expired` when due |
| any of these | `stuck` | `stuck`, until it is heard or an operator decides |
"""  # noqa: E501 - rows of tables


def leases_page() -> str:
    """Return the page."""
    policy = _POLICY
    return _PAGE.format(
        **dict(policy),
        first=_box(policy.first_s, policy.first_grace_s),
        second=_box(policy.second_s, policy.second_grace_s),
        working=_box(policy.working_s, policy.working_grace_s),
        finishing=_box(policy.finishing_s, policy.finishing_grace_s),
        estimated_grace_s=renewal_terms(_ESTIMATED, reports=1, percent=0, estimated_hours=None).grace_s,
        fixed_grace_s=renewal_terms(_FIXED, reports=1, percent=0, estimated_hours=None).grace_s,
        factors="\n".join(_factors()),
        stuck_threshold_s=Rules().stuck_threshold_s,
        renewal_worth=Rules().renewal_worth,
        stall_s=DEFAULT_STALL_S,
    )


def _box(lease_s: float, grace_s: float) -> str:
    return f"{lease_s:g} + {grace_s:g}"


def _factors() -> list[str]:
    rows: list[tuple[str, Priority, tuple[str, ...]]] = [
        *((priority.value, priority, ()) for priority in reversed(Priority)),
        *((label, Priority.MEDIUM, (label,)) for label in ("simple", "complex", "research", "epic")),
    ]
    return [
        f"| {'label' if labels else 'priority'} `{name}` | {getattr(_ESTIMATED, f'{name}_factor'):g} "
        f"| {_hours(priority, labels):g} h |"
        for name, priority, labels in rows
    ]


def _hours(priority: Priority, labels: tuple[str, ...]) -> float:
    terms = first_terms(_ESTIMATED, estimated_hours=4.0, priority=priority, labels=labels)
    return terms.lease_s / 3600
