"""The app's database role, Redis' password, and what a password's rotation and a rollback need."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tasks.lib.orchestrators.swarm import network
from tests.testbed.commands import docker, until
from tests.testbed.onehost import OneHost
from tests.testbed.sites import Site

pytestmark = [pytest.mark.engine, pytest.mark.slow]
ROWS = "SELECT code, target, clicks FROM myapp_link WHERE code LIKE 'mine-%' ORDER BY code;"
FILL = (
    "INSERT INTO myapp_link (code, target, created_at, clicks) SELECT 'mine-' || n, "
    "'https://example.com/' || n, now(), n FROM generate_series(1, 500) n;"
)
MIGRATION = """
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("myapp", "{before}")]
    operations = [
        migrations.RunSQL("CREATE TABLE made (id serial PRIMARY KEY)", "DROP TABLE made"),
    ]
"""
# What the app's own role asks, and the program that prints an answer, or an error's name, for each.
QUESTIONS = (
    "SELECT session_user",
    "SELECT rolsuper FROM pg_roles WHERE rolname = session_user",
    "UPDATE myapp_link SET clicks = clicks",
    "CREATE TABLE mine (i int)",
    "DROP TABLE myapp_link",
    "SELECT count(*) FROM pg_authid",
)
PROGRAM = f"""
import json, django
django.setup()
from django.db import connection, transaction
answers = []
for question in {QUESTIONS}:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(question)
            answers.append(str(cursor.fetchone()[0]) if cursor.description else "done")
            transaction.set_rollback(True)
    except Exception as error:
        answers.append(type(error.__cause__).__name__)
print(json.dumps(answers))
"""
# Compose's file as it was when another password of the superuser restarted the database.
NEWEST = {
    "{source: POSTGRES_PASSWORD_FIRST, target: /run/secrets/POSTGRES_PASSWORD, ": (
        "{source: POSTGRES_PASSWORD, "
    ),
    "  POSTGRES_PASSWORD_FIRST: {external: true}\n": "",
}
# Compose's file as it was when the app was PostgreSQL's superuser, and Redis had no password.
BEFORE = NEWEST | {
    "postgres://app_user_${DATABASE_PASSWORD_VERSION:-}@db": "postgres://app@db",
    "    DATABASE_OWNER: app_owner_${OWNER_PASSWORD_VERSION:-}\n": "",
    "redis://default@redis": "redis://redis",
    "source: DATABASE_PASSWORD}": "source: POSTGRES_PASSWORD, target: DATABASE_PASSWORD}",
    '    secrets: [{source: REDIS_PASSWORD, uid: "999", gid: "999", mode: 0400}]\n': "",
    'REDISCLI_AUTH="$$(cat /run/secrets/REDIS_PASSWORD)" ': "",
    "  DATABASE_PASSWORD: {external: true}\n": "",
    "  REDIS_PASSWORD: {external: true}\n": "",
    "    driver: overlay\n": "    driver: overlay\n    attachable: true\n",
}


def older(root: Path) -> None:
    """Make of a clone one from before; only the app's image is of today."""
    file = root / "compose/server.yml"
    text = file.read_text()
    start, end = (
        text.index("    command:\n      - sh\n"),
        text.index("    secrets: [{source: REDIS"),
    )
    text = text[:start] + '    command: [redis-server, --appendonly, "yes"]\n' + text[end:]
    file.write_text(text)
    change(file, BEFORE)
    settings = root / "invoke.yaml"
    whole = settings.read_text()
    names = ", DATABASE_PASSWORD, OWNER_PASSWORD, REDIS_PASSWORD]"
    assert names in whole
    settings.write_text(whole.replace(names, "]"))


def change(file: Path, texts: dict[str, str]) -> None:
    """Write old texts in a file instead of new ones."""
    text = file.read_text()
    for new, old in texts.items():
        assert new in text
        text = text.replace(new, old)
    file.write_text(text)


