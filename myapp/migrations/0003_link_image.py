"""Images of links; with a default in the database, so the release before can still insert links."""

from django.db import migrations, models

import myapp.images


class Migration(migrations.Migration):
    dependencies = [("myapp", "0002_link_clicks")]

    operations = [
        migrations.AddField(
            model_name="link",
            name="image",
            field=models.FileField(
                blank=True, db_default="", max_length=60, upload_to=myapp.images.place
            ),
        ),
    ]
