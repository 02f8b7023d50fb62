"""Subscriptions to ticks and to bars, as state machines."""
