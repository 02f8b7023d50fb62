"""The classic dialect of signals: frames of two fields, without login."""
