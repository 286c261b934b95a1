"""What a sample is, a room for each form; forms do not import each other."""
