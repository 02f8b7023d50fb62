"""Chart templates: one library, served raw, by name and by HTTP."""
