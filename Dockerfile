# The image. Stages: deps (the locked packages), code and static (the app's own files), prepared (the
# released image without the code), runtime (the released image: web, worker, beat and one-off commands),
# test (runtime plus the packages of the tests), dev.

# Packages of a private index: the secrets pip.conf and npmrc, which end in no layer, are pip's and npm's own
# configuration. inv build takes them from the files that PIP_CONFIG_FILE and NPM_CONFIG_USERCONFIG name.
#
# What the arguments APP_* are is in the section `app` of invoke.yaml: inv build gives them, and inv
# variables prints them.
ARG PYTHON_VERSION=3.13
# The front-end is built (build) or there is none, and the image that builds it.
ARG APP_FRONTEND=none
ARG APP_FRONTEND_IMAGE=scratch
# The base of the test stage: the runtime stage, or the digest of an image in the registry.
ARG TESTED=runtime

FROM python:${PYTHON_VERSION}-slim-trixie AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
WORKDIR /app

# Depends only on its lock file. Compiles bytecode on all cores, without checks against the source.
FROM base AS deps
COPY requirements/app.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf \
    python -m venv --without-pip /opt/venv \
 && PIP_CONFIG_FILE=/run/secrets/pip.conf pip --python /opt/venv/bin/python install --no-compile --require-hashes -r /requirements/app.txt \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib

# The packages that tests add to the tested image, independent of that image.
FROM base AS test-deps
COPY requirements/test.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf \
    python -m venv --without-pip /opt/venv \
 && PIP_CONFIG_FILE=/run/secrets/pip.conf pip --python /opt/venv/bin/python install --no-deps --require-hashes -r /requirements/test.txt

FROM base AS dev-deps
COPY requirements/dev.txt /requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=pip.conf \
    python -m venv --without-pip /opt/venv \
 && PIP_CONFIG_FILE=/run/secrets/pip.conf pip --python /opt/venv/bin/python install --no-deps --require-hashes -r /requirements/dev.txt

# What the front-end's command has written, in /output.
FROM base AS frontend-none
RUN mkdir /output

FROM ${APP_FRONTEND_IMAGE} AS frontend-build
ARG APP_FRONTEND_FOLDER APP_FRONTEND_COMMAND APP_FRONTEND_OUTPUT
WORKDIR /frontend
COPY ${APP_FRONTEND_FOLDER} ./
RUN --mount=type=cache,target=/root/.npm \
    --mount=type=secret,id=npmrc \
    NPM_CONFIG_USERCONFIG=/run/secrets/npmrc sh -euc "$APP_FRONTEND_COMMAND" \
 && cp -R "$APP_FRONTEND_OUTPUT" /output

# hadolint ignore=DL3006
FROM frontend-${APP_FRONTEND} AS frontend

# The released code: without tests, compiled, and readable with any umask of the clone. /assets has the
# part of it that collectstatic needs, /tests the tests.
FROM base AS code
ARG APP_MANAGE APP_PACKAGES APP_STATIC_MODULES APP_FRONTEND_FOLDER APP_FRONTEND_OUTPUT APP_MEDIA
COPY --from=frontend /output /output
# hadolint ignore=SC2086
RUN --mount=type=bind,target=/source \
    sources=/source/docker/sources \
 && $sources code /source /app "$APP_MANAGE" docker ${APP_PACKAGES:?inv variables prints it} \
 && $sources frontend /output /app "$APP_FRONTEND_FOLDER/$APP_FRONTEND_OUTPUT" \
 && chmod -R u=rwX,go=rX . \
 && $sources code /app /assets "$APP_MANAGE" $APP_PACKAGES \
 && $sources assets /assets $APP_PACKAGES \
 && $sources frontend /output /assets "$APP_FRONTEND_FOLDER/$APP_FRONTEND_OUTPUT" \
 && $sources tests /source /tests $APP_PACKAGES \
 && cp --parents docker/measured.py /tests \
 && rm docker/measured.py docker/sources \
 && chmod -R u=rwX,go=rX /tests \
 && if [ "$APP_MEDIA" ]; then install -d -o 10001 -g 10001 "$APP_MEDIA"; fi \
 && python -m compileall -q --invalidation-mode checked-hash docker $APP_PACKAGES

# Static files, hashed and compressed; a change of code alone does not rebuild this stage.
FROM deps AS static
ARG APP_FOLDER APP_MANAGE APP_SETTINGS APP_STATIC
COPY --from=code /assets ./
RUN mkdir -p "$APP_STATIC" \
 && DJANGO_SETTINGS_MODULE=$APP_SETTINGS PYTHONPATH=/app/$APP_FOLDER \
    python "$APP_MANAGE" collectstatic --noinput --verbosity 0

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
ARG APP_FOLDER APP_SETTINGS APP_STATIC
ENV DJANGO_SETTINGS_MODULE=$APP_SETTINGS \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONPATH=/app/$APP_FOLDER
COPY --link --from=deps /opt/venv /opt/venv
COPY --link --from=static /app/$APP_STATIC /app/$APP_STATIC

FROM prepared AS runtime
COPY --link --from=code /app /app
# What docker/ knows of the app.
ARG APP_MANAGE APP_PACKAGES APP_SERVER APP_APPLICATION APP_CELERY APP_LEVEL APP_LIVE APP_READY APP_PAGE APP_STATIC
ENV APP_MANAGE=$APP_MANAGE \
    APP_PACKAGES=$APP_PACKAGES \
    APP_SERVER=$APP_SERVER \
    APP_APPLICATION=$APP_APPLICATION \
    APP_CELERY=$APP_CELERY \
    APP_LEVEL=$APP_LEVEL \
    APP_LIVE=$APP_LIVE \
    APP_READY=$APP_READY \
    APP_PAGE=$APP_PAGE \
    APP_STATIC=$APP_STATIC
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
COPY --link --from=code /tests /app
ARG APP_SETTINGS_TEST
ENV COVERAGE_FILE=/tmp/coverage \
    DJANGO_SETTINGS_MODULE=$APP_SETTINGS_TEST \
    PYTEST_ADDOPTS="-o cache_dir=/tmp/pytest"
HEALTHCHECK NONE
CMD ["pytest"]

FROM test AS dev
COPY --link --from=dev-deps /opt/venv /opt/venv
ARG APP_SETTINGS_DEV
ENV DJANGO_SETTINGS_MODULE=$APP_SETTINGS_DEV
CMD ["sh", "-c", "exec python \"$APP_MANAGE\" runserver 0.0.0.0:8000"]

# The default target of a build.
FROM runtime
