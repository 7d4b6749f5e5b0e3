"""The record of the TASTE family."""

from unisono.families.taste.facts import FACTS
from unisono.families.taste.model import TasteForCausalLM
from unisono.families.taste.opening import load
from unisono.interface import Family

FAMILY = Family(name="taste", load=load, parts={"": TasteForCausalLM}, facts=FACTS)
