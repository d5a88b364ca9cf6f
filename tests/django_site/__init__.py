"""A Django site with one view per thing a view may do. Its generated package is `site_events`, made by the tests."""
