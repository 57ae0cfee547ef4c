"""A world to deploy in: what the scenarios of the conformance suite do, and look at."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import msgspec
import yaml
from invoke import Config, Context

from tasks.lib.deploys import preflight, proxy_check, rendering, turn
from tasks.lib.deploys.deployment import Deployment
from tasks.lib.deploys.released import release
from tasks.lib.environments import teardown
from tasks.lib.environments.connection import Target
from tasks.lib.environments.lock import Terms
from tasks.lib.environments.records import Record
from tasks.lib.images import contents, listing, promotion
from tasks.lib.images.promotion import Candidate
from tasks.lib.orchestrators.base import Orchestrator
from tasks.lib.orchestrators.stack import Stack
from tasks.lib.project import contract
from tasks.lib.project.settings import ROOT, Settings
from tasks.lib.registry.client import CONFIGS, Manifest, Registry
from tasks.lib.registry.reference import REVISION_LABEL, Reference
from tasks.lib.registry.session import Session

from .memory import Cluster, Image, MemoryOrchestrator
from .servers import LocalHost, registry, serving, site

KIND = "application/vnd.oci.image.manifest.v1+json"
Action = Callable[[], object]


class Killed(BaseException):
    """The deployer was killed: it does nothing any more, and nothing of it can be caught."""


class Faulty:
    """Stands before an orchestrator or a host, and meets it with a fault.

    Args:
        inner: what it stands before.
        before: by the name of a method, what is done once before its next call.
        after: the same, after the call.
        every: what is done before each call.
        late: seconds by which the servers' clock was set forward since a lease was made.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.before: dict[str, Action] = {}
        self.after: dict[str, Action] = {}
        self.dead = False
        self.every: Action = lambda: None
        self.late = 0.0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            self.meet(self.before, name)
            result = found(*arguments, **options)
            self.meet(self.after, name)
            if name == "lease" and result:
                return replace(result, age=result.age + self.late)
            return Faulty.of(result, self) if name in {"rollout", "waiting"} else result

        return call

    def meet(self, faults: dict[str, Action], name: str) -> None:
        """Do what is to be done at this call."""
        if self.dead:
            raise Killed
        self.every()
        if action := faults.pop(name, None):
            action()

    @classmethod
    def of(cls, inner: Any, parent: Faulty) -> Faulty:
        """A faulty rollout, whose faults are its orchestrator's."""
        made = cls(inner)
        made.__dict__ |= {"before": parent.before, "after": parent.after}
        made.meet = parent.meet  # type: ignore[method-assign]
        return made


class ByHand(Protocol):
    """What a person does to services with the orchestrator's own commands."""

    def scale(self, service: str, replicas: int) -> None: ...
    def set_variable(self, service: str, name: str, value: str) -> None: ...
    def set_image(self, service: str, image: Candidate) -> None: ...
    def remove(self, service: str) -> None: ...
    def unlabel(self) -> None: ...


class MemoryByHand:
    """By hand in memory."""

    def __init__(self, orchestrator: MemoryOrchestrator, registry: Registry) -> None:
        self._services, self._at = orchestrator.running_now, registry.image.at

    def scale(self, service: str, replicas: int) -> None:
        """Set the number of replicas."""
        self._services[service]["deploy"]["replicas"] = replicas

    def set_variable(self, service: str, name: str, value: str) -> None:
        """Set an environment variable."""
        self._services[service]["environment"][name] = value

    def set_image(self, service: str, image: Candidate) -> None:
        """Set an image."""
        self._services[service]["image"] = str(self._at(image.digest))

    def remove(self, service: str) -> None:
        """Remove a service."""
        del self._services[service]

    def unlabel(self) -> None:
        """Remove the labels of the release, as a tool does that deploys without them."""
        for service in self._services.values():
            service["deploy"]["labels"] = {}


