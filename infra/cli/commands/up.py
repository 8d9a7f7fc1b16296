"""`custody up`: a broker and the service in one process."""

from __future__ import annotations

import typer

from infra.cli.session.settings_command import AcceptLossOption, NewLogOption, run_to_end
from infra.settings.loading import LoadedSettings


def up(loaded: LoadedSettings, *, new_log: NewLogOption = False, accept_loss: AcceptLossOption = False) -> None:
    """Run a broker and the service here, until interrupted; the data is kept in the data directory."""
    from infra.service.log_consent import LogConsent
    from infra.service.run import run_up

    raise typer.Exit(run_to_end(run_up(loaded.settings, consent=LogConsent(new_log, accept_loss))))
