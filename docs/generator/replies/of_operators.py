"""What the commands of operators and services answer."""

from __future__ import annotations

from typing import Final

from docs.generator.replies.agents import AgentLeft, AgentNamed, AgentsForgotten, TasksStolen
from docs.generator.replies.leases import Lease
from docs.generator.replies.reply import Reply
from docs.generator.replies.result import Nothing
from docs.generator.replies.tasks import (
    Fate,
    TaskNamed,
    TaskRetried,
    TasksSelected,
    TasksSubmitted,
    TaskStatusNow,
    TaskSubmitted,
)
from domain import limits
from domain.errors import RefusalCode

E = RefusalCode
OPS_ON_LIVE_TASK: Final = (E.UNKNOWN_TASK, E.TASK_FINISHED)
OPS_ON_TASK: Final = (*OPS_ON_LIVE_TASK, E.ILLEGAL_TRANSITION)
_BY_FILTER: Final = (
    "Instead of `task_id` it takes a filter; the result then is `task_ids`, their `count`, and `more`: whether others "
    "fit. With `dry_run` nothing changes, and `count` is of all that fit."
)


OPS_REPLIES: Final = {
    "submit": Reply(
        TaskSubmitted,
        (E.TASK_EXISTS,),
        "The same definition for the same `task_id` changes nothing and succeeds, also long after the task finished. "
        "It is the same in another order of keys or capabilities, and with defaults spelled out. `was` is `new`, "
        "`known`, or `ended` for a known task that has ended.",
    ),
    "submit_many": Reply(
        TasksSubmitted,
        (E.TASK_EXISTS,),
        "`tasks` has the `task_id` and `was` of each, in their order. If one is refused, none is submitted.",
    ),
    "assign": Reply(
        Lease,
        (E.UNKNOWN_AGENT, *OPS_ON_TASK, E.PAUSED, E.AT_CAPACITY),
        "A named agent that lacks a required capability is `invalid_command`. `at_capacity` "
        "without a named agent: no live one with room can do it that was heard within a lease's first term. The one "
        "that failed the task last is chosen only if no other can. A task that waits for its time is "
        "`illegal_transition`; `details.not_before` says until when.",
    ),
    "cancel": Reply(
        (TaskStatusNow, TasksSelected),
        (E.UNKNOWN_TASK, E.TASK_FINISHED),
        f"{_BY_FILTER} At most {limits.MAX_FILTERED_CANCEL} at once.",
    ),
    "requeue": Reply(
        (Fate, TasksSelected),
        OPS_ON_TASK,
        f"No budget stands in its way; after quarantine every budget begins anew. {_BY_FILTER} Only stuck and "
        "quarantined tasks fit, at most "
        f"{limits.MAX_FILTERED_REQUEUE} at once.",
    ),
    "unblock": Reply(
        Fate,
        OPS_ON_TASK,
        "No budget stands in its way. The next hand-off carries the question and the `answer`.",
    ),
    "revoke": Reply(Fate, OPS_ON_TASK, "The holder gets the directive `stop`."),
    "complete": Reply(Fate, OPS_ON_LIVE_TASK, "A holder gets the directive `stop`."),
    "fail": Reply(
        Fate,
        OPS_ON_LIVE_TASK,
        "`status` is what followed: `queued` while the budget of failures lasts, else `failed`; `quarantined` if the "
        "attempt that it ended was the last. A holder gets the directive `stop`.",
    ),
    "block": Reply(
        Fate,
        OPS_ON_LIVE_TASK,
        "A holder gets the directive `stop`. The same reason and question again append nothing.",
    ),
    "update": Reply(
        Fate,
        OPS_ON_TASK,
        "What stays the same appends nothing; `no_deadline` takes the deadline away. A deadline that has passed is "
        "`invalid_command`, and so is a time to "
        "wait for that does not leave some before the deadline. Only a queued task is given one; another is "
        "`illegal_transition`.",
    ),
    "retry": Reply(
        TaskRetried,
        (E.UNKNOWN_TASK, E.TASK_EXISTS, E.ILLEGAL_TRANSITION),
        "What has ended stays ended. `query.task` of each names the other (`retry_of`, `retries`). A deadline that has "
        "passed is set anew, as long from now as it was from the first submission. `task_exists` without `new_id`: "
        f"{limits.MAX_RETRIES_NAMED} such names are taken.",
    ),
    "annotate": Reply(
        (TaskNamed, AgentNamed),
        (E.UNKNOWN_AGENT, E.UNKNOWN_TASK),
        "Recorded as `noted`, which changes no status; also of what has ended or left. `agent_id` instead of `task_id` "
        "for an agent. The note is shown in the history, audits and post-mortems.",
    ),
    "steal": Reply(
        TasksStolen,
        (E.UNKNOWN_AGENT, *OPS_ON_TASK, E.PAUSED, E.AT_CAPACITY),
        "`task_ids` are those that moved. Only tasks that are assigned and not started move, within their steal budget "
        "and cooldown, from a live agent, also a paused or draining one, to one that takes grants, can do them and has "
        "room.",
    ),
    "drain": Reply(
        (AgentNamed, Nothing),
        (E.UNKNOWN_AGENT,),
        "`result` is empty for the pool. An agent that drains gets the directive `hand_over` for all it holds. What it "
        "has not started may be moved with `steal`. "
        "With `deadline_s`, what it still holds then is revoked and queued again.",
    ),
    "pause": Reply((AgentNamed, Nothing), (E.UNKNOWN_AGENT,), "`result` is empty for the pool."),
    "resume": Reply((AgentNamed, Nothing), (E.UNKNOWN_AGENT,), "`result` is empty for the pool."),
    "load": Reply(
        AgentNamed,
        (E.UNKNOWN_AGENT,),
        "Recorded when it changes the agent's load status, else at most every `heartbeat_record_s`.",
    ),
    "deregister": Reply(
        AgentLeft,
        (E.UNKNOWN_AGENT,),
        "`released`: how many tasks it held; each is revoked and queued again. The agent may register again.",
    ),
    "forget": Reply(
        AgentsForgotten,
        (),
        f"At most {limits.MAX_AGENTS_FORGOTTEN} at once; with `more` there may be others. A lost agent that holds a "
        "task stays. One that comes back registers again.",
    ),
}
