"""Build the built-in model's letter-sound tokenizer from the CMU dictionary that pocketsphinx ships.

python recipes/build_tokenizer.py -o src/unisono/builtin/tokenizer
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import files
from pathlib import Path

from unisono.text.lexicon import build_lexicon

SOURCE = (
    "cmudict-en-us.dict of the pocketsphinx package, Copyright (c) 1999-2016 Carnegie Mellon University, BSD-2-Clause, "
    "see LICENSE.txt"
)


def main() -> None:
    """Parse the options, build, print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write the tokenizer files to")
    parser.add_argument("--dictionary", type=Path, help="a CMU-style dictionary (default: pocketsphinx's)")
    parser.add_argument("--least", type=int, default=25, help="words a letter-sound pair must occur in (default 25)")
    options = parser.parse_args()
    dictionary, source = options.dictionary, str(options.dictionary)
    if dictionary is None:
        import pocketsphinx

        dictionary, source = Path(pocketsphinx.get_model_path()) / "en-us" / "cmudict-en-us.dict", SOURCE
        licences = [path for path in files("pocketsphinx") or [] if path.name == "LICENSE"]
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "LICENSE.txt").write_text(licences[0].read_text(encoding="utf-8"), encoding="utf-8")
    print(json.dumps(build_lexicon(dictionary, options.output, options.least, source), indent=1))


if __name__ == "__main__":
    main()
