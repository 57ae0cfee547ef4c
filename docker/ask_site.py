"""Ask the site from one of its own replicas, whether or not its name and certificate are there yet.

    python ask_site.py PROXY APP SITE LIVEZ PAGE VERSION TIMES SECONDS

PROXY and APP are HOST:PORT here, SITE is the public address. Prints as JSON who answered, and what
is wrong. It needs nothing but Python: a deploy also runs it in images that are older than it.
"""

import http.client
import json
import ssl
import sys
import time
from urllib.parse import urlsplit

PAUSE = 0.1


def connected(proxy, app, site):
    """Return a connection to the proxy, or to the app if that has no certificate; and which."""
    made = http.client.HTTPConnection(proxy, timeout=5)
    made.connect()
    if site.scheme == "http":
        return made, "the proxy"
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        made.sock = context.wrap_socket(made.sock, server_hostname=site.hostname)
        return made, "the proxy"
    except (ssl.SSLError, ConnectionResetError):
        made.close()
        return http.client.HTTPConnection(app, timeout=5), "the app"


def wrong(connection, site, path, version):
    """Return what is wrong with the answer for a path; empty if nothing is."""
    headers = {"Host": site.netloc, "X-Forwarded-Proto": site.scheme, "Connection": "close"}
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status >= 400:
        return f"{path} answers {answer.status}"
    try:
        found = str(json.loads(body)["version"]) if version else ""
    except (ValueError, KeyError, TypeError):
        return f"{path} answers {answer.status}, but without a version"
    return (
        "" if found == version else f"{path} answers with version {found[:12]}, not {version[:12]}"
    )


def ask(proxy, app, address, livez, page, version, times, seconds):
    """Return who answered and what is wrong, after so many good answers in a row."""
    site, end, good, by = urlsplit(address), time.monotonic() + float(seconds), 0, proxy
    while good < int(times):
        failure = ""
        try:
            for path, expected in ((livez, version), (page, "")):
                connection, by = connected(proxy, app, site)
                failure = failure or wrong(connection, site, path, expected)
        except (OSError, http.client.HTTPException) as error:
            failure = f"{by} does not answer: {error}"
        good = 0 if failure else good + 1
        if failure and time.monotonic() > end:
            break
        if failure:
            time.sleep(PAUSE)
    return {"by": by, "wrong": failure}


if __name__ == "__main__":
    print(json.dumps(ask(*sys.argv[1:])))
