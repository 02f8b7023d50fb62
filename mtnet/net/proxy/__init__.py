"""PROXY protocol: a load balancer names the real client."""
