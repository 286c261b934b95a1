"""The library behind the pipeline: a room for each subject, importing only what is below it."""
