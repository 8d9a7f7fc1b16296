"""A broker in a container, where a Docker engine answers."""

import gc
import io
import os
import sys
import tarfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest
from docker.errors import APIError, DockerException, ImageNotFound
from requests.exceptions import RequestException
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer
from testcontainers.core.wait_strategies import LogMessageWaitStrategy

from infra.broker.binary import candidates
from tests.support.requirements import missing

OFFICIAL_IMAGE = os.environ.get("CUSTODY_NATS_IMAGE", "nats:2.15-alpine")
LOCAL_IMAGE = "custody-test/nats:local"
CLIENT_PORT = 4222
CONFIG = "/etc/nats/custody.conf"
ANSWER_S = 60
READY_S = 60

LOCAL_DOCKERFILE = b"""\
FROM scratch
COPY nats-server /nats-server
ENTRYPOINT ["/nats-server"]
"""


def require_engine() -> docker.DockerClient:
    """A client of the engine. Without one the test is skipped or fails; see `missing`."""
    client, reason = _connect()
    if client is None:
        missing(reason, "CUSTODY_REQUIRE_DOCKER")
    return client


def _connect() -> tuple[docker.DockerClient | None, str]:
    """A client, or None and why; docker-py leaves the socket of a failed attempt open, so it is collected here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            client = docker.from_env(timeout=ANSWER_S)
            client.ping()
        except DockerException as error:
            reason = f"no Docker engine answers: {error}"
        else:
            return client, ""
        gc.collect()
    return None, reason


def broker_image(client: docker.DockerClient) -> str:
    """The official image, or one made of our own static server binary where no registry answers."""
    try:
        client.images.get(OFFICIAL_IMAGE)
    except ImageNotFound:
        try:
            client.images.pull(OFFICIAL_IMAGE)
        except (APIError, ImageNotFound, RequestException) as error:
            return _build_image(client, str(error))
    return OFFICIAL_IMAGE


def _build_image(client: docker.DockerClient, cause: str) -> str:
    if sys.platform != "linux":
        pytest.skip(f"{OFFICIAL_IMAGE} cannot be pulled and the server binary here is none for Linux: {cause}")
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as archive:
        archive.add(next(candidates()), "nats-server")
        header = tarfile.TarInfo("Dockerfile")
        header.size = len(LOCAL_DOCKERFILE)
        archive.addfile(header, io.BytesIO(LOCAL_DOCKERFILE))
    context.seek(0)
    client.images.build(fileobj=context, custom_context=True, tag=LOCAL_IMAGE, rm=True)
    return LOCAL_IMAGE


@contextmanager
def broker_container(config: Path, environment: dict[str, str]) -> Iterator[str]:
    """Run a broker with the given configuration file; yield its URL."""
    client = require_engine()
    # Its helper is an image of its own, which may not be there to pull; the context manager removes the container.
    testcontainers_config.ryuk_disabled = True
    container = (
        DockerContainer(broker_image(client))
        .with_command(["--config", CONFIG])
        .with_volume_mapping(str(config), CONFIG, "ro")
        .waiting_for(LogMessageWaitStrategy("Server is ready").with_startup_timeout(READY_S))
    )
    for name, value in environment.items():
        container.with_env(name, value)
    bridged = any(network.name == "bridge" for network in client.networks.list())
    client.close()
    if bridged:
        container.with_exposed_ports(CLIENT_PORT)
    else:
        container.with_kwargs(network_mode="host")
    with container:
        host = container.get_container_host_ip() if bridged else "127.0.0.1"
        yield f"nats://{host}:{container.get_exposed_port(CLIENT_PORT) if bridged else CLIENT_PORT}"
