"""Who may set a symbol: publishers, claims, pauses and reductions."""
