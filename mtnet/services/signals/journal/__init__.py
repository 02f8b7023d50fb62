"""The journal of signals: a hash chain on disk, and its verification."""
