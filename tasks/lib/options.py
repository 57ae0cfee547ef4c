"""The options that several tasks have, as their help explains them."""

ENV = "the environment, as invoke.yaml names it"
NAME = "the name of a dynamic environment: NAME of review/NAME"
CONFIRM = "the environment's name, instead of typing it, if invoke.yaml protects it"
VERIFY = "check the site from here (default), or on its server: for one not reached from here (yet)"
REPORT = "write an HTML report to this file (in CI: reports/deploy.html, or plan.html with --plan)"
JSON = "print one line of JSON for machines: docs/reports.md"
WAIT = "wait so long for the environment's lock, in order of arrival: 15m (default: not at all)"
