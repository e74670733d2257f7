#!/bin/sh
# Makes the model that comes with the package from the corpora; `make playroom` runs it.
#
#     configs/playroom.sh CORPORA WORK [OPTIONS OF EVERY finetune]
#
# CORPORA has playroom/, utterances/, cries/, real/ (sounds/<kind>/<fold>-*.opus: folds 1 to 3 to learn from, fold 4 to choose
# thresholds on; ami/: meetings, for thresholds alone), adults/, the recordings of
# github.com/Picovoice/speech-to-intent-benchmark (data/speech/clean), and packages/, Debian's packages of playroom_sounds.py and
# playroom_spoken.py, each unpacked into a folder of its name (`fluidsynth` has to be installed):
#     for name in $(python playroom_sounds.py --list) ktuberling-data; do
#         apt-get download $name && dpkg -x $name*.deb packages/$name
#     done
# The model is WORK/model.
#
# On one CPU core some thirty hours, twenty of them for playroom-voice-type.toml (timed before convolutions were matrix products;
# the encoder's part takes 0.6 of it now). On a GPU about an hour, with
#     --set machine.device=cuda --set machine.workers=7
# Scenes are made anew, all else continues where it was stopped. On the CPUs of one machine the same command gives the same
# weights.
set -eu

configs=$(cd "$(dirname "$0")" && pwd)
corpora=$(cd "$1" && pwd)
mkdir -p "$2" && cd "$2"
shift 2
babyhubert=${BABYHUBERT:-babyhubert}
python=${PYTHON:-python}

