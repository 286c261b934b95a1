"""How the files of one data set are read or generated."""
