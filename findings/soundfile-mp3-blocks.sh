#!/bin/sh
# An MP3 read in blocks is not the MP3 read at once.
#
# Guess:    sf.blocks() yields the samples of sf.read(), cut in pieces; a long
#           recording can so be read with little memory.
# Versions: soundfile 0.14.0 with its libsndfile 1.2.2, numpy 2.4.6.
# Happens:  the lengths agree, but with blocks of 1,000 most samples differ, by
#           as much as the signal's amplitude. soundfile seeks after each read,
#           to where the decoder already stands, and after a seek the decoder
#           lacks what it needs for the next samples of an MP3. With longer
#           blocks the beginning of each is wrong. The same signal as WAV, FLAC
#           or Ogg Vorbis is equal to the bit. No exception; libmpg123 may
#           print lines to stderr.
# Seen:     full read, greatest error against the tone 0.006
#           blocks read, greatest error against the tone 0.5
#           samples that differ: 93 %
# Remedy:   read an MP3 whole, or turn it into WAV or FLAC first.
set -eu
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install -q --disable-pip-version-check soundfile==0.14.0 numpy==2.4.6
cd "$tmp"
venv/bin/python - <<'PY'
import numpy as np
import soundfile as sf

print("soundfile", sf.__version__, "libsndfile", sf.__libsndfile_version__)
rate = 44100
tone = (0.5 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate)).astype("float32")


def both(name, **kwargs):
    sf.write(name, tone, rate, **kwargs)
    whole, _ = sf.read(name, dtype="float32")
    pieces = np.concatenate(list(sf.blocks(name, blocksize=1000, dtype="float32")))
    assert len(whole) == len(pieces) == len(tone)
    return whole, pieces


for name in ("tone.wav", "tone.flac", "tone.ogg"):
    whole, pieces = both(name)
    print(name, "equal:", np.array_equal(whole, pieces))
    assert np.array_equal(whole, pieces)
whole, pieces = both("tone.mp3")
inner = slice(2000, -2000)
full_error = np.abs(whole - tone)[inner].max()
block_error = np.abs(pieces - tone)[inner].max()
differ = (np.abs(whole - pieces) > 0.01).mean()
print(f"tone.mp3 full read, greatest error against the tone {full_error:.3f}")
print(f"tone.mp3 blocks read, greatest error against the tone {block_error:.3f}")
print(f"samples that differ: {100 * differ:.0f} %")
assert full_error < 0.02 and block_error > 0.2 and differ > 0.5, "behaviour changed"
PY
