"""The ports that `mtnet doctor` looks at."""

HTTPS = 443
"""Where terminals start TLS by themselves."""
DEFAULTS = (8080, 8081, 8082, 8083, HTTPS)
"""The ports that are looked at when none is named."""
