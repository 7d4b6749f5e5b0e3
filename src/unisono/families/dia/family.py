"""The record of the Dia family."""

from unisono.families.dia import training
from unisono.families.dia.facts import FACTS
from unisono.families.dia.loading import load
from unisono.interface import Family

FAMILY = Family(name="dia", load=load, parts={}, passages=training, facts=FACTS)
