"""The first frame of a streamed MP3: it says how many samples of the encoder's start a decoder must drop.

A frame at the head of a file may hold, in place of sound, an "Info" tag and LAME's extension of it (delay and padding
of 12 bits each). Frame count, byte count and padding are not known when a stream begins, so the tag leaves the first
two away and says 0 for the third: a decoder then plays up to one frame of silence more than was encoded.
"""

from __future__ import annotations

import struct

DELAY = 576  # samples, of libmp3lame
# Hz -> (version bits, rate bits); version 3 is MPEG-1, 2 MPEG-2, 0 MPEG-2.5
_RATES = {
    44100: (3, 0),
    48000: (3, 1),
    32000: (3, 2),
    22050: (2, 0),
    24000: (2, 1),
    16000: (2, 2),
    11025: (0, 0),
    12000: (0, 1),
    8000: (0, 2),
}
# bits per second / 1000 -> index, of layer III
_BITRATES_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_BITRATES_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_LAME = b"Lavc60.26"  # nine characters, by which decoders know that delay and padding follow


def streamed_head(rate: int, bitrate: int) -> bytes:
    """One frame with the tag.

    Args:
        rate: Hz, one of MP3's nine. bitrate: bits per second, one of layer III's.
    """
    version, rate_bits = _RATES[rate]
    first = version == 3
    index = (_BITRATES_1 if first else _BITRATES_2).index(bitrate // 1000)
    header = struct.pack(">I", 0x7FF << 21 | version << 19 | 1 << 17 | 1 << 16 | index << 12 | rate_bits << 10 | 3 << 6)
    side = bytes(17 if first else 9)  # of mono
    tag = b"Info" + struct.pack(">I", 0)  # no further fields of the tag
    # revision and method, lowpass, replay gain (4 + 2 + 2), flags, least bitrate, delay and padding
    lame = _LAME + bytes(2 + 8 + 2) + (DELAY << 12).to_bytes(3, "big")
    lame += bytes(1 + 1 + 2 + 4 + 2)  # misc, gain, preset, length and checksum of the music: not known
    content = header + side + tag + lame
    content += struct.pack(">H", _crc(content))
    return content.ljust((144 if first else 72) * bitrate // rate, b"\0")


def _crc(data: bytes) -> int:
    """The tag's own checksum: CRC-16, reflected polynomial 0xA001, from 0."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value
