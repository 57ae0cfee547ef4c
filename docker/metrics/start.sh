# shellcheck shell=sh
# Sourced before a server of the app starts, in the role ROLE: if METRICS is a port, the server counts
# what it does in files of this container, and a process beside it serves them there. Nothing publishes that
# port. Without METRICS, nothing here runs.
if [ "${METRICS:-}" ]; then
    export PROMETHEUS_MULTIPROC_DIR="${TMPDIR:-/tmp}/metrics" PYTHONPATH="/app/docker/metrics:${PYTHONPATH:-}"
    rm -rf "$PROMETHEUS_MULTIPROC_DIR"
    mkdir -m 700 "$PROMETHEUS_MULTIPROC_DIR"
    python -m appmetrics.serve "$ROLE" &
    export METRICS_SETTINGS="$DJANGO_SETTINGS_MODULE" DJANGO_SETTINGS_MODULE=appmetrics.settings
fi
