"""What stands on the shelves of a new shop."""

from __future__ import annotations

from typing import Any

from django.db import migrations

PRODUCTS = [
    ("NB-101", "field-notebook", "Field Notebook", "notebooks", "7.50", 95, "Fits a coat pocket. 48 ruled pages, and a cover that does not mind rain."),
    ("NB-102", "dot-grid-journal", "Dot Grid Journal", "notebooks", "16.90", 210, "192 numbered pages of ivory paper, and an index to find them again."),
    ("NB-103", "music-book", "Music Book", "notebooks", "11.00", 330, "Twelve staves a page, spiral bound, so that it lies flat on the stand."),
    ("PE-201", "steel-fountain-pen", "Steel Fountain Pen", "pens", "34.00", 195, "A fine nib that forgives a heavy hand. Takes cartridges or a converter."),
    ("PE-202", "brass-ballpoint", "Brass Ballpoint", "pens", "22.50", 42, "Turned from one rod. It darkens where you hold it."),
    ("PE-203", "cedar-pencils", "Twelve Cedar Pencils", "pens", "9.80", 25, "HB, six-sided, unpainted. They smell of the workshop."),
    ("IN-301", "iron-gall-ink", "Iron Gall Ink", "ink", "13.20", 265, "Goes on pale and dries black, as it did eight hundred years ago. 50 ml."),
    ("IN-302", "sea-green-ink", "Sea Green Ink", "ink", "10.40", 165, "Between green and blue, depending on the paper. 50 ml."),
]  # fmt: skip


def add(apps: Any, schema_editor: Any) -> None:
    model = apps.get_model("shop", "Product")
    names = ("sku", "slug", "name", "category", "price", "hue", "description")
    model.objects.bulk_create(model(**dict(zip(names, row, strict=True))) for row in PRODUCTS)


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]

    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
