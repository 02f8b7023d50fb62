"""The process: signals, locks, threads, and a watchdog over disks that hang."""
