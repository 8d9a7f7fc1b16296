"""RabbitMQ, with a node name, an epmd and a configuration of its own."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.benchmarks.peers.servers.server import Address, MissingError, Server, free_port, program

DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The script itself: the one on PATH changes the user, who may not write here."""


class RabbitServer(Server):
    """Durable classic queues; a persistent message is confirmed when it is on disk."""

    def start(self) -> Address:
        """Return its URL."""
        script = DEBIAN if DEBIAN.exists() else shutil.which("rabbitmq-server")
        if script is None:
            raise MissingError("RabbitMQ is not installed: apt-get install rabbitmq-server")
        port, names = free_port(), free_port()
        config = self.directory / "rabbitmq.conf"
        config.write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\nlog.console = true\n", encoding="utf-8")
        environment = os.environ | {
            "HOME": str(self.directory),
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": "peers@localhost",
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_MNESIA_BASE": str(self.directory / "data"),
            "RABBITMQ_LOG_BASE": str(self.directory / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.directory / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": str(self.directory / "none"),
        }
        self.run(program("epmd", "apt-get install erlang-base"), env=environment)
        self.wait_for(names)
        self.run(script, env=environment)
        self.wait_for(port)
        return {"url": f"amqp://guest:guest@127.0.0.1:{port}//"}
