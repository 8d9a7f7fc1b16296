"""The base of the models of replies, and the types that they share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from domain.limits import MAX_INT64

TIMESTAMP = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$"
"""Narrower than RFC 3339: the wire has always six decimals and `Z`."""

Moment = Annotated[str, Field(pattern=TIMESTAMP, json_schema_extra={"format": "date-time"})]
"""A timestamp as the service writes it."""
Position = Annotated[int, Field(ge=0, le=MAX_INT64)]
"""A position of the log; 0 is before its first."""
Token = Annotated[int, Field(ge=1, le=MAX_INT64)]
Percent = Annotated[int, Field(ge=0, le=100)]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]


class Result(BaseModel):
    """A part of a reply.

    A field without a default is always there. Fields that the model lacks are refused here, where the tests hold
    replies against it; the published schema allows them, because they may be added.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Nothing(Result):
    """An empty result."""
