"""What the app's servers do, as metrics of Prometheus; ../start.sh puts it on the path."""

import os

# The release that runs here: a label of what it counts.
RELEASE = os.environ.get("VERSION") or "dev"
# What stands for a label's value that is not one of a few known ones.
OTHER = "(other)"
