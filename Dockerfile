# The image. Stages: deps (the locked packages), code and static (the app's own files), prepared (the
# released image without the code), runtime (the released image: web, worker, beat and one-off commands),
# test (runtime plus the packages of the tests), dev.

# The base of the test stage: the runtime stage, or the digest of an image in the registry.
ARG TESTED=runtime

FROM python:3.13-slim-trixie AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
WORKDIR /app

# Depends only on its lock file. Compiles bytecode on all cores, without checks against the source.
FROM base AS deps
COPY requirements/app.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
 && pip --python /opt/venv/bin/python install --no-compile --require-hashes -r /requirements/app.txt \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

# The packages that tests add to the tested image, independent of that image.
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

# The released code: without tests, compiled, and readable with any umask of the clone. /assets has the
# part of it that collectstatic needs: no templates, and only the modules that Django imports to load
# the apps. If your apps import more modules while they load, add those to the list.
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

# Static files, hashed and compressed; a change of code alone does not rebuild this stage.
FROM deps AS static
COPY --from=code /assets ./
RUN DJANGO_SETTINGS_MODULE=myapp.settings.prod python manage.py collectstatic --noinput --verbosity 0

# Everything that a change of code leaves as it is; registry.cache in invoke.yaml caches this stage.
FROM base AS prepared
# The base image has no bytecode, and a container cannot write any: without this step, each start of the
# web server or of a command would compile the modules of the standard library that it imports.
RUN python -m compileall -q -j 0 --invalidation-mode unchecked-hash -x site-packages \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
# hadolint ignore=DL3008
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
    --mount=type=cache,target=/var/lib/apt,sharing=locked \
    apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/log/apt /var/log/dpkg.log \
 && groupadd --gid 10001 app \
 && useradd --uid 10001 --gid app --no-create-home --home-dir /tmp --shell /usr/sbin/nologin app \
 # A Swarm stack cannot ask for no-new-privileges: instead, no program gives any.
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} +
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
# Last, since they differ with every commit. The app reports VERSION, which a deploy verifies.
ARG REVISION=dev VERSION=dev CREATED= SOURCE=
LABEL org.opencontainers.image.source=$SOURCE \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.created=$CREATED
# After the labels: from here on it hides the build argument of the same name.
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

# The default target of a build.
FROM runtime
