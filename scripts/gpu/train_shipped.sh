#!/usr/bin/env bash
# Make a shipped model on a machine with a GPU, in one call that may be cut off and called again:
# render the world, train, export, measure. Everything made so far is kept under RUN.
#
#   RUN=/data/run scripts/gpu/train_shipped.sh
#
# Knobs (environment):
#   MODEL        xnet_small or xnet_base (xnet_small)
#   RECIPE       name or file (xnet_small_gpu)
#   START        weights or a model file to go on from, such as xnet_small; nothing = from scratch
#   MINUTES      that training is to take here, instead of the recipe's steps
#   SCENES       of the mixture; a sixth as many dining rooms and scenes seen from beside things, a
#                twelfth as many tables, worktops and scenes through longer lenses come to it
#   CATALOGUE    folder of furniture libraries (*.sh3f), for half as many scenes again and a third
#                of the samples
#   PHOTOGRAPHS  folder of wheels with photographs of materials, for those same scenes
#   HELD_OUT (scenes), WORKERS, DEVICE (cuda or cpu), PYTHON
#
# Arguments change the recipe. On a GPU of a quarter of an hour, for example:
#
#   RUN=/data/run START=xnet_small MINUTES=7 SCENES=1000 scripts/gpu/train_shipped.sh \
#       seed=10 stages.0.lr=8.0e-3 stages.0.lr_end=4.0e-3 stages.1.lr=4.0e-3
#
# Needs Python with torch, timm, onnx, onnxruntime, mujoco, opencv, safetensors, tqdm, PyYAML,
# lightning-fabric, omegaconf, tensorboard, matplotlib, pillow, trimesh.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${RUN:?set RUN to the folder that keeps frames and checkpoints}"
MODEL=${MODEL:-xnet_small} RECIPE=${RECIPE:-training/configs/xnet_small_gpu.yaml}
SCENES=${SCENES:-8000} HELD_OUT=${HELD_OUT:-100} WORKERS=${WORKERS:-$(nproc)}
DEVICE=${DEVICE:-cuda} PYTHON=${PYTHON:-python3}
CATALOGUE=${CATALOGUE:-} PHOTOGRAPHS=${PHOTOGRAPHS:-} START=${START:-} MINUTES=${MINUTES:-}
export PYTHONPATH="$PWD:$PWD/training${PYTHONPATH:+:$PYTHONPATH}" MUJOCO_GL=${MUJOCO_GL:-egl}

render() {
    "$PYTHON" -m dense_perception_training.render --workers "$WORKERS" "$@"
}
frames() {  # FOLDER SCENES FIRST_SCENE [OPTION...]: the mixture, and more of what is crowded
    local folder=$1 scenes=$2 first=$3 kind share
    shift 3
    render --out "$folder" --split train --views 6 --first-scene "$first" --scenes "$scenes" "$@"
    # Scene numbers of their own: cameras are drawn by the number, whatever the kind.
    for kind in dining:6 tabletop:12 worktop:12; do
        share=${kind#*:}
        render --out "$folder" --split train --views 6 --first-scene $((first + scenes)) \
            --kind "${kind%:*}" --scenes $((scenes / share)) "$@"
    done
    render --out "$folder" --split train --views 6 --beside --first-scene $((first + scenes)) \
        --scenes $((scenes / 6)) "$@"
    render --out "$folder" --split train --views 6 --lens 28 55 \
        --first-scene $((first + 2 * scenes)) --scenes $((scenes / 12)) "$@"
}

echo "== frames: $SCENES scenes and more of some kinds to train on, $HELD_OUT held out"
frames "$RUN/world/train" "$SCENES" 0
sources="{dataset: world, root: $RUN/world/train, rate: 0.65}"
# What others made, where it is given.
theirs=(${CATALOGUE:+--catalogue "$CATALOGUE"} ${PHOTOGRAPHS:+--photographs "$PHOTOGRAPHS"})
if [ ${#theirs[@]} -gt 0 ]; then
    frames "$RUN/world/theirs" $((SCENES / 2)) $((4 * SCENES)) "${theirs[@]}"
    sources+=", {dataset: world, root: $RUN/world/theirs, rate: 0.35}"
fi
render --out "$RUN/world/held_out" --split held_out --scenes "$HELD_OUT" --views 5

echo "== training by $RECIPE"
"$PYTHON" -m dense_perception_training.train "$RECIPE" "sources=[$sources]" \
    model.name="$MODEL" ${START:+"model.weights=$START"} "$@" ${MINUTES:+--minutes "$MINUTES"} \
    --out "$RUN/training" --device "$DEVICE"

echo "== model file"
"$PYTHON" -m dense_perception.cli.main export "$RUN/training" --out "$RUN/$MODEL.onnx" \
    --half-weights --any-batch
"$PYTHON" -m dense_perception_training.evaluate "$RUN/$MODEL.onnx" \
    --data "$RUN/world/held_out" --train "$RUN/world/train" --write-card --json | tee "$RUN/metrics.json"