@pytest.fixture(scope="module")
def swarm_place(deployed: Site, make_clone, tmp_path_factory) -> Iterator[Site]:
    """Another environment of the lab, to which nothing was deployed yet."""
    site = other(deployed, make_clone, tmp_path_factory.mktemp("plane"))
    site.must("server.setup")
    yield site
    site.wipe()


@pytest.fixture(scope="module")
def one_host_place(one_host: OneHost, make_clone, tmp_path_factory) -> Iterator[Site]:
    """Another environment on one Docker host, deployed."""
    site = other(one_host, make_clone, tmp_path_factory.mktemp("onehost"))
    site.set_up()
    site.must("deploy", f"--ref={site.good}")
    yield site
    site.wipe()


def other(site: Site, make_clone: Callable[[Path], Path], folder: Path) -> Site:
    """Another environment of a site's lab, of which nothing is there."""
    made = type(site)(make_clone(folder / "new"), site.lab, env="staging", good=site.good)
    made.wipe()
    return made


@pytest.fixture
def place(request: pytest.FixtureRequest) -> Site:
    """The other environment of a lab."""
    places = {"deployed": "swarm_place", "one_host": "one_host_place"}
    made: Site = request.getfixturevalue(places[getattr(request, "param", "deployed")])
    return made


def labels(site: Site, kind: str) -> dict[str, dict[str, str]]:
    """The labels of the secrets or configs of a site, by their names."""
    script = f"docker {kind} ls -q | xargs docker {kind} inspect"
    found = {
        each["Spec"]["Name"]: each["Spec"]["Labels"]
        for each in json.loads(site.on("node1", script))
    }
    own = {name: each for name, each in found.items() if name.startswith(f"{site.stack}_")}
    return {name: each for name, each in own.items() if "_lock_" not in name}


def inside(site: Site, service: str, command: str, text: str = "", tries: int = 3) -> str:
    """What a command prints in a replica; in another one if that, which may drain, has gone."""
    chosen = f"docker ps -q {site.box(service)} | head -1"
    node, replica = next(
        (node, one) for node in site.nodes if (one := site.on(node, chosen).strip())
    )
    try:
        return site.on(node, f"docker exec -i {replica} {command}", text)
    except RuntimeError:
        if tries == 1:
            raise
        return inside(site, service, command, text, tries - 1)


def ask(site: Site) -> list[str]:
    """What the app's own role is answered; see QUESTIONS."""
    return list(json.loads(inside(site, "app", "python -", PROGRAM)))


def redis(site: Site, *words: str) -> str:
    """What Redis answers to a client beside it, without a password."""
    script = f"docker exec $(docker ps -q {site.box('redis')}) redis-cli {' '.join(words)} 2>&1"
    return site.on("node1", script)


def least_rights(site: Site) -> None:
    """See that the app has no rights but those that it needs."""
    role, superuser, writes, *others = ask(site)
    assert role.startswith("app_user_v") and (superuser, writes) == ("False", "done")
    assert others == ["InsufficientPrivilege"] * 3
    roles = site.sql("SELECT rolname, rolsuper FROM pg_roles WHERE rolname ~ '^app_(user|owner)';")
    assert "|t" not in roles
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public';"
    assert site.sql(owners) == "app_owner"
    assert redis(site, "ping").strip().endswith("NOAUTH Authentication required.")


