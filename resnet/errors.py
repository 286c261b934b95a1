"""The exceptions whose messages are meant for the user, and the exit code of an interruption."""

STOPPED = 75  # interrupted, with a checkpoint to resume from: EX_TEMPFAIL of sysexits.h


class PipelineError(Exception):
    """The world is not as it must be.

    Its message says what was found, what was wanted, and what to do next. The `resnet` command
    prints it and exits with 1; any other exception is a defect of this project.
    """


class UnreachableError(PipelineError):
    """A server does not answer now, and may later: trying again can help."""


class StoppedError(PipelineError):
    """A job was told to end; it goes on from where it was when it is started again."""


class MovedError(PipelineError):
    """What a decision was made from is another by now: look again, and decide anew."""
