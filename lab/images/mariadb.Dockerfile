# Stand-in for mariadb:11.8: Debian's MariaDB behind the official image's entrypoint contract. No lab needs it; a
# test builds it.
FROM debian:trixie-slim
# hadolint ignore=DL3008
RUN groupadd --system --gid 999 mysql \
 && useradd --system --gid mysql --uid 999 --home-dir /var/lib/mysql mysql \
 && apt-get update \
 && apt-get install --yes --no-install-recommends mariadb-server tzdata \
 && rm -rf /var/lib/apt/lists/* /var/lib/mysql/* \
 && sed -i 's/^bind-address .*/bind-address = 0.0.0.0/' /etc/mysql/mariadb.conf.d/50-server.cnf \
 && install -d -o mysql -g mysql /run/mysqld /var/lib/mysql
COPY mariadb-entrypoint.sh /usr/local/bin/docker-entrypoint.sh
VOLUME /var/lib/mysql
EXPOSE 3306
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["mariadbd"]
