"""The session dialect (dialect 2): what every service's verbs have in common."""
