"""The app's tests: `manage.py test` and pytest both run them."""
