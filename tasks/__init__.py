"""The table of contents: the tasks that `inv --list` shows."""

from invoke import Collection

from . import check, completion, develop, observe, operate, publish, rehearse, ship
from .lib import executor

executor.install()

images = Collection()
images.add_task(publish.images, default=True)
images.add_task(publish.prune)

lab = Collection()
lab.add_task(rehearse.up)
lab.add_task(rehearse.down)
lab.add_task(rehearse.status)

server = Collection()
server.add_task(operate.setup)

secrets = Collection()
secrets.add_task(operate.set_secret)
secrets.add_task(operate.list_secrets)
secrets.add_task(operate.remove_secret)

namespace = Collection(
    develop.dev,
    develop.down,
    develop.logs,
    develop.manage,
    develop.psql,
    develop.shell,
    check.test,
    check.lint,
    check.format,
    check.types,
    check.migrations,
    check.quality,
    check.audit,
    check.requirements,
    observe.doctor,
    observe.status,
    observe.history,
    completion.completion,
    publish.login,
    publish.build,
    publish.release,
    ship.preflight,
    ship.deploy,
    ship.rollback,
    ship.destroy,
    operate.unlock,
    rehearse.rehearse,
    images=images,
    lab=lab,
    secrets=secrets,
    server=server,
)