class World:
    """An environment, with images of every behaviour, and what serves in it.

    Args:
        make: makes an image with a behaviour, such as exits=True; see memory.Image.
        render: makes the stack of an image.
        by_hand: changes what runs, past every record.
        pace: seconds between two renewals of the lock, where a scenario waits for them.
    """

    # How the place of the history is named.
    place = "/prod/releases"

    def __init__(
        self,
        target: Target,
        make: Callable[..., Candidate],
        render: Callable[[World, Candidate], Stack],
        by_hand: ByHand,
        pace: float = 0.02,
    ) -> None:
        self.target, self._make, self._render = target, make, render
        self.by_hand, self.pace, self.url = by_hand, pace, target.url
        self.orchestrator = Faulty(target.orchestrator)
        target.orchestrator = self.orchestrator  # type: ignore[assignment]
        # A cluster has no server of ours.
        self.host = Faulty(target.hosts[0] if target.hosts else None)
        target.hosts[:1] = [self.host] if target.hosts else []  # type: ignore[list-item]
        self.store = Faulty(None)
        self._faults = (self.orchestrator, self.host, self.store)
        self.find_history()

    def find_history(self) -> None:
        """Look for the history where the settings say that it is."""
        for name in ("store", "history"):
            self.target.__dict__.pop(name, None)
        self.store.inner = self.target.store
        self.target.__dict__["store"] = self.store

    def image(self, tested: bool = True, **behaviour: Any) -> Candidate:
        """A new image, which works unless its behaviour says otherwise."""
        made = self._make(**behaviour, marked=tested)
        if tested:
            promotion.mark_tested(self.target.registry, made.manifest.digest)
        return made

    # What people do; the bodies of the verbs.

    def deploy(self, image: Candidate | None = None, force: str = "") -> None:
        """Deploy an image and release it; without one, deploy the released image."""
        ref = image.manifest.digest if image else ""
        prepared = partial(self._prepared, ref, force)
        with turn.to_deploy(self.target, prepared, force) as (lock, found, stack):
            deployment = Deployment.of_image(self.target, stack, found, lock, force)
            deployment.plan()
            deployment.run_if_needed()
            if ref:
                release(deployment)

    def _prepared(self, ref: str, force: str) -> tuple[Candidate, Stack]:
        found = preflight.resolve_image(self.target, ref)
        preflight.check(self.target, found, force)
        stack = self.render(found)
        old = proxy_check.before(self.target)
        preflight.check_stack(self.target, stack, self.target.orchestrator.ports(), old)
        return found, stack

    def render(self, image: Candidate) -> Stack:
        """The stack of an image."""
        return self._render(self, image)

    def rollback(self, to: str = "", force: str = "") -> None:
        """Roll back."""
        with turn.to_roll_back(self.target, to, force) as lock:
            deployment = Deployment.back_to(self.target, to, lock, force)
            deployment.plan()
            deployment.run()
            release(deployment)

    def prune(self) -> None:
        """Delete every image that nothing keeps."""
        registry, environments = self.target.registry, self.target.settings.environments
        for image in listing.prunable(contents.read(registry), 0, environments):
            registry.delete(image.digest)

    def wait_for(self, **seconds: float) -> None:
        """Change the deploy's timeout or soak, also to less than a second."""
        settings = self.target.settings
        changed = msgspec.structs.replace(settings.deploy, **seconds)
        self.target.settings = msgspec.structs.replace(settings, deploy=changed)

    def set_url(self, url: str) -> None:
        """Give the site another address; it answers at its own all the same."""
        self.target.environment = msgspec.structs.replace(self.target.environment, url=url)

    # What meets them.

    def kill(self) -> None:
        """Kill the deployer: from now on it does nothing."""
        for each in self._faults:
            each.dead = True
        raise Killed

    def restart(self) -> None:
        """Another deployer comes, a minute later."""
        for each in self._faults:
            each.dead = False
            each.before.clear()
        self.at_every_call(lambda: None)
        self.pass_by(60)

    def at_every_call(self, action: Action) -> None:
        """Do something before each call of the orchestrator or a server, or of the store."""
        self.orchestrator.every = action
        (self.host if self.target.hosts else self.store).every = action

    def pass_by(self, seconds: float, watch: float = 0) -> None:
        """Set the servers' clock; who wants the lock watches an old one for `watch` renewals."""
        self.orchestrator.late = seconds
        self.target.terms = Terms(renewal=self.pace, watch=watch * self.pace)

    def take_lock(self) -> None:
        """Another deploy takes the lock over."""
        note = json.dumps({"by": "ann", "doing": "deploys", "since": "now", "token": "x"})
        inner = self.orchestrator.inner
        assert inner.take_lease(inner.lease(), note)

    def other(self, path: str) -> Target:
        """The same environment for somebody else, whose folder on the servers is another one."""
        settings = self.target.settings
        deploy = msgspec.structs.replace(settings.deploy, path=path)
        return replace(
            self.target,
            settings=msgspec.structs.replace(settings, deploy=deploy),
            hosts=self.target.hosts[::-1],
        )

    def move(self, path: str) -> None:
        """Look for the history in another folder, as with another deploy.path or user."""
        settings = self.target.settings
        deploy = msgspec.structs.replace(settings.deploy, path=path)
        self.target.settings = msgspec.structs.replace(settings, deploy=deploy)
        self.find_history()

    def copy_history(self, path: str) -> None:
        """Copy the history to another folder, where an older one is then."""
        self.host.inner.run('cp -r "$1" "$2"', self.target.settings.deploy.path, path)

    @contextmanager
    def unreadable(self) -> Iterator[None]:
        """Make the history one that cannot be read."""
        path, run = self.target.path, self.host.inner.run
        run('mv "$1/releases" "$1/kept"; touch "$1/releases"', path)
        yield
        run('rm "$1/releases"; mv "$1/kept" "$1/releases"', path)

    def damage(self, number: int, file: str = "release.json") -> None:
        """Cut a file of the history short."""
        path = f"{self.target.path}/releases/{number}/{file}"
        self.host.inner.run('head -c 20 "$1" >"$1.cut"; mv "$1.cut" "$1"', path)

    # What is there afterwards.

    def serves(self) -> str:
        """The version that answers; "nothing" without an answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/livez", timeout=5) as answer:
                return str(json.load(answer)["version"])
        except (OSError, ValueError):
            return "nothing"

    def records(self) -> list[Record]:
        """The history, the newest first."""
        return self.target.history.read()


def small_stack(world: World, image: Candidate) -> Stack:
    """The stack of a small Compose project."""
    name = str(world.target.registry.image.at(image.manifest.digest))
    secrets = rendering.newest(world.target)
    return world.target.orchestrator.render(compose(name), name, secrets)


def compose(image: str) -> dict[str, Any]:
    """What `docker compose config` prints of a small project."""
    ours = {"image": image, "environment": {"A": "1"}, "deploy": {"replicas": 2}}
    database = {"image": "postgres:17", "environment": {}, "secrets": [], "deploy": {"replicas": 1}}
    database["volumes"] = [{"type": "volume", "source": "db", "target": contract.DATABASE_FOLDER}]
    proxy = {"image": "caddy:2", "deploy": {"replicas": 1}, "ports": [{"published": 80}]}
    services = {"app": ours, "worker": ours, "beat": ours, "db": database, "proxy": proxy}
    return {"services": services, "configs": {"Caddyfile": ":80"}}


@contextmanager
def memory_world(folder: Path, **environment: Any) -> Iterator[World]:
    """A world in memory: only its orchestrator is; its host, registry and site are real."""
    cluster, numbers = Cluster(), count(1)
    orchestrator = MemoryOrchestrator(cluster, "myapp-prod")
    with serving(registry()) as place, serving(site(lambda path: reply(orchestrator, path))) as url:
        settings = configured(place, f"http://{url}", environment)
        there = Registry(Reference.parse(f"{place}/app"), Session(place))
        ctx = Context(Config(overrides={"run": {"dry": False, "echo": False}}))
        target = Target(
            ctx, settings, "prod", settings.environment("prod"), [LocalHost(folder / "home")],
            orchestrator, there, hooks=folder / "hooks",
        )  # type: ignore[list-item]  # fmt: skip

        def make(marked: bool, **behaviour: Any) -> Candidate:
            number = next(numbers)
            revision = f"{number:040x}"
            created = datetime.fromtimestamp(number, UTC).isoformat()
            manifest = push(there, revision, created=created)
            name = str(there.image.at(manifest.digest))
            cluster.images[name] = replace(Image(revision), **behaviour)
            return Candidate(manifest, revision)

        for name in settings.deploy.secrets:
            orchestrator.set_secret(name, "a value")
        yield World(target, make, small_stack, MemoryByHand(orchestrator, there))


def configured(place: str, url: str, environment: Mapping[str, Any]) -> Settings:
    """The project's settings, for an impatient environment at an address."""
    known = yaml.safe_load((ROOT / "invoke.yaml").read_text("utf-8"))
    del known["tasks"]
    known["deploy"] |= {"timeout": 1, "soak": 0, "keep": 3, "path": "deploy"}
    known["registry"] |= {"image": f"{place}/app"}
    known["environments"]["prod"] |= {"url": url, "hosts": ["memory"], "values": {"REPLICAS": 1}}
    known["deploy"] |= environment
    return msgspec.convert(known, Settings)


