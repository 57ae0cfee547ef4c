"""The images of links: which files are taken, and under which names they are stored."""

import os
import secrets
from typing import IO, Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile

# How the files of each kind begin. SVG is none of them: it can have scripts.
KINDS = {
    "png": (b"\x89PNG\r\n\x1a\n", b""),
    "jpg": (b"\xff\xd8\xff", b""),
    "gif": (b"GIF8", b""),
    "webp": (b"RIFF", b"WEBP"),
}


def clean_image(image: UploadedFile) -> UploadedFile:
    """Returns an uploaded file if it is an image that may be stored."""
    if not _has_place():
        raise ValidationError("This site has no place for images.")
    if (image.size or 0) > settings.IMAGE_BYTES:
        raise ValidationError(f"An image can have at most {settings.IMAGE_BYTES // 1024} KB.")
    if not kind(image):
        raise ValidationError("Only PNG, JPEG, GIF and WebP images can be stored.")
    return image


def kind(file: IO[bytes] | UploadedFile) -> str:
    """Returns what a file is by its first bytes, whatever its name says; empty if none of KINDS."""
    file.seek(0)
    start = file.read(12)
    file.seek(0)
    return next(
        (
            name
            for name, (first, later) in KINDS.items()
            if start.startswith(first) and start[8:].startswith(later)
        ),
        "",
    )


def place(link: Any, _: str) -> str:
    """Returns where the image of a link is stored: nobody chooses or guesses its name."""
    return f"links/{secrets.token_hex(8)}.{kind(link.image.file)}"


def _has_place() -> bool:
    """Whether files can be stored: on servers, if `app.media` in invoke.yaml says where."""
    root = settings.MEDIA_ROOT
    return os.access(root if root.is_dir() else root.parent, os.W_OK)
