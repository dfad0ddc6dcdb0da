"""Mark of a synthetic picture: an XMP packet in its PNG that says how it was made.

The packet has the digital source type of the IPTC Photo Metadata Standard and the digest of the
bundle. Pixels are not touched, so a marked picture reads like an unmarked one.

- trainedAlgorithmicMedia: a generator drew all of the picture.
- compositeWithTrainedAlgorithmicMedia: a generator drew a defect into a photograph.
- compositeCapture: a defect cut out of one photograph was pasted into another.
"""

import struct
import zlib
from typing import Literal

SourceType = Literal[
    "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "compositeCapture"
]

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_KEYWORD = b"XML:com.adobe.xmp"
_AFTER_HEADER = 8 + 25  # bytes of a PNG's signature and of its first chunk
_PACKET = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:blemish="urn:blemish:xmp:1.0/"
    Iptc4xmpExt:DigitalSourceType="{source}"
    xmp:CreatorTool="Blemish"{bundle}/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def mark(source: SourceType, digest: str | None) -> str:
    """XMP packet of a synthetic picture.

    Args:
        source: How it was made.
        digest: SHA-256 of the bundle, in hex; None if it was made without one.
    """
    bundle = "" if digest is None else f'\n    blemish:bundle="sha256:{digest}"'
    return _PACKET.format(source=f"{_VOCABULARY}{source}", bundle=bundle)


def with_mark(png: bytes, packet: str) -> bytes:
    """A PNG with an XMP packet, or as it is if the packet is empty."""
    if not packet:
        return png
    content = b"iTXt" + _KEYWORD + bytes(5) + packet.encode()
    chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
    return png[:_AFTER_HEADER] + chunk + png[_AFTER_HEADER:]


def mark_of(png: bytes) -> str:
    """XMP packet that `with_mark` put into a PNG; empty if there is none."""
    place = _AFTER_HEADER
    start = place + 8 + len(_KEYWORD) + 5
    if png[place + 4 : start - 5] != b"iTXt" + _KEYWORD:
        return ""
    (length,) = struct.unpack(">I", png[place : place + 4])
    return png[start : place + 8 + length].decode("utf-8", errors="replace")
