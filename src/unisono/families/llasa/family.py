"""The record of the Llasa family."""

from unisono.families.llasa.loading import load
from unisono.interface import Family

FAMILY = Family(name="llasa", load=load, parts={})
