"""Clocks of brokers: rules, what receipt says of them, and UTC beside the times of ticks."""
