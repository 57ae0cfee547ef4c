# The image for pipeline jobs on a Docker executor: Python, git, OpenSSH and Docker's client.
#
#   docker build --tag REGISTRY/GROUP/PROJECT/ci:1 --push - <docker/ci.Dockerfile
FROM python:3.13-slim-trixie
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends docker-buildx docker-cli docker-compose git openssh-client openssh-server \
 && rm -rf /var/lib/apt/lists/*
