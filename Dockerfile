# The Custody service. The pinned packages are checked by hash; the image runs as a user without rights.
ARG PYTHON_IMAGE=python:3.13-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python3 -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes -r requirements/build.txt \
 && /opt/build/bin/pip wheel --require-hashes --no-build-isolation --wheel-dir /wheels -r requirements/runtime.txt \
 && python3 -m venv /opt/custody \
 && /opt/custody/bin/pip install --no-deps --no-index /wheels/*.whl
COPY pyproject.toml README.md LICENSE ./
COPY docs/asyncapi.yaml docs/asyncapi.yaml
COPY domain domain
COPY projections projections
COPY handlers handlers
COPY infra infra
COPY custody_dashboard custody_dashboard
COPY custody_top custody_top
COPY custody_demo custody_demo
COPY custody_eventsourcing custody_eventsourcing
RUN /opt/build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /dist . \
 && /opt/custody/bin/pip install --no-deps --no-index /dist/*.whl

FROM ${PYTHON_IMAGE}
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/custody custody
COPY --from=build /opt/custody /opt/custody
ENV PATH="/opt/custody/bin:$PATH" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
WORKDIR /var/lib/custody
STOPSIGNAL SIGTERM
ENTRYPOINT ["custody"]
CMD ["serve"]
