"""The classes of a cluster's objects, which several threads use at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tasks.lib.kubernetes import objects
from tests.testbed.commands import ROOT

# All threads begin at once to read an object of a kind that none has read before.
READ = """
import json, sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from lightkube.core import decoders
from tasks.lib.kubernetes import objects

sys.setswitchinterval(1e-6)
kind, threads = sys.argv[1], 8
made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "a", "labels": {"b": "c"}}}
# What some kinds must have.
made |= {"involvedObject": {}, "provisioner": "a", "spec": {
    "selector": {}, "template": {}, "serviceName": "a", "containers": [{"name": "a"}],
    "maxReplicas": 1, "scaleTargetRef": {"kind": "Deployment", "name": "a"},
}}
text, together = json.dumps({**made, "items": [made]}).encode(), Barrier(threads)

def read(number):
    together.wait()
    found = objects.resource(kind)
    one = (decoders.decode_object, decoders.decode_list)[number % 2](text, found)
    return (one[2][0] if number % 2 else one).metadata.name

with ThreadPoolExecutor(threads) as pool:
    print(*{*pool.map(read, range(threads))})
"""
KINDS = sorted({kind for kinds in objects.MODULES.values() for kind in kinds})


@pytest.mark.parametrize("kind", [*KINDS, *objects.OTHERS])
def test_objects_of_a_kind_that_are_read_by_several_threads_at_once_are_read(kind):
    words = [sys.executable, "-c", READ, kind]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "a"), done.stderr
