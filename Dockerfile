# The image. Stages: deps (what the lock files say), code and static (made ready), prepared (all that
# is released but the code), runtime (released: web, worker, beat and one-off commands), test (runtime
# and what tests need), dev.

# What the test stage is built from: the runtime just built, or the digest of a released image.
ARG TESTED=runtime

FROM python:3.13-slim-trixie AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
WORKDIR /app

# Depends on its lock file only. Bytecode is made on all cores, and never checked against the source.
FROM base AS deps
COPY requirements/app.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-compile --require-hashes -r /requirements/app.txt \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

# What tests need beside the image that is tested: the same for every one of them.
FROM base AS test-deps
COPY requirements/test.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-deps --require-hashes -r /requirements/test.txt

FROM base AS dev-deps
COPY requirements/dev.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-deps --require-hashes -r /requirements/dev.txt

# The code as it is released: without its tests, readable whatever the umask of the clone, compiled.
# And in /assets what collectstatic needs of it: no templates, and of its modules only those that
# are imported to find the apps. When yours import more at that time, name them too.
FROM base AS code
COPY manage.py ./
COPY docker docker
COPY myapp myapp
RUN rm -rf myapp/tests \
 && chmod -R u=rwX,go=rX . \
 && mkdir /assets \
 && cp -R manage.py myapp /assets \
 && find /assets/myapp -type f \( -path '*/templates/*' -or -name '*.py' -not -path '*/settings/*' \
        -not -name __init__.py -not -name apps.py -not -name celery.py \) -delete \
 && python -m compileall -q --invalidation-mode checked-hash docker myapp

# Static files, hashed and compressed; a change of code alone does not make them again.
FROM deps AS static
COPY --from=code /assets ./
RUN DJANGO_SETTINGS_MODULE=myapp.settings.prod python manage.py collectstatic --noinput --verbosity 0

# What stays the same when only the code changes; invoke.yaml has it kept for builds elsewhere.
FROM base AS prepared
# The base image has no bytecode, and a container may not write any: without this each start, of the
# web server as of every command, would compile what it imports of the standard library.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x site-packages \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/log/apt /var/log/dpkg.log \
 && groupadd --gid 10001 app \
 && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app
ENV DJANGO_SETTINGS_MODULE=myapp.settings.prod \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1
COPY --link --from=deps /opt/venv /opt/venv
COPY --link --from=static /app/static /app/static

FROM prepared AS runtime
COPY --link --from=code /app /app
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["tini", "--", "/app/docker/entrypoint"]
CMD ["web"]
HEALTHCHECK --interval=10s --timeout=5s --retries=3 --start-period=60s --start-interval=1s \
    CMD ["/app/docker/healthcheck"]
# Last, since they differ with every commit; the app shows VERSION, by which a deploy knows it.
ARG REVISION=dev VERSION=dev CREATED= SOURCE=
LABEL org.opencontainers.image.source=$SOURCE \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.created=$CREATED
# After the labels: from here on it hides the argument of that name.
ENV VERSION=$REVISION

FROM $TESTED AS test
COPY --link --from=test-deps /opt/venv /opt/venv
COPY --link --chmod=755 pyproject.toml /app/
COPY --link --chmod=755 myapp/tests /app/myapp/tests
ENV COVERAGE_FILE=/tmp/coverage \
    DJANGO_SETTINGS_MODULE=myapp.settings.test \
    PYTEST_ADDOPTS="-o cache_dir=/tmp/pytest"
HEALTHCHECK NONE
CMD ["pytest"]

FROM test AS dev
COPY --link --from=dev-deps /opt/venv /opt/venv
ENV DJANGO_SETTINGS_MODULE=myapp.settings.dev
CMD ["python", "manage.py", "runserver", "0.0.0.0:8000"]

# What a build without --target makes.
FROM runtime
