"""The admin: looking links up, giving them an image, taking bad ones down."""

from django.contrib import admin
from django.http import HttpRequest

from .forms import AdminLinkForm
from .models import Link

admin.site.site_header = admin.site.site_title = "Short links"


@admin.register(Link)
class LinkAdmin(admin.ModelAdmin):
    """Lists links; a code that people know already stays as it is."""

    form = AdminLinkForm
    list_display = ["code", "target", "clicks", "created_at"]
    search_fields = ["code", "target"]
    readonly_fields = ["clicks", "created_at"]
    show_full_result_count = False

    def get_readonly_fields(self, request: HttpRequest, obj: Link | None = None) -> list[str]:
        """Returns the fields that cannot change, among them the code once there is one."""
        return [*self.readonly_fields, "code"] if obj else list(self.readonly_fields)
