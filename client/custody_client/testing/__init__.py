"""Testing workers against a real service: see `plugin` for pytest, `running_service` for anything else."""

from custody_client.testing.pool import Custody
from custody_client.testing.service import NoServiceInstalledError, RunningService, running_service

__all__ = ["Custody", "NoServiceInstalledError", "RunningService", "running_service"]
