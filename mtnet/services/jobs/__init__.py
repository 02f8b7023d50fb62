"""Jobs: calculations that clients offer, and other clients carry out."""
