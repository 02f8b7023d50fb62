"""The daemon around the services: options, ports, control socket, data directory."""
