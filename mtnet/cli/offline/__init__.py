"""The owner's commands on the files of a data folder, while no daemon runs there."""
