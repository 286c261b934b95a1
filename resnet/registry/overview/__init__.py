"""What a reader asks: which versions there are, how two differ, what became of the runs."""
