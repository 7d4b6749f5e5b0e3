"""The record of the TADA family."""

from unisono.families.tada.speech import load
from unisono.interface import Family

FAMILY = Family(name="tada", load=load, stages={})