def push(there: Registry, revision: str, **more: str) -> Manifest:
    """Push an image that consists of its labels; `more` of them without their common prefix."""
    known = {REVISION_LABEL: revision} | {
        f"org.opencontainers.image.{k}": v for k, v in more.items()
    }
    config = json.dumps({"config": {"Labels": known}, "rootfs": {}}).encode()
    blob = {"mediaType": CONFIGS[0], "digest": there.put_blob(config), "size": len(config)}
    body = {"schemaVersion": 2, "mediaType": KIND, "config": blob, "layers": []}
    manifest = Manifest(json.dumps(body).encode(), KIND)
    there.put(revision or "unknown", manifest)
    return manifest


@contextmanager
def removed_in_the_end(world: World) -> Iterator[None]:
    """Remove all that was deployed to a world of real servers, whatever became of its deployer."""
    try:
        yield
    finally:
        world.restart()
        world.target.unlock()
        teardown.remove(world.target, volumes=True)


def reply(orchestrator: MemoryOrchestrator, path: str) -> tuple[int, str]:
    """What the app answers."""
    image = orchestrator.serving()
    if image is None:
        return 503, ""
    if path == "/livez":
        return 200, json.dumps({"version": image.revision})
    return image.page, "home"


def is_orchestrator(candidate: Orchestrator) -> Orchestrator:
    """For the type checker: what is given fulfils the protocol."""
    return candidate
