"""The record of the Dia family."""

from unisono.families.dia.loading import load
from unisono.interface import Family

FAMILY = Family(name="dia", load=load, parts={})
