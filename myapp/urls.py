"""Which address does what."""

from django.contrib import admin
from django.urls import path, register_converter

from . import views
from .codes import CodeConverter

register_converter(CodeConverter, "code")

urlpatterns = [
    path("", views.home, name="home"),
    path("admin/", admin.site.urls),
    path("<code:code>", views.follow, name="follow"),
]
