"""What the commands of agents answer."""

from __future__ import annotations

from typing import Final

from docs.generator.replies.agents import AgentLeft
from docs.generator.replies.leases import Holdings, Lease, Leases, Terms
from docs.generator.replies.reply import Reply
from docs.generator.replies.tasks import Fate
from domain import limits
from domain.errors import RefusalCode

E = RefusalCode
OF_AGENT: Final = (E.UNKNOWN_AGENT, E.STALE_SESSION)
ON_TASK: Final = (*OF_AGENT, E.UNKNOWN_TASK, E.TASK_FINISHED, E.STALE_TOKEN, E.NOT_HOLDER)

AGENT_REPLIES: Final = {
    "register": Reply(
        Holdings,
        (E.STALE_SESSION,),
        "An identical repeat appends nothing, but for clearing a load that was reported. "
        "Another `session` than the current one begins a new session of the agent: "
        "`leases` are what the earlier one held, to go on with or to give back, and its waiting claims end empty. "
        "Without a `session` they end too. `stale_session`: it is a repeat, and another session began meanwhile.",
    ),
    "heartbeat": Reply(
        Holdings,
        OF_AGENT,
        "Recorded when it changes the agent's load status or whether it vouches, else at most "
        "every `heartbeat_record_s`; it renews what the agent holds either way. "
        "With `tasks`, only these are renewed, and one whose token is not the agent's current one is named in "
        "`directives` as `stop`, with the `token`; from then on the agent's other commands renew only the task that "
        "they name, until a heartbeat without `tasks`.",
    ),
    "claim": Reply(
        Leases,
        (*OF_AGENT, E.PAUSED, E.AT_CAPACITY),
        "The most urgent queued tasks that the "
        "agent can do, oldest first. Each of `leases` is a [lease](#a-lease). Empty if there is no work; with `wait_s` "
        "the reply waits for some, and for a pool or agent that is paused or draining to be resumed. The client's own "
        "timeout must be longer.",
    ),
    "lease": Reply(Lease, ON_TASK),
    "start": Reply(Terms, ON_TASK, "A repeat appends nothing."),
    "progress": Reply(
        Terms,
        ON_TASK,
        "The first report starts the task. A report under a lease that "
        f"was lost is kept as `late_progress`, at most {limits.MAX_LATE_REPORTS} a token, and refused all the same.",
    ),
    "silence": Reply(
        Terms,
        ON_TASK,
        "The lease is renewed as if the agent reported at the end of the spell, and the agent counts as heard until "
        "then. A report in between takes nothing back.",
    ),
    "release": Reply(
        Fate,
        ON_TASK,
        "`status` is what followed: `queued`, or `quarantined` after the last release. "
        "With `delay_s` it is granted to no agent before that time has passed.",
    ),
    "block": Reply(Fate, ON_TASK),
    "complete": Reply(
        Fate,
        ON_TASK,
        "After the lease expired it is still accepted until the task is granted again; from then on it is kept as "
        "`late_progress` and refused.",
    ),
    "fail": Reply(
        Fate,
        ON_TASK,
        "`status` is what followed: `queued` while the budgets last, else `failed` or `quarantined`.",
    ),
    "deregister": Reply(
        AgentLeft,
        OF_AGENT,
        "`released`: how many tasks it held. With a `session`, only that one is ended: once another began, this is "
        "refused.",
    ),
}
