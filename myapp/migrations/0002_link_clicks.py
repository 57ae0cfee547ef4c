"""Click counts; with a default in the database, so the release before can still insert links."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("myapp", "0001_link")]

    operations = [
        migrations.AddField(
            model_name="link",
            name="clicks",
            field=models.PositiveBigIntegerField(db_default=0, default=0, editable=False),
        ),
    ]
