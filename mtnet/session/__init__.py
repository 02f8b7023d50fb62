"""The session dialect (dialect 2): grammar and messages without the verbs of a service."""
