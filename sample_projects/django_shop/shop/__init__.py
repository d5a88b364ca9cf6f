"""A small stationery shop: catalogue, basket, checkout, accounts. Shows itly in a Django project."""
