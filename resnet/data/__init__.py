"""Get and verify the data, whatever it shows: files in, arrays and a profile out."""
