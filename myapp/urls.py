"""Which address does what."""

from django.conf import settings
from django.conf.urls.static import static
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
# In development; on servers, the proxy does it.
urlpatterns += static(settings.MEDIA_URL, document_root=settings.MEDIA_ROOT)
