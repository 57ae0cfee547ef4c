# The database with continuous archiving (docker/archive/), and the tools for backups, with the programs
# of the database's own version (docker/data/). DATABASE is the image of compose/base.yml.
ARG DATABASE=postgres:17-trixie
ARG PYTHON_VERSION=3.13

FROM python:${PYTHON_VERSION}-slim-trixie AS rclone
COPY requirements/data.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-compile --require-hashes -r /requirements/data.txt

# hadolint ignore=DL3006
FROM ${DATABASE} AS database
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates pgbackrest \
 && rm -rf /var/log/apt /var/log/dpkg.log /etc/pgbackrest /etc/pgbackrest.conf \
 && install -d -o postgres -g postgres -m 755 /archive
COPY --link docker/archive/pgbackrest.conf /etc/pgbackrest/pgbackrest.conf
COPY --link docker/archive/pgbackrest-archive /usr/local/bin/pgbackrest-archive
ENTRYPOINT ["pgbackrest-archive", "start"]
CMD ["postgres"]

FROM database AS data
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update \
 && apt-get install --yes --no-install-recommends age python3 tini \
 && rm -rf /var/log/apt /var/log/dpkg.log
COPY --link --from=rclone /opt/venv/bin/rclone /usr/local/bin/rclone
COPY --link docker/data /opt/data
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp
ENTRYPOINT ["tini", "--", "python3", "/opt/data"]
CMD ["list"]
