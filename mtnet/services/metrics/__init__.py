"""Metrics of all components in the text format of Prometheus."""
