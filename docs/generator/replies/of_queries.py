"""What the queries answer."""

from __future__ import annotations

from typing import Final

from docs.generator.replies.agents import AgentsPage, StealsPage, WorkloadsPage
from docs.generator.replies.leases import LeasesPage
from docs.generator.replies.pool import Health, Statistics
from docs.generator.replies.reply import Reply
from docs.generator.replies.tasks import BacklogPage, TaskDocument, TaskExplained, TasksPage
from domain.errors import RefusalCode
from domain.policies.load_balancing import DURATION_WINDOW
from projections.state.ended_entities import MOST_STEALS, RECENT_ENTITIES, RECENT_STEALS
from projections.state.statistics import AGENTS_WITH_DURATIONS

E = RefusalCode

QUERY_REPLIES: Final = {
    "task": Reply(
        TaskDocument,
        (E.UNKNOWN_TASK,),
        "Also of a task that finished long ago: it is then read from the log.",
    ),
    "explain": Reply(
        TaskExplained,
        (E.UNKNOWN_TASK,),
        "Sentences for people, as `custody explain` has them. `next` has `at` and `what`; `candidates` are the agents "
        "that could claim a queued task, and why the others cannot, unless the pool has more than 5,000 live tasks.",
    ),
    "tasks": Reply(
        TasksPage,
        (),
        f"First the live tasks and the latest of those that ended (the last {RECENT_ENTITIES:,} ended tasks and "
        "agents), in the order of ids; then `next` leads through all that ended before, the latest first, read from "
        "the log. "
        "`all_ended` is false until the page with the last of them. A page of these has at most 100 rows; it may "
        "have fewer, also none, and yet a `next`. One that ends while the pages are asked for may come twice.",
    ),
    "leases": Reply(LeasesPage),
    "agents": Reply(
        AgentsPage,
        (),
        "`session` is the agent's current one, or null. `holds` names what each holds, with the percent reported. "
        "`heard_at` is when this service heard it last, or the last sign of life on record. With `lost: false` lost "
        "agents are left out.",
    ),
    "workloads": Reply(
        WorkloadsPage,
        (),
        "`load_status` follows the tasks held and the cpu. A load that was reported (`load_at`) longer ago than "
        "`load_valid_s` counts as 0.",
    ),
    "backlog": Reply(
        BacklogPage,
        (),
        "Tasks whose `not_before` lies ahead come last, in the order of that time; `delayed` counts them.",
    ),
    "statistics": Reply(
        Statistics,
        (),
        "`tasks`: live tasks by status, and how many ever ended, by how. "
        "`delayed`: how many of the queued tasks wait for their time. "
        "`leases`: those held, by phase, and their "
        "renewals. `loads`: agents that are not lost, by load status. `totals`: counts since the log began, and "
        f"`average_duration_s` of the last {DURATION_WINDOW} completions; `average_duration_by_agent_s`: of the last "
        f"{DURATION_WINDOW} of each of the {AGENTS_WITH_DURATIONS:,} agents that completed something last. "
        "`failures` since the log began, by cause: `deadline`, `budget` "
        "(the last failure that it allows), `gave_up` (not retryable). `steals` by outcome, and how many tasks moved. "
        "`sweeper`: its findings since this service's start; `already_finished` counts recoveries "
        "that were skipped because the task had ended.",
    ),
    "steals": Reply(
        StealsPage,
        (),
        f"Open ones, and of those that ended the last {RECENT_STEALS:,} and all of the last day, at most "
        f"{MOST_STEALS:,}.",
    ),
    "health": Reply(Health),
}
