#!/bin/bash
# imagemagick: pictures drawn, blurred, distorted, composed, quantised and converted between formats.
# packages: imagemagick
. "${0%/*}/../compare.sh"
need convert identify montage

work() {
    local exact=(-define 'png:exclude-chunks=date,time' -strip)
    convert -size 400x300 -seed 1 plasma:red-blue "${exact[@]}" plasma.png
    convert -size 400x300 gradient:white-black -fill red -draw 'circle 200,150 200,50' -stroke green -draw 'line 0,0 400,300' "${exact[@]}" drawn.png
    convert plasma.png -blur 0x5 -swirl 90 -modulate 120,80 -resize 50% -rotate 30 "${exact[@]}" swirled.png
    convert plasma.png drawn.png -compose multiply -composite "${exact[@]}" composed.jpg
    convert composed.jpg -colors 16 -dither FloydSteinberg composed.gif
    convert composed.jpg -distort Arc 120 -define tiff:rows-per-strip=50 "${exact[@]}" arc.tif
    convert plasma.png -quality 80 "${exact[@]}" plasma.webp 2>/dev/null || true
    convert plasma.png -crop 100x100 +repage "${exact[@]}" tile%d.ppm
    montage tile*.ppm -geometry +2+2 -background gray "${exact[@]}" varying/montage.png
    convert swirled.png -fft -delete 1 -auto-level "${exact[@]}" fft.png || true
    convert composed.jpg -canny 0x1+10%+30% -format '%k %wx%h %[mean]\n' info:
    identify -format '%f %m %wx%h %k %#\n' ./*.png ./*.gif
    status identify missing.png
}
compare work