def test_a_stack_of_a_superuser_is_moved_without_loss_and_rolled_back(place, make_clone, tmp_path):
    before = Site(make_clone(tmp_path / "old"), place.lab, env=place.env, good=place.good)
    older(before.root)
    mine = f"com.docker.stack.namespace={place.stack}"
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD"):
        made = f"docker secret create --label {mine} {place.stack}_{name}_v1 -"
        place.on("node1", made, secrets.token_hex(30))
    before.must("deploy", f"--ref={place.good}")
    place.sql(FILL)
    rows = place.sql(ROWS)
    assert rows.count("\n") == 499
    assert ask(place)[:2] == ["app", "True"]

    # New: the passwords are missing, and a preflight says what to type.
    refused = place.inv("preflight", f"--ref={place.good}")
    assert refused.status == 2 and "secret OWNER_PASSWORD is missing - " in refused.text
    made = place.must("secrets.set", "--random")
    assert f"stored as {place.stack}_REDIS_PASSWORD_v1" in made.text
    assert "none is missing" in place.must("secrets.set", "--random").text
    with place.load() as load:
        done = place.must("deploy", f"--ref={place.good}")
    assert load.failures == []
    assert "setting up the database's roles" in done.text
    assert f"warning: network {place.stack}_default was made attachable - " in done.text
    assert place.sql(ROWS) == rows
    least_rights(place)
    for kind in ("secret", "config"):
        assert {tuple(each) for each in labels(place, kind).values()} == {("deploy.stack",)}

    place.must("rollback")
    place.serves(place.good)
    until(lambda: ask(place)[0] == "app", 60)
    assert place.sql(ROWS) == rows
    place.must("deploy", f"--ref={place.good}")
    until(lambda: ask(place)[0] != "app", 60)
    least_rights(place)
    assert place.sql(ROWS) == rows


@pytest.mark.either
def test_migrations_have_the_owner_and_the_app_may_use_what_they_make(place):
    newest = max(file.stem for file in (place.root / "myapp/migrations").glob("0*.py"))
    file = {"=myapp/migrations/9000_made.py": MIGRATION.format(before=newest)}
    commit = place.build("a table", file)
    done = place.must("deploy", f"--ref={commit}")
    assert "setting up the database's roles" not in done.text
    assert place.sql("SELECT tableowner FROM pg_tables WHERE tablename = 'made';") == "app_owner"
    granted = "SELECT has_table_privilege('app_user', 'made', 'INSERT,UPDATE,DELETE');"
    assert place.sql(granted) == "t"
    least_rights(place)
    place.must("manage", f"migrate myapp {newest}")
    assert place.sql("SELECT count(*) FROM pg_tables WHERE tablename = 'made';") == "0"
    place.must("deploy", f"--ref={place.good}")


def failed(site: Site) -> str:
    """What the proxy says of requests that failed: who ended them, and how long they took."""
    proxy = f"$(docker ps -q {site.box('proxy')} | head -n 1)"
    return site.on("node1", f"docker logs {proxy} 2>&1 | grep '\"status\":50' | tail -n 4")


@pytest.mark.either
def test_every_password_is_rotated_without_a_failed_request_and_rolled_back(place):
    place.must("deploy", f"--ref={place.good}")
    number = max(int(each["number"]) for each in place.history())
    (old, *_) = ask(place)
    names = ("DATABASE_PASSWORD", "OWNER_PASSWORD", "REDIS_PASSWORD")
    for name in names:
        place.must("secrets.set", f"--name={name}", "--random")
    with place.load() as load:
        place.must("deploy", f"--ref={place.good}")
    assert load.failures == [], failed(place)
    until(lambda: ask(place)[0] != old, 60)
    least_rights(place)
    place.must("rollback", f"--to={number}")
    until(lambda: ask(place)[0] == old, 60)
    place.must("deploy", f"--ref={place.good}")
    database = place.tasks("db")
    with place.load() as load:
        for name in ("POSTGRES_PASSWORD", "DATABASE_PASSWORD"):
            done = place.must("secrets.rotate", f"--name={name}")
            assert "setting up the database's roles" in done.text
    assert load.failures == [], failed(place)
    assert place.tasks("db") == database
    admins = "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'app_admin_v%' AND rolcanlogin;"
    assert place.sql(admins) == "1"
    least_rights(place)
    assert "nothing to do" in place.must("deploy", f"--ref={place.good}").text


