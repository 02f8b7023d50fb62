"""Chart templates: one library, reached by raw TCP, by name and by HTTP."""
