"""Values of indicators, from the terminals that compute them to those that follow."""
