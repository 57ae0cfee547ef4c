"""`inv doctor` names what invoke.yaml says and the repository lacks, with the lines to add."""

from __future__ import annotations

import msgspec
import pytest

from tasks.lib.app import contract_check
from tasks.lib.project.settings import Monitoring
from tests.testbed.commands import ROOT
from tests.testbed.project import SETTINGS


def test_this_repository_lacks_nothing():
    assert contract_check.check(SETTINGS) == []


# What is replaced in a file, or the file that is removed; the key, a part of the message and lines.
CASES = [
    ("manage.py", "", "", "app.manage", "manage.py not found", "execute_from_command_line"),
    ("myapp/wsgi.py", "", "", "app.application", "no application in myapp/wsgi.py", "get_wsgi"),
    ("myapp/wsgi.py", "application =", "other =", "app.application", "no application", "wsgi"),
    ("myapp/celery.py", "", "", "app.celery", "no Celery app in myapp", "autodiscover_tasks"),
    ("myapp/settings/prod.py", "", "", "app.settings.released", "no module", "from .base"),
    ("requirements/app.txt", "pyuwsgi==", "other==", "requirements/app", "uwsgi is not", "uwsgi"),
    ("requirements/app.txt", "celery==", "other==", "requirements/app", "celery is not", "celery"),
    ("requirements/test.txt", "", "", "requirements/test", "not found", ""),
    ("Dockerfile", " AS prepared", " AS other", "Dockerfile", "no stage prepared", ""),
    (".gitignore", "/reports/", "", ".gitignore", "lacks reports/", "reports/"),
]


@pytest.mark.parametrize(("file", "old", "new", "key", "what", "lines"), CASES)
def test_what_is_missing_is_named_with_the_lines_to_add(clone, file, old, new, key, what, lines):
    path = clone / file
    text = path.read_text()
    assert old in text
    if old:
        path.write_text(text.replace(old, new))
    else:
        path.unlink()
    (problem,) = contract_check.check(SETTINGS, clone)
    assert problem.key == key
    assert what in problem.what
    assert lines in problem.lines


def test_metrics_need_their_library(clone):
    path = clone / "requirements/app.txt"
    path.write_text(path.read_text().replace("prometheus-client==", "other=="))
    assert contract_check.check(SETTINGS, clone) == []
    settings = msgspec.structs.replace(SETTINGS, monitoring=Monitoring(metrics=True))
    (problem,) = contract_check.check(settings, clone)
    assert problem.what == "prometheus-client is not in requirements/app.txt"


def test_errors_and_traces_need_their_libraries(clone):
    on = Monitoring(errors=True, traces=0.1)
    settings = msgspec.structs.replace(SETTINGS, monitoring=on)
    for server in ("uwsgi", "uvicorn"):
        app = msgspec.structs.replace(settings.app, server=server)
        changed = msgspec.structs.replace(settings, app=app)
        found = {problem.what.split()[0] for problem in contract_check.check(changed, clone)}
        # The pipeline's own tests have exactly these.
        asgi = {"opentelemetry-instrumentation-asgi"}
        own = (ROOT / "requirements/reporting.in").read_text().splitlines()
        wanted = {line for line in own if line[0] not in "#-"}
        assert found - {"uvicorn"} == (wanted if server == "uvicorn" else wanted - asgi)


def test_a_project_in_a_folder_with_an_asgi_application_is_looked_for_there(tmp_path):
    app = msgspec.structs.replace(
        SETTINGS.app, folder="backend", packages=["shop"], server="uvicorn", celery="",
        application="shop.asgi:application",
    )  # fmt: skip
    settings = msgspec.structs.replace(SETTINGS, app=app)
    found = {each.key: each for each in contract_check.check(settings, tmp_path)}
    assert found["app.manage"].what == "backend/manage.py not found"
    assert found["app.packages"].what == "backend/shop not found"
    assert found["app.application"].fix == "add to backend/shop/asgi.py"
    assert "get_asgi_application()" in found["app.application"].lines
    assert "'livez'" in found["app.probes.live"].lines
    assert found["app.static"].lines == 'STATIC_ROOT = BASE_DIR / "static"'
    assert "app.celery" not in found


def test_doctor_prints_the_lines_and_fails(clone, inv):
    (clone / "myapp/wsgi.py").unlink()
    done = inv("doctor", root=clone)
    assert done.returncode == 1
    shown = (
        "app.application: no application in myapp/wsgi.py - add to myapp/wsgi.py:\n\nimport os\n"
    )
    assert shown in done.stdout
