# Stand-in for postgres:18-trixie: PostgreSQL 18 of Debian's next release, behind the entrypoint of the
# stand-in for 17. Like the official image, its volume is the parent of the data, whose path has the version.
FROM debian:forky-slim
# hadolint ignore=DL3008
RUN groupadd --system --gid 999 postgres \
 && useradd --system --gid postgres --uid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres \
 && apt-get -o Acquire::Check-Valid-Until=false update \
 && apt-get install --yes --no-install-recommends postgresql-common tzdata \
 && sed -i 's/^#create_main_cluster .*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf \
 && apt-get install --yes --no-install-recommends postgresql-18 \
 && rm -rf /var/lib/apt/lists/* \
 && sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" /usr/share/postgresql/18/postgresql.conf.sample \
 && install -d -o postgres -g postgres -m 3777 /run/postgresql \
 && install -d -o postgres -g postgres -m 1777 /var/lib/postgresql
COPY postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
ENV PATH=/usr/lib/postgresql/18/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV LANG=C.UTF-8 PGDATA=/var/lib/postgresql/18/docker
RUN echo 'Acquire::Check-Valid-Until "false";' >/etc/apt/apt.conf.d/90old
VOLUME /var/lib/postgresql
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]
