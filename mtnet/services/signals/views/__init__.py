"""Views: channels that are derived from the positions of other channels, one for each follower."""
