"""The one door to the registry: references, credentials, its HTTP API."""
