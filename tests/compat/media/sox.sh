#!/bin/bash
# sox: tones mixed, effects in a chain, resampled, converted, analysed.
# packages: sox
. "${0%/*}/../compare.sh"
need sox

work() {
    sox -R -n -r 44100 -b 16 -c 2 tone.wav synth 3 sine 300-3300 square 440
    sox -R tone.wav effects.wav reverb 50 echo 0.8 0.9 100 0.3 bass +3 rate 22050 reverse fade 0.5 norm -1
    sox -R -m tone.wav <(sox -R -n -r 44100 -c 2 -b 16 -t wav - synth 2 noise) mixed.flac || sox -R tone.wav mixed.wav
    sox -R tone.wav out.ogg 2>/dev/null || true
    rm -f out.ogg
    sox effects.wav -n stat 2>&1
    sox tone.wav -n spectrogram -o varying/spectrogram.png
    soxi tone.wav effects.wav
    status sox missing.wav -n stat
}
compare work
