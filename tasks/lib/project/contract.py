"""The image contract: what tasks/ relies on in docker/, compose/ and the app, each name once."""

# The image's entrypoint and health check, and those of its roles that tasks run.
ENTRYPOINT, HEALTHCHECK = "/app/docker/entrypoint", "/app/docker/healthcheck"
MANAGE, STATIC, WAIT = "manage", "static", "wait"
CHECK, PENDING, MIGRATE, JOBS = "check", "pending", "migrate", "jobs"
# How lines of their output begin: a service that is waited for; the pending migrations as JSON.
WAITS, ANSWER = "waiting for ", '{"pending":'

# Services of compose/, and the volumes of compose/server.yml with the folders they are mounted on.
APP, WORKER, BEAT, DATABASE, REDIS = "app", "worker", "beat", "db", "redis"
PROXY = "proxy"
STATIC_FILES, STATIC_FOLDER = "static", "/srv/static"
DATABASE_FOLDER = "/var/lib/postgresql/data"
BACKUP, BACKUPS, BACKUPS_FOLDER = "backup", "backups", "/backups"
# The port at which the app's services serve metrics, if they do; none publishes it.
METRICS = 9464
# Celery's default queue.
QUEUE = "celery"
# The node with this value of the label STACK keeps what is on disk: compose/server.yml.
HOME = "home"

# Variables that name another database or other settings. The tasks run the app without them.
FOREIGN = (
    "DJANGO_SETTINGS_MODULE",
    "DATABASE_URL",
    "DATABASE_PASSWORD",
    "AMQP_URL",
    "REDIS_URL",
    "REDIS_PASSWORD",
)

# Where the app answers.
PORT = 8000

# Seconds that a worker has, beyond the time of a job, until it is killed: docker/drain.py.
JOB_GRACE = 30

# Secrets of compose/: the app's, and what takes their places in a job that changes the schema. The
# variables that go with them: the address of the database, and the owner of the schema.
LOGIN, REDIS_LOGIN = "DATABASE_PASSWORD", "REDIS_PASSWORD"
URL, OWNER = "DATABASE_URL", "DATABASE_OWNER"
OWNERS = {LOGIN: "OWNER_PASSWORD", URL: "OWNER_URL"}
# The secrets of the storage that backups are copied to.
STORAGE = {"BACKUP_ACCESS_KEY_ID", "BACKUP_SECRET_ACCESS_KEY"}
# The secret that encrypts the archive of the database, and where that is without a storage.
ARCHIVE_KEY, ARCHIVE = "ARCHIVE_KEY", "/archive/repository"
# The secret of the role that reads the database's statistics for Prometheus.
METRICS_LOGIN = "METRICS_PASSWORD"
# Where errors and traces go: secrets or variables of the app, by the setting of `monitoring`.
REPORTS = {"errors": "SENTRY_DSN", "traces": "OTEL_EXPORTER_OTLP_ENDPOINT"}
# Secrets that the app itself never has.
OTHERS = {"POSTGRES_PASSWORD", *OWNERS.values(), *STORAGE, ARCHIVE_KEY, METRICS_LOGIN}
# Secrets whose values only their operators know.
GIVEN = {URL, OWNERS[URL], *STORAGE, *REPORTS.values(), "OTEL_EXPORTER_OTLP_HEADERS"}
