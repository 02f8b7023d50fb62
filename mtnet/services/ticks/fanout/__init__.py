"""Fan-out: ticks to their subscribers, behind the reading of ticks."""
