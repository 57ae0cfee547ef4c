# Stand-in for python:3.13-slim-trixie: Debian's Python with the official image's names, and without
# bytecode, like the official image (docker-library/python#615).
FROM debian:trixie-slim
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends netbase python3-pip python3-venv tzdata \
 && rm -rf /var/lib/apt/lists/* /usr/lib/python3*/EXTERNALLY-MANAGED \
 && find /usr/lib/python3* -name '*.pyc' -delete \
 && for name in python python3 python3.13; do ln -s /usr/bin/python3.13 /usr/local/bin/$name; done \
 && for name in pip pip3; do ln -s /usr/bin/pip3 /usr/local/bin/$name; done
CMD ["python3"]
