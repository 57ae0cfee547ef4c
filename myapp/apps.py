"""The one Django app of this project."""

from django.apps import AppConfig


class MyappConfig(AppConfig):
    """Names the app in the admin."""

    name = "myapp"
    verbose_name = "Short links"
