"""Backup and restore of a whole data folder, by the components that own the files."""
