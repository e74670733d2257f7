#!/bin/sh
# Everything that is measured on one GPU, into benchmarks/results/gpu-*.json. About ten minutes, what matters most first.
#   MINIMAL_HUBERT=folder   a folder that holds minimal_hubert and spidr, to measure them too
#   PYTHON=python           the interpreter
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
results=benchmarks/results
anchor=${MINIMAL_HUBERT:+--minimal-hubert $MINIMAL_HUBERT}

$python benchmarks/gpu_stages.py -o $results/gpu-stages.json
# shellcheck disable=SC2086
$python benchmarks/training.py --size base --rows 11 --seconds 15.9 --rounds 8 --device cuda --precision bf16 \
    --skip published "ours, convolutions" $anchor -o $results/gpu-training-bf16.json
# shellcheck disable=SC2086
$python benchmarks/inference.py --size base --seconds 1800 --rounds 3 --device cuda --no-memory $anchor \
    -o $results/gpu-inference.json
$python benchmarks/long_recording.py --hours 1 --recordings 4000 --size base --speed fast --format flac \
    -o $results/gpu-long-recording.json
# without minimal_hubert, which torch 2.11 failed to compile
$python benchmarks/training.py --size base --rows 11 --seconds 15.9 --rounds 8 --device cuda --precision bf16 \
    --compile --skip published "ours, convolutions" -o $results/gpu-training-bf16-compiled.json
$python benchmarks/training.py --size base --rows 11 --seconds 15.9 --rounds 10 --device cuda \
    -o $results/gpu-training-float32.json
$python -m pytest -q tests/inference tests/encoder tests/training tests/pretraining -k "gpu or replayed or record"
