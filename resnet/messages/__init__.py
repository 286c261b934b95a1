"""What holds for every text for the user: no login is in it, and a mistyped word is explained."""
