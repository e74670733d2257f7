#!/bin/sh
# Everything that is measured on one GPU, into benchmarks/results/gpu-*.json. About ten minutes.
#   MINIMAL_HUBERT=folder   a folder that holds minimal_hubert and spidr, to measure them too
#   PYTHON=python           the interpreter
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
results=benchmarks/results
anchor=${MINIMAL_HUBERT:+--minimal-hubert $MINIMAL_HUBERT}

$python -m pytest -q tests/inference/test_speed.py tests/encoder/test_matrix_form.py
# shellcheck disable=SC2086
$python benchmarks/inference.py --size base --seconds 7200 --rounds 3 --device cuda $anchor -o $results/gpu-inference.json
for precision in float32 bf16; do
    $python benchmarks/training.py --size base --rows 11 --seconds 15.9 --rounds 10 --device cuda \
        --precision $precision -o $results/gpu-training-$precision.json
done
$python benchmarks/training.py --size base --rows 11 --seconds 15.9 --rounds 10 --device cuda --precision bf16 \
    --compile --skip published -o $results/gpu-training-bf16-compiled.json
$python benchmarks/long_recording.py --hours 0.25 1 4 16 --size base --speed fast --format flac \
    -o $results/gpu-from-files.json
