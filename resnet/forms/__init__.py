"""What a sample is, a room for each form; forms do not import each other.

A sample is an array of bytes. All else that depends on its form is behind a few doors, each a
module here with a function `of(form)`; the module of the same name in the form's room is behind it.
"""
