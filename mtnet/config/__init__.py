"""The configuration: its schema, its loader and its renamed keys."""
