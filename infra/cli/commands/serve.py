"""`custody serve`: the service at a broker that runs already."""

from __future__ import annotations

import typer

from infra.cli.session.settings_command import AcceptLossOption, NewLogOption, run_to_end
from infra.cli.terminal.output import print_error
from infra.host.shell import EXIT_USAGE
from infra.settings.loading import LoadedSettings


def serve(loaded: LoadedSettings, *, new_log: NewLogOption = False, accept_loss: AcceptLossOption = False) -> None:
    """Run the service against a broker that is there already, until interrupted."""
    from infra.cli.session.broker_access import DEFAULT_URL, running_broker
    from infra.service.log_consent import LogConsent
    from infra.service.run import run_serve
    from infra.settings.credentials import check_route
    from infra.settings.sources import SettingsError

    try:
        check_route(loaded.settings, loaded.origins, ("writer", "responder", "operator"))
    except SettingsError as error:
        print_error(str(error))
        raise typer.Exit(EXIT_USAGE) from None
    url, consent = loaded.settings.nats or DEFAULT_URL, LogConsent(new_log, accept_loss)
    beside = running_broker(loaded.settings) if loaded.settings.nats is None else None
    if beside is not None:
        # A service needs passwords of its own there, so it is not taken for what was meant, as it is for clients.
        print_error(
            f"`custody up` runs in {loaded.settings.data_dir} with a broker at {beside}, and serves it; this service"
            f" goes to {url}: name another address with --nats"
        )
    raise typer.Exit(run_to_end(run_serve(loaded.settings, url, consent=consent)))
