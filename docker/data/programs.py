"""Run programs, alone or as a chain: each one's exit status counts, nothing plain is on disk."""

import hashlib
import os
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager

CHUNK = 1 << 20


class Failed(Exception):
    """What went wrong, in one line."""


def run(*words, text="", env=None, user=None):
    """Return what a program prints. Raises Failed with its last line if it fails.

    Args:
        user: who runs it, with that group; else who runs this.
    """
    who = {"user": user, "group": user, "extra_groups": []} if user else {}
    env = {**os.environ, **(env or {})}
    done = subprocess.run(words, input=text, capture_output=True, text=True, env=env, **who)
    if done.returncode:
        raise Failed(_why(words, done.returncode, done.stderr))
    return done.stdout


@contextmanager
def chain(*programs, fds=(), source=None, said=None):
    """Run programs, each one's output the input of the next; yield the last one's output.

    Raises Failed, at the end, with the first of them that failed.

    Args:
        fds: the numbers of files that the programs may read besides.
        source: the file that the first one reads.
        said: a list that gets what each has written on standard error.
    """
    with ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in programs]
        running, taken = [], source or subprocess.DEVNULL
        for words, log in zip(programs, logs, strict=True):
            each = subprocess.Popen(
                words, stdin=taken, stdout=subprocess.PIPE, stderr=log, pass_fds=fds
            )
            if running:
                taken.close()
            taken = each.stdout
            running.append(each)
        try:
            yield taken
            taken.read()
        except BaseException:
            for each in running:
                each.kill()
            raise
        finally:
            taken.close()
            codes = [each.wait() for each in running]
        for words, code, log in zip(programs, codes, logs, strict=True):
            log.seek(0)
            text = log.read().decode(errors="replace")
            if code:
                raise Failed(_why(words, code, text))
            if said is not None:
                said.append(text)


def _why(words, code, said):
    return f"{words[0]} failed with status {code}: {reason(said)}"


def reason(said):
    """Return the line with the reason of what a program has written on standard error."""
    lines = [line for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if "error:" in line or "ERROR:" in line] or lines[-1:]
    return errors[0].strip() if errors else "no reason"


def save(output, path):
    """Write a stream to a file, down to the disk; return its size and its SHA-256.

    Raises Failed if the disk does not take it.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with open(path, "xb") as file:
            while part := output.read(CHUNK):
                digest.update(part)
                size += file.write(part)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Failed(f"{path}: {error.strerror}") from None
    return {"size": size, "sha256": digest.hexdigest()}


def measure(output):
    """Return the size and the SHA-256 of a stream."""
    digest, size = hashlib.sha256(), 0
    while part := output.read(CHUNK):
        digest.update(part)
        size += len(part)
    return {"size": size, "sha256": digest.hexdigest()}


@contextmanager
def in_memory(text):
    """Yield the number of a file that is in memory only, for a key."""
    number = os.memfd_create("key")
    try:
        os.write(number, text.encode())
        os.lseek(number, 0, os.SEEK_SET)
        yield number
    finally:
        os.close(number)
