"""The page: files that a browser is sent, and nothing that is computed."""