# Material: links to the corpora; sounds in which nobody speaks, infants' cries, and what is held out of both
ln -sfn "$corpora/playroom" "$corpora/utterances" "$corpora/cries" "$corpora/real" .
cp "$configs"/*-speakers.csv .
for clip in "$corpora"/real/sounds/*/*.opus; do
    kind=$(basename "$(dirname "$clip")")
    case $clip in
        */4-*) to=held-out/$kind ;;
        */baby-cry/*) to=infants ;;
        *) to=no-voice/$kind ;;
    esac
    mkdir -p "sounds/$to" && ln -sf "$clip" "sounds/$to/"
done
copy() { mkdir -p "$2" && cp -RP "$1/." "$2/"; } # links stay links; what is there twice is heard twice as often
for kind in chainsaw rooster; do # what is taken for a voice most often
    copy "sounds/no-voice/$kind" "sounds/no-voice/$kind-again"
done
copy sounds/no-voice sounds/no-voice-2
for again in again-2 again-3; do
    copy sounds/no-voice/chainsaw "sounds/no-voice-2/chainsaw-$again"
done
"$python" "$configs/playroom_sounds.py" "$corpora/packages" -o sounds/packages --held-out sounds/packages-held-out
copy sounds/no-voice-2 sounds/no-voice-3
for kind in music actor ambient attack resource; do
    cp -RP sounds/packages/$kind* sounds/no-voice-3/
done
copy sounds/no-voice-2 sounds/no-voice-4
copy sounds/packages sounds/no-voice-4
for kind in tuxpaint-stamps-default actor-fauna torcs-data; do
    copy "sounds/packages/$kind" "sounds/no-voice-4/$kind-again-1"
    copy "sounds/packages/$kind" "sounds/no-voice-4/$kind-again-2"
done
"$python" "$configs/playroom_adults.py" "$corpora/adults" -o adults --beside utterances/utterances.csv --together people.csv
"$python" "$configs/playroom_spoken.py" "$corpora/packages" -o spoken --beside people.csv --together everybody.csv
without="--without playroom-dev-speakers.csv --without playroom-validation-speakers.csv --without playroom-doubtful-speakers.csv"
"$python" "$configs/playroom_voices.py" people.csv -o voices-alone --voices MAL FEM $without
"$python" "$configs/playroom_voices.py" everybody.csv -o voices-alone-2 --voices MAL FEM $without
"$python" "$configs/playroom_voices.py" utterances/utterances.csv -o voices-alone-2 --voices CHI --most 250 $without
"$python" "$configs/playroom_voices.py" utterances/utterances.csv -o voices-alone-3 --voices CHI --most 500 $without
"$python" "$configs/playroom_voices.py" spoken/utterances.csv -o voices-spoken --voices MAL FEM
for voice in MAL FEM; do # real adults of many languages are heard more often than those who read English
    copy "voices-spoken/$voice" "voices-alone-2/$voice/again-1"
    copy "voices-spoken/$voice" "voices-alone-2/$voice/again-2"
done

# Scenes: of the first trainings, with everybody further away than the key child; of the last, with adults anywhere
held_out="--without-speakers playroom-dev-speakers.csv --without-speakers playroom-validation-speakers.csv
    --without-speakers playroom-doubtful-speakers.csv"
simulate() { "$babyhubert" simulate --format flac "$@"; }
early() {
    simulate --minutes 15 --recordings 24 --utterances utterances/utterances.csv --cries cries/audio \
        --voice-change 0.06 --key-voice-change 0.3 --wearer-share 0.35 $held_out "$@"
}
held() {
    simulate --utterances utterances/utterances.csv --only-speakers playroom-validation-speakers.csv "$@"
}
late() { # a second --utterances takes the place of this one
    simulate --minutes 15 --utterances people.csv --backgrounds sounds/no-voice --cries sounds/infants \
        --cries cries/audio $held_out "$@"
}
anywhere() { late --levels independent --key-voice-change 0.15 --whisper-share 0.04 "$@"; }

for k in 00 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15; do
    early -o "simulated/$k" --seed "3$k" --prefix "s$k"
done
held -o simulated/validation --seed 2 --prefix held --minutes 15 --recordings 8
held -o simulated/anyone --seed 6 --prefix any --minutes 15 --recordings 8 --wearer-share 1.0
anywhere -o simulated/anywhere --seed 501 --prefix anywhere --recordings 24 --monologue-share 0.25 --speech-share 0.45 \
    --voice-change 0.1 --resonance-change 0.07
anywhere -o simulated/anywhere2 --seed 502 --prefix anyw2 --recordings 20 --monologue-share 0.25 --speech-share 0.5 \
    --voice-change 0.12 --resonance-change 0.08
anywhere -o simulated/meetings --seed 700 --prefix meeting --recordings 14 --monologue-share 0.75 --speech-share 0.55 \
    --voice-change 0.12 --resonance-change 0.1
anywhere -o simulated/meetings2 --seed 701 --prefix meet2 --recordings 16 --monologue-share 0.6 --speech-share 0.6 \
    --voice-change 0.15 --resonance-change 0.12
anywhere -o simulated/lone --seed 900 --prefix lone --recordings 6 --speech-share 0.08 --cry-share 0.8 --noises 0.3 \
    --knocks 0.5 --voice-change 0.1 --resonance-change 0.07
typical() { late --voice-change 0.06 --key-voice-change 0.3 --resonance-change 0.05 "$@"; }
typical -o simulated/typical --seed 300 --prefix typical --recordings 16
for seed in 301 302 303; do
    typical -o "simulated/typical-$seed" --seed "$seed" --prefix "typ$seed" --recordings 20
done
anywhere -o simulated/anywhere3 --seed 503 --prefix anyw3 --recordings 20 --utterances everybody.csv \
    --monologue-share 0.2 --speech-share 0.4 --voice-change 0.1 --resonance-change 0.07
typical -o simulated/typical-304 --seed 304 --prefix typ304 --recordings 16 --utterances everybody.csv
simulate -o scenes/synthetic --seed 73 --prefix vos --recordings 3 --minutes 10
simulate -o scenes/squeals --seed 74 --prefix voq --recordings 1 --minutes 10
held -o scenes/held --seed 72 --prefix voh --recordings 2 --minutes 10 --cries cries/audio

# An encoder; voice types; those on real sound
"$babyhubert" recipe "$configs/babyhubert-nano.toml" -o encoder \
    --set 'audio.paths=["utterances/audio", "cries/audio", "playroom/train/audio"]'
"$babyhubert" finetune voice-type "$configs/playroom-voice-type.toml" -o voice-type \
    --set model.encoder=encoder/model "$@"
"$babyhubert" finetune voice-type "$configs/playroom-melodies.toml" -o melodies "$@"
"$babyhubert" finetune voice-type "$configs/playroom-real.toml" -o real "$@"

# Voice types once more, with the model before as the teacher: once with more windows without voices, once with lone voices
"$babyhubert" finetune voice-type "$configs/playroom-voices.toml" -o quiet --set train.seed=21 --set train.steps=600 \
    --set train.validate_every=200 --set voice_type.teacher.share=0.7 --set voice_type.alone.probability=0 \
    --set voice_type.nobody.probability=0.4 "$@"
"$babyhubert" finetune voice-type "$configs/playroom-voices.toml" -o lone "$@"
"$babyhubert" combine quiet lone real --weights 0.3333333333,0.3333333334,0.3333333333 -o voices --force

# Voice types with more kinds of sounds without a voice, "voices" as the teacher. "sounds-2" stays close to it; "scenes-2", from
# the mean of two runs like those before, goes further. "voice-types" is their mean with "voices", mostly the latter
once_more() {
    "$babyhubert" finetune voice-type "$configs/playroom-voices.toml" --set train.steps=1200 --set train.validate_every=1200 \
        --set train.seed=22 --set model.encoder=voices --set voice_type.teacher.model=voices \
        --set voice_type.nobody.folder=sounds/no-voice-3 --set voice_type.nobody.sounds_share=0.2 \
        --set voice_type.nobody.recorded_share=0.63 --set voice_type.augmentation.clipping.probability=0.1 \
        --set voice_type.augmentation.codec.probability=0.15 "$@"
}
once_more -o quiet-2 --set voice_type.teacher.share=0.7 --set voice_type.alone.probability=0.05 \
    --set voice_type.nobody.probability=0.4 --set voice_type.nobody.background.probability=0.35 "$@"
once_more -o lone-2 "$@"
"$babyhubert" combine voices quiet-2 lone-2 --weights 0.4,0.4,0.2 -o further --force
"$babyhubert" finetune voice-type "$configs/playroom-sounds.toml" -o scenes-2 --set model.encoder=further \
    --set train.steps=2200 --set train.validate_every=2200 --set train.learning_rate=3e-4 --set voice_type.teacher.share=0.6 \
    --set voice_type.nobody.probability=0.27 --set voice_type.nobody.melodies_share=0.1 \
    --set voice_type.nobody.recorded_share=0.63 "$@"
"$babyhubert" finetune voice-type "$configs/playroom-sounds.toml" -o sounds-2 "$@"
"$babyhubert" combine voices sounds-2 scenes-2 --weights 0.6,0.2,0.2 -o voice-types --force

# Voice types once more, with many more kinds of sounds, and voices alone: the mean of two runs and their start
"$babyhubert" finetune voice-type "$configs/playroom-packages.toml" -o packages-1 "$@"
"$babyhubert" finetune voice-type "$configs/playroom-packages.toml" -o packages-2 --set train.seed=42 \
    --set train.learning_rate=5e-4 "$@"
"$babyhubert" combine voice-types packages-1 packages-2 --weights 0.34,0.33,0.33 -o heard --force

# Voice types for the last time, three seeds: recorded sounds also faster, slower and backwards, and more children alone. Their mean
# is what the package has
for seed in 51 52 53; do
    "$babyhubert" finetune voice-type "$configs/playroom-packages.toml" -o "varied-$seed" --set "train.seed=$seed" \
        --set train.steps=700 --set train.validate_every=700 --set train.learning_rate=3e-4 --set model.encoder=heard \
        --set voice_type.nobody.probability=0.33 --set 'voice_type.nobody.recorded_speed=[0.6,1.7]' \
        --set voice_type.nobody.reversed_share=0.3 \
        --set 'voice_type.alone.folders.KCHI=["sounds/infants","cries/audio","voices-alone-3/CHI"]' "$@"
done
"$babyhubert" combine varied-51 varied-52 varied-53 -o voice-types-last --force

# The other tasks, on another encoder
"$babyhubert" finetune tasks "$configs/playroom-tasks.toml" -o tasks --set model.encoder=voice-type "$@"

# Both in one transformer, trained on for all four tasks, twice: each time the mean of two runs
"$babyhubert" combine tasks real melodies --weights 1,1,-1 -o sum --force
for seed in 1 2; do
    "$babyhubert" finetune tasks "$configs/playroom-joint.toml" -o "joint$seed" --set "train.seed=$seed" "$@"
done
"$babyhubert" combine joint1 joint2 -o joint --force
for seed in 3 4; do
    "$babyhubert" finetune tasks "$configs/playroom.toml" -o "last$seed" --set "train.seed=$seed" "$@"
done
"$babyhubert" combine last3 last4 -o four --force

# The model for voice types, and that of four tasks beside it for the other three
"$babyhubert" join voice-types-last four -o joined --force

# Thresholds on speakers, sounds and meetings that were in no training. Of voice types: at most 47 s of voices in an hour of
# sounds, of which a day of clips of five seconds with twelve between them has 18 minutes
"$python" "$configs/playroom_reference.py" sounds/held-out simulated/validation/rttm real/ami/rttm -o reference \
    --days days
mkdir -p reference-days
cp reference/day-*.rttm simulated/validation/rttm/*.rttm real/ami/rttm/*.rttm reference-days
"$babyhubert" segment simulated/validation/audio real/ami/audio sounds/held-out days -o scores --model joined \
    --overlap 0 --save-probs --force
"$babyhubert" tune voice-type --reference reference-days --scores scores -o tuned --bootstrap 0 --equal-recordings \
    --false-limit 14 # the package's thresholds were set by hand from there (its card)
"$babyhubert" convert joined model --half --thresholds tuned --simultaneous 0.5 --force
