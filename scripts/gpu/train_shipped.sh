#!/usr/bin/env bash
# Make the shipped model on a machine with a GPU, in one call that may be cut off and called again:
# render the world, train, export, measure. Everything made so far is kept under RUN.
#
#   RUN=/data/run scripts/gpu/train_shipped.sh
#
# Knobs (environment): RECIPE, SCENES (of the mixture; a sixth as many dining rooms, a twelfth as
# many tables), HELD_OUT, WORKERS, DEVICE (cuda or cpu), PYTHON.
# Needs Python with torch, timm, onnx, onnxruntime, mujoco, opencv, safetensors, tqdm, PyYAML,
# lightning-fabric, omegaconf, tensorboard, matplotlib.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${RUN:?set RUN to the folder that keeps frames and checkpoints}"
RECIPE=${RECIPE:-training/configs/xnet_small_gpu.yaml}
SCENES=${SCENES:-8000} HELD_OUT=${HELD_OUT:-100} WORKERS=${WORKERS:-$(nproc)}
DEVICE=${DEVICE:-cuda} PYTHON=${PYTHON:-python3}
export PYTHONPATH="$PWD:$PWD/training${PYTHONPATH:+:$PYTHONPATH}" MUJOCO_GL=${MUJOCO_GL:-egl}

render() {
    "$PYTHON" -m dense_perception_training.render --workers "$WORKERS" "$@"
}
echo "== frames: $SCENES scenes and more of some kinds to train on, $HELD_OUT held out"
render --out "$RUN/world/train" --split train --scenes "$SCENES" --views 6
# Scene numbers of their own: cameras are drawn by the number, whatever the kind.
render --out "$RUN/world/train" --split train --kind dining --first-scene "$SCENES" \
    --scenes $((SCENES / 6)) --views 6
render --out "$RUN/world/train" --split train --kind tabletop --first-scene "$SCENES" \
    --scenes $((SCENES / 12)) --views 6
render --out "$RUN/world/held_out" --split held_out --scenes "$HELD_OUT" --views 5

echo "== training by $RECIPE"
"$PYTHON" -m dense_perception_training.train "$RECIPE" "sources.0.root=$RUN/world/train" \
    --out "$RUN/training" --device "$DEVICE"

echo "== model file"
"$PYTHON" -m dense_perception.cli.main export "$RUN/training" --out "$RUN/xnet_small.onnx" \
    --half-weights --any-batch
"$PYTHON" -m dense_perception_training.evaluate "$RUN/xnet_small.onnx" \
    --data "$RUN/world/held_out" --train "$RUN/world/train" --write-card --json | tee "$RUN/metrics.json"
