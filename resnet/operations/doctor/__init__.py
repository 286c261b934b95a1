"""Check the installation for known problems, and say what to do about each."""
