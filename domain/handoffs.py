"""Hand-offs: what one lease leaves to the next holder, and how it is shown.

Progress, note and checkpoint of a hand-off come from one lease, and are never replaced by lower ones. A late report may
replace them after the hand-off was recorded, so the instructions are rendered from the fields when they are shown.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from domain.events.task import EarlierWork, Handoff

if TYPE_CHECKING:
    from datetime import datetime

    from domain.events.task import LateProgress


def instructions(handoff: Handoff | SimpleNamespace) -> str:
    """Return a hand-off in words, for the next holder."""
    if handoff.from_agent is None:
        return f"No agent has worked on this task yet; it comes back: {handoff.reason}."
    held = f"{handoff.from_agent} held this task for {handoff.minutes_spent:g} minutes"
    if handoff.reported_by in {None, handoff.from_agent}:
        sentences = [f"{held} and came to {handoff.progress} %; it ended: {handoff.reason}."]
    else:
        sentences = [f"{held} and reported nothing; it ended: {handoff.reason}."]
        sentences.append(f"{handoff.reported_by} came to {handoff.progress} % before.")
    if handoff.last_note:
        sentences.append(f"Its last note: “{handoff.last_note}”.")
    if handoff.branch:
        sentences.append(f"Look at branch {handoff.branch} for its work.")
    if handoff.last_checkpoint is not None:
        sentences.append("Go on from the last checkpoint.")
    elif handoff.earlier is not None:
        earlier = handoff.earlier
        sentences.append(f"It left no checkpoint; {earlier.agent_id} left one at {earlier.progress} % before.")
    sentences.append("Find out what is already done before you repeat it; the former holder may still be at work.")
    return " ".join(sentences)


def new_handoff(**fields: Any) -> Handoff:
    """Return a hand-off of these fields, with instructions that say what they do.

    The words are made before the model: making it twice took a sixth of the time of an expiry.
    """
    return Handoff(**fields, instructions=instructions(SimpleNamespace(**fields)))


def in_words(handoff: Handoff) -> Handoff:
    """Return the hand-off with instructions that say what its fields do now."""
    return handoff.model_copy(update={"instructions": instructions(handoff)})


def handoff_document(handoff: Handoff, now: datetime) -> dict[str, Any]:
    """Return a hand-off as the contract shows it to the next holder.

    After `valid_until` the instructions are empty and there is no branch, because they are advice about a worker that
    may be gone; progress, note and checkpoint stay.
    """
    if now > handoff.valid_until:
        return handoff.model_copy(update={"instructions": "", "branch": None}).model_dump(mode="json")
    return in_words(handoff).model_dump(mode="json")


def earlier_work(before: Handoff | None, checkpoint: Any) -> EarlierWork | None:
    """Return what the hand-off before says of the last checkpoint, for a lease that leaves none of its own."""
    if before is None or checkpoint is not None:
        return None
    if before.last_checkpoint is None:
        return before.earlier
    return EarlierWork(
        token=before.reported_token,
        agent_id=before.reported_by or before.from_agent or "",
        progress=before.progress,
        note=before.last_note,
        checkpoint=before.last_checkpoint,
    )


def after_late_report(handoff: Handoff, event: LateProgress) -> Handoff:
    """Return the hand-off after a late report.

    A report of the lease that it is about, or of a later one, replaces its progress, note and checkpoint unless the
    progress is lower. Hand-offs in logs from before decision 74 name no lease; they take the higher progress, and the
    newer note and checkpoint.
    """
    percent = event.percent
    if handoff.reported_token is None and handoff.token is None:
        return handoff.model_copy(
            update={
                "progress": max(handoff.progress, percent or 0),
                "last_note": event.message or handoff.last_note,
                "last_checkpoint": handoff.last_checkpoint if event.checkpoint is None else event.checkpoint,
            }
        )
    reported_token = handoff.reported_token or 0
    if percent is None or percent < handoff.progress or event.token < reported_token:
        return handoff
    note, checkpoint, earlier = event.message, event.checkpoint, handoff.earlier
    if event.token == reported_token:
        note = note or handoff.last_note
        checkpoint = handoff.last_checkpoint if checkpoint is None else checkpoint
        earlier = None if checkpoint is not None else earlier
    else:
        earlier = earlier_work(handoff, checkpoint)
    return handoff.model_copy(
        update={
            "progress": percent,
            "last_note": note,
            "last_checkpoint": checkpoint,
            "reported_by": event.agent_id,
            "reported_token": event.token,
            "earlier": earlier,
        }
    )
