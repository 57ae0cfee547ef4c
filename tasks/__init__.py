"""The table of contents: the tasks that `inv --list` shows."""

from invoke import Collection

from . import (
    check,
    completion,
    database,
    develop,
    observe,
    operate,
    publish,
    rehearse,
    secret,
    ship,
)
from .lib import executor

executor.install()

namespace = Collection(
    *(develop.dev, develop.down, develop.logs, develop.manage, develop.psql, develop.shell),
    *(check.test, check.lint, check.format, check.types, check.migrations, check.quality),
    *(check.audit, check.requirements),
    *(observe.doctor, observe.variables, observe.status, observe.jobs, completion.completion),
    *(publish.login, publish.build, publish.release),
    *(ship.preflight, ship.deploy, ship.rollback, ship.destroy),
    *(operate.unlock, rehearse.rehearse),
    Collection("backup", database.backup, database.list_backups),
    Collection("restore", database.restore, database.drill),
    Collection("db", database.pull, database.upgrade),
    Collection("history", observe.history, observe.show, observe.audit, observe.adopt),
    Collection("images", publish.images, publish.prune),
    Collection(
        "monitor",
        observe.monitor,
        operate.monitor_up,
        operate.monitor_try,
        operate.monitor_down,
    ),
    Collection("lab", rehearse.up, rehearse.down, rehearse.status),
    Collection(
        *("secrets", secret.set_secret, secret.list_secrets, secret.remove_secret),
        *(secret.rotate_secret, secret.export_secrets, secret.import_secrets),
    ),
    Collection("server", operate.setup, operate.check),
)
