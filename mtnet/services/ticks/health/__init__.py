"""Health of ticks: their losses, and conditions of alerts."""
