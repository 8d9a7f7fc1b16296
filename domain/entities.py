"""Any entity of a pool: its key, and its state."""

from __future__ import annotations

from domain.agent import Agent
from domain.events import Entity
from domain.pool import Pool
from domain.steal import Steal
from domain.task import Task

EntityState = Task | Agent | Steal | Pool
EntityKey = tuple[Entity, str]
