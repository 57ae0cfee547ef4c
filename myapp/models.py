"""The one thing that is stored: links."""

from typing import Any

from django.db import IntegrityError, models, transaction

from . import codes, images, targets

TRIES = 20


class Link(models.Model):
    """A short code, the address it leads to, and how often it was followed."""

    code = models.CharField(
        max_length=codes.LONGEST,
        unique=True,
        blank=True,
        error_messages={"unique": "This ending is taken. Please choose another one."},
    )
    target = models.URLField(max_length=targets.LONGEST)
    # Of an image that is replaced, the file stays: a restored database may name it.
    image = models.FileField(upload_to=images.place, max_length=60, blank=True, db_default="")
    created_at = models.DateTimeField(auto_now_add=True)
    # The database has the default too: a release before this column can still insert rows.
    clicks = models.PositiveBigIntegerField(default=0, db_default=0, editable=False)

    class Meta:
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.code

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves the link; one without a code gets a random one that is free."""
        if self.code:
            super().save(*args, **kwargs)
            return
        for _ in range(TRIES):
            self.code = codes.random_code()
            try:
                with transaction.atomic():
                    super().save(*args, **kwargs)
                return
            except IntegrityError as error:
                taken = error
        raise taken
