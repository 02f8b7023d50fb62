"""Logins of the page: sessions by a cookie."""
