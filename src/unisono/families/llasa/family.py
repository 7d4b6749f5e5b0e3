"""The record of the Llasa family."""

from unisono.families.llasa import training
from unisono.families.llasa.facts import FACTS
from unisono.families.llasa.loading import load
from unisono.interface import Family

FAMILY = Family(name="llasa", load=load, parts={}, passages=training, facts=FACTS)