@pytest.mark.either
def test_a_database_that_an_older_pipeline_gave_a_later_password_is_not_restarted(
    place, make_clone, tmp_path
):
    before = type(place)(make_clone(tmp_path / "old"), place.lab, env=place.env, good=place.good)
    change(before.root / "compose/server.yml", NEWEST)
    place.must("secrets.set", "--name=POSTGRES_PASSWORD", "--random")
    before.must("deploy", f"--ref={place.good}")
    database, number = place.tasks("db"), place.history()[0]["number"]
    with place.load() as load:
        done = place.must("deploy", f"--ref={place.good}")
    assert load.failures == []
    assert "db changes" not in done.text
    assert place.tasks("db") == database
    least_rights(place)
    place.must("secrets.rotate", "--name=POSTGRES_PASSWORD")
    place.must("rollback", f"--to={number}")
    assert place.tasks("db") == database


@pytest.mark.either
@pytest.mark.fault("somebody has made tables and roles in the database by hand")
def test_what_was_changed_by_hand_in_the_database_is_repaired_by_a_deploy(place, fault):
    place.sql("CREATE TABLE by_hand (i int); CREATE ROLE app_user_v99 LOGIN;")
    commit = place.build("another one")
    done = place.must("deploy", f"--ref={commit}")
    assert "setting up the database's roles" in done.text
    fault(done, status=0, serves=commit, where=place)
    assert place.sql("SELECT rolcanlogin FROM pg_roles WHERE rolname = 'app_user_v99';") == "f"
    least_rights(place)
    place.sql("DROP TABLE by_hand; DROP ROLE app_user_v99;")
    place.must("deploy", f"--ref={place.good}")


def values(site: Site) -> dict[str, str]:
    """The passwords, as the containers have them."""
    known = {
        "app": ("SECRET_KEY", "DATABASE_PASSWORD", "REDIS_PASSWORD"),
        "db": ("POSTGRES_PASSWORD",),
    }
    return {
        name: inside(site, service, f"cat /run/secrets/{name}").strip()
        for service, names in known.items()
        for name in names
    }


def test_no_password_is_in_what_docker_shows(place):
    place.must("secrets.set", "--random")
    place.must("deploy", f"--ref={place.good}")
    known = values(place)
    assert len(known) == 4
    inspect = "docker ps -q | xargs -r docker inspect; ps -ef"
    shown = {node: place.on(node, inspect) for node in place.nodes}
    assert "/run/secrets/" in "".join(shown.values())
    for node in place.nodes:
        assert [name for name, value in known.items() if value in shown[node]] == []
        assert [
            name for name, value in known.items() if value in docker("logs", place.nodes[node])
        ] == []


@pytest.mark.fault("somebody has removed the stack with docker stack rm")
def test_a_stack_that_docker_has_removed_is_deployed_again_with_its_secrets(place, fault):
    place.must("secrets.set", "--random")
    place.must("deploy", f"--ref={place.good}")
    before, rows = values(place), place.sql(ROWS)
    place.on("node1", f"docker stack rm {place.stack}")
    there = f"docker network ls -q -f name=^{place.stack}_default$"
    until(lambda: not any(place.on(node, there) for node in place.nodes), 90)
    done = place.must("deploy", f"--ref={place.good}")
    fault(done, status=0, serves=place.good, where=place)
    assert values(place) == before
    assert place.sql(ROWS) == rows
    least_rights(place)


@pytest.mark.fault("the network cannot be encrypted as ENCRYPTED says")
def test_a_network_that_cannot_be_encrypted_is_refused(place, tmp_path, fault):
    content = place.settings
    content["environments"][place.env]["values"]["ENCRYPTED"] = "true"
    file = tmp_path / "invoke.yaml"
    file.write_text(yaml.safe_dump(content))
    can = place.on("node1", network.IPSEC).strip() == "yes"
    refused = place.inv("deploy", f"--ref={place.good}", INVOKE_RUNTIME_CONFIG=str(file))
    fault(refused, status=2, serves=place.good, where=place)
    # Where the kernel can, it is the network that is there which is not.
    assert ("its kernel cannot encrypt the network (no ESP) - " in refused.text) == (not can)
    assert f"network {place.stack}_default was made not encrypted - " in refused.text
    assert "nothing to do" in place.must("deploy", f"--ref={place.good}").text
