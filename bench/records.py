"""How long looking takes when much is remembered: deploys, tags in the registry, environments."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from statistics import median

from bench.sites import ENVIRONMENT, Lab, lab
from bench.table import Row
from tests.testbed.scratch import Scratch
from tests.testbed.sites import Site

REMEMBERED, TAGS, ENVIRONMENTS, TIMES, LIMIT = (10, 100, 1000), 5000, 20, 3, 3
LOOKS = ("status", "history", "images", "deploy --plan")
# Copies of the first release, with other numbers.
COPY = """
cd "$1/releases"; last="$2"; first=$(ls | sort -n | head -n 1); number=$first
while [ "$number" -lt "$last" ]; do
    number=$((number + 1)); [ -e "$number" ] && continue
    cp -r "$first" "$number"
    sed -i "s/\\"number\\": $first,/\\"number\\": $number,/" "$number/release.json"
done
chown -R deploy: .
"""


def measure(scratch: Scratch) -> list[Row]:
    """Each look at an environment, with more and more that is remembered."""
    with lab(scratch, 1) as one:
        site = crowded(one)
        newest = one.change()
        site.deploy(newest)
        return [row for count in REMEMBERED for row in looks(site, count)]


def crowded(one: Lab) -> Site:
    """The site, among many environments, and with many tags in the registry."""
    settings = one.site.settings
    here = settings["environments"][ENVIRONMENT]
    settings["environments"] |= {f"place-{n}": here for n in range(ENVIRONMENTS)}
    settings["deploy"] = settings.get("deploy", {}) | {"keep": 1000}
    site = one.changed(settings)
    manifest = site.registry.manifest(one.change())
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: site.registry.put(f"{n:040x}", manifest), range(TAGS)))
    return site


def looks(site: Site, count: int) -> list[Row]:
    """The time of each look when so many deploys are remembered."""
    folder = f"deploy/myapp/{ENVIRONMENT}"
    site.on("node1", f"set -- {folder} {count}; {COPY}")
    rows = []
    for look in LOOKS:
        taken = median(site.must(*look.split()).seconds for _ in range(TIMES))
        what = f"`inv {look}`, {count} deploys, {TAGS} tags, {ENVIRONMENTS} environments"
        rows.append(Row(what, taken, limit=LIMIT))
    return rows
