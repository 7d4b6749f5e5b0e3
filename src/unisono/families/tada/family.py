"""The record of the TADA family."""

from unisono.families.tada import training
from unisono.families.tada.aligner import Aligner
from unisono.families.tada.convert import convert
from unisono.families.tada.decoder import Decoder
from unisono.families.tada.encoder import Encoder
from unisono.families.tada.facts import FACTS
from unisono.families.tada.loading import load
from unisono.families.tada.model import TadaForCausalLM
from unisono.interface import Family

FAMILY = Family(
    name="tada",
    load=load,
    parts={"": TadaForCausalLM, "encoder": Encoder, "decoder": Decoder, "aligner": Aligner},
    passages=training,
    convert=convert,
    facts=FACTS,
)
