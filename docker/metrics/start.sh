# shellcheck shell=sh
# Sourced before a server of the app starts, in the role ROLE. If METRICS is a port, the server counts
# what it does in files of this container, and a process beside it serves them there. Nothing publishes that
# port. With ERRORS, it sends errors to Sentry; with TRACES, a share, traces. Without these, nothing here runs.
if [ "${METRICS:-}${ERRORS:-}${TRACES:-}" ]; then
    export PYTHONPATH="/app/docker/metrics:${PYTHONPATH:-}"
    if [ "${METRICS:-}" ]; then
        export PROMETHEUS_MULTIPROC_DIR="${TMPDIR:-/tmp}/metrics"
        rm -rf "$PROMETHEUS_MULTIPROC_DIR"
        mkdir -m 700 "$PROMETHEUS_MULTIPROC_DIR"
        python -m appmetrics.serve "$ROLE" &
    fi
    export METRICS_SETTINGS="$DJANGO_SETTINGS_MODULE" DJANGO_SETTINGS_MODULE=appmetrics.settings
fi
