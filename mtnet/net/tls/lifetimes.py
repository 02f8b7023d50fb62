"""For how long certificates are valid, and when their end is told."""

DAYS = 365
"""Life of a server's certificate: Mozilla's intermediate profile wants it no longer."""
LONGEST = 825
"""Days; some clients refuse certificates that live longer."""
EXPIRY_WARNINGS = (1, 7, 30)
"""Days before the expiry of a certificate at which a warning is logged."""
