#!/usr/bin/env bash
# All figures of docs/benchmarks.md that need a GPU, in one call that may be cut off and called
# again: what has its file in OUT already is not measured a second time.
#
#   OUT=/data/gpu scripts/gpu/benchmark.sh
#
# Knobs (environment): LARGE (xnet_swinl_convnextb_kitti), the variant of the goals; PYTHON.
#
# Needs Python with torch (CUDA), timm, onnx, onnxscript, onnxruntime, opencv, safetensors, tqdm;
# TensorRT, tensorrt-rtx, onnxruntime-gpu and cuda-bindings where their rows are wanted. A row
# whose library is missing says so.
set -uo pipefail
cd "$(dirname "$0")/../.."
: "${OUT:?set OUT to the folder for the results}"
LARGE=${LARGE:-xnet_swinl_convnextb_kitti} PYTHON=${PYTHON:-python3}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p "$OUT"
failed=()

ours() {
    "$PYTHON" -m dense_perception.cli.main "$@"
}
once() {  # FILE COMMAND...: its output, kept when it has succeeded
    local file=$OUT/$1
    shift
    echo "== $*"
    if [ -e "$file" ]; then
        echo "measured before: $file"
    elif "$@" > "$file.partial"; then
        mv "$file.partial" "$file"
    else
        failed+=("$*")
    fi
}

nvidia-smi --query-gpu=name,driver_version,clocks.max.sm --format=csv 2>/dev/null \
    || echo 'nvidia-smi finds no GPU'
for model in "$LARGE" xnet_base xnet_small; do
    once "ceiling_$model.json" ours benchmark ceiling --model "$model" --json
done
once model_xnet_small.json ours benchmark model --json
once engine_xnet_small.json ours benchmark engine --json
once export.txt ours export "$LARGE" --random-weights --out "$OUT/$LARGE.onnx" --half-weights
once "model_$LARGE.json" ours benchmark model --model "$OUT/$LARGE.onnx" --rounds 5 --json
once "engine_$LARGE.json" ours benchmark engine --model "$OUT/$LARGE.onnx" --json
once models.json ours benchmark models --image-size 1216x352 --rounds 20 --json
for what in "${failed[@]}"; do
    echo "failed: $what"
done
[ ${#failed[@]} -eq 0 ]
