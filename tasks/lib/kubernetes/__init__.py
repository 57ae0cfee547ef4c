"""The one door to clusters of Kubernetes: how to reach one, and its objects."""
