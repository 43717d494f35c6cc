#!/bin/bash
# ffmpeg, ffprobe: generated video and sound through filters into H.264, VP9, Opus and GIF, and decoded again.
# packages: ffmpeg
. "${0%/*}/../compare.sh"
need ffmpeg ffprobe

work() {
    local run=(ffmpeg -hide_banner -loglevel error -nostdin -y) exact=(-fflags +bitexact -flags:v +bitexact -flags:a +bitexact -map_metadata -1)
    local source=(-f lavfi -i 'testsrc2=size=320x240:rate=25:duration=2' -f lavfi -i 'sine=frequency=440:duration=2')
    "${run[@]}" "${source[@]}" -vf 'hue=s=0.5,scale=160:-2,rotate=0.2' -af 'aecho,volume=0.5' -c:v libx264 -threads 2 -preset veryfast \
        -c:a aac "${exact[@]}" out.mp4
    "${run[@]}" "${source[@]}" -c:v libvpx-vp9 -threads 2 -deadline realtime -cpu-used 8 -c:a libopus "${exact[@]}" -bitexact varying/out.webm
    "${run[@]}" "${source[@]}" -c:v mpeg4 -c:a libmp3lame "${exact[@]}" out.avi
    "${run[@]}" -i out.mp4 -vf 'fps=5,split[a][b];[a]palettegen[p];[b][p]paletteuse' "${exact[@]}" out.gif
    "${run[@]}" -i out.mp4 -f framemd5 -
    "${run[@]}" -i out.avi -ss 1 -frames:v 3 frame%d.png
    ffprobe -v error -show_entries stream=codec_name,width,height,nb_frames,sample_rate -of csv out.mp4
    status "${run[@]}" -i missing.mp4 out.mkv
}
compare work
