"""The page, and the redirect."""

import re
from urllib.parse import urlencode

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from . import clicks
from .codes import CodeConverter
from .forms import LinkForm
from .models import Link


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def home(request: HttpRequest) -> HttpResponse:
    """Shows the form and the links; makes a link."""
    form = LinkForm(request.POST if request.method == "POST" else None, label_suffix="")
    if form.is_valid() and (link := form.save_if_free()):
        return redirect(f"{reverse('home')}?{urlencode({'created': link.code})}")
    pages = Paginator(Link.objects.all(), settings.LINKS_PER_PAGE)
    context = {
        "form": form,
        "created": _created(request.GET.get("created", "")),
        "page": pages.get_page(request.GET.get("page")),
        "site": settings.SITE_URL or f"{request.scheme}://{request.get_host()}",
    }
    return render(request, "home.html", context)


def _created(code: str) -> Link | None:
    """Returns the link that was just made; what cannot be a code is not looked up."""
    if re.fullmatch(CodeConverter.regex, code):
        return Link.objects.filter(code=code).first()
    return None


@never_cache
@require_safe
def follow(request: HttpRequest, code: str) -> HttpResponse:
    """Sends the visitor on; counts it as a click when it was one."""
    link = get_object_or_404(Link, code=code)
    if request.method == "GET":
        clicks.count(link)
    return HttpResponseRedirect(link.target)
