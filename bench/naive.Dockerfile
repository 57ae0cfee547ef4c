# The old setup, to measure against: one stage, everything copied, then installed; uWSGI from its
# source, as always with the package of that name, and the build tools that it needs stay in.
FROM python:3.13-slim-trixie
# hadolint ignore=DL3008,DL3009,DL3015
RUN apt-get update && apt-get install -y build-essential python3-dev libpq-dev libpcre2-dev libssl-dev gettext git curl
WORKDIR /app
COPY . .
# Python packages of Debian, where the base image has any, cannot be uninstalled: leave them be.
# hadolint ignore=DL3042
RUN pip install --ignore-installed --no-binary pyuwsgi -r requirements/app.txt
# hadolint ignore=DL3059
RUN DJANGO_SETTINGS_MODULE=myapp.settings.prod python manage.py collectstatic --noinput
EXPOSE 8000
CMD ["uwsgi", "--http-socket=:8000", "--master", "--module=myapp.wsgi:application"]
