"""Named errors and warnings. A message says what we got, what we wanted and what to do.

The command line prints an error and exits with 2; it prints a warning, one line on stderr, and goes on.
"""


class UnisonoError(Exception):
    """Base of every error a user can cause; its text is one sentence fit to be shown."""


class InputError(UnisonoError):
    """A text, option value or argument that cannot be used."""


class AudioError(UnisonoError):
    """A sound file or waveform that cannot be read, written or used."""


class AlignmentError(UnisonoError):
    """Text and sound that cannot be aligned, such as more tokens than frames."""


class CheckpointError(UnisonoError):
    """A model, voice or token file that is missing, damaged, foreign or does not fit."""


class DataError(UnisonoError):
    """A data folder, manifest or shard that cannot be used."""


class TrainingError(UnisonoError):
    """A recipe that cannot be run, or a run that went wrong (NaN, missing checkpoint)."""


class GenerationError(UnisonoError):
    """Generation met a non-finite value or cannot go on; the message names the step."""


class UnisonoWarning(UserWarning):
    """Base of every warning of ours; its text is one sentence fit to be shown."""


class TextWarning(UnisonoWarning):
    """A text that may not mean what its writer wanted; the message says how it is read."""


class GenerationWarning(UnisonoWarning):
    """Speech that was made but is not as it should be; the message says what is wrong with it."""


class VoiceWarning(UnisonoWarning):
    """A recording or transcript that makes a poor voice; the message says what it does to the voice."""
